"""`segbench dashboard`: look at the studies in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.cli.options import ProjectOption

HOST = "127.0.0.1"
"""The dashboard asks for no password, so no other machine may reach it."""


def dashboard(
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port on this machine.")] = 8080,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Write the database anew from the records first.")
    ] = False,
    project: ProjectOption = None,
) -> None:
    """Serve optuna-dashboard on this machine.

    Over results/optuna.db, to this machine only.
    """
    import getpass
    import socket

    from segbench.config.project import Project
    from segbench.errors import ResultsError, message
    from segbench.store.layout import ResultsFolder

    database = ResultsFolder(Project.around(project or Path.cwd()).results).study
    if rebuild:
        from segbench.sweep.mirror import rebuild as write_anew

        names = write_anew(Project.around(project or Path.cwd()))
        typer.echo(f"written from the records: {', '.join(names) or 'nothing'}")
    if not database.is_file():
        raise ResultsError(
            message(
                str(database),
                "there is no database to show yet",
                see="segbench sweep EXPERIMENT writes one; --rebuild writes it from records that are there",
            )
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            see = f"segbench dashboard --port {port + 1 if port < 65535 else port - 1}"
            raise ResultsError(
                message("--port", f"the port cannot be used ({error.strerror})", got=port, see=see)
            ) from error
    typer.echo(f"http://{HOST}:{port}/  (Ctrl-C ends it)")
    typer.echo("from another machine, run there first, then open the same address:")
    typer.echo(f"  ssh -L {port}:{HOST}:{port} {getpass.getuser()}@{socket.gethostname()}")

    from optuna_dashboard import run_server  # type: ignore[import-untyped]

    run_server(f"sqlite:///{database}", host=HOST, port=port)
