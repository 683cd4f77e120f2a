"""`segbench dashboard`: look at the studies in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.cli.options import ProjectOption, StorageOption

HOST = "127.0.0.1"
"""The dashboard asks for no password, so no other machine may reach it."""


def dashboard(
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port on this machine.")] = 8080,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="First do what `segbench results sync` does.")
    ] = False,
    storage: StorageOption = None,
    project: ProjectOption = None,
) -> None:
    """Serve optuna-dashboard on this machine.

    It shows results/optuna.journal or another storage, to this machine only, with the pictures in the trials'
    folders.
    """
    import getpass
    import socket

    from segbench.config.project import Project
    from segbench.dashboard.address import find_address
    from segbench.errors import ResultsError, message

    around = Project.around(project or Path.cwd())
    address = find_address(storage, around.results)
    if rebuild:
        from segbench.dashboard.mirror import synchronise

        written = synchronise(around, address, note=typer.echo).studies
        names = [study.name for study in written if study.skipped is None]
        typer.echo(f"written from the records: {', '.join(names) or 'nothing'}")
    if address.path is not None and not address.path.is_file():
        raise ResultsError(
            message(
                str(address.path),
                "there is no database to show yet",
                see="segbench sweep EXPERIMENT writes one; `segbench results sync` writes it from records "
                "that are there",
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

    from segbench.dashboard.storage import serve

    def announce() -> None:
        typer.echo(f"http://{HOST}:{port}/  (Ctrl-C ends it)")
        typer.echo("from another machine, run there first, then open the same address:")
        typer.echo(f"  ssh -L {port}:{HOST}:{port} {getpass.getuser()}@{socket.gethostname()}")

    serve(address, around.results, host=HOST, port=port, on_open=announce)
