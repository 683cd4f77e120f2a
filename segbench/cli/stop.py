"""`segbench stop`: end a sweep, wherever it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from segbench.cli.options import ProjectOption


def stop(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="The experiment's name.")],
    now: Annotated[bool, typer.Option("--now", help="Within the epoch, not at its end.")] = False,
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout", metavar="DURATION", help="Wait no longer than this, such as 5m.", show_default=False
        ),
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Stop a sweep that is running, here or on another host.

    Each running trial finishes its epoch and saves; `segbench sweep` goes on from there. It waits until all
    have stopped.
    """
    from pathlib import Path

    from segbench.config.load import results_name
    from segbench.config.project import Project
    from segbench.errors import ResultsError, TrialError, message
    from segbench.store.layout import ResultsFolder
    from segbench.sweep.process import saved_line, stop_sweep
    from segbench.trial.limits import parse_duration

    results = ResultsFolder(Project.around(project or Path.cwd()).results)
    folder = results.experiment(results_name(experiment))
    if not folder.root.is_dir():
        known = [each.name for each in results.experiments()]
        raise ResultsError(
            message(
                str(results.path), "there are no results of this experiment", got=folder.name, known=known
            )
        )
    timeout_s = parse_duration(timeout, "--timeout") if timeout is not None else None
    found = stop_sweep(folder, is_now=now, timeout_s=timeout_s, say=typer.echo)
    if not found.was_running:
        typer.echo(f"{folder.name}: nothing is running.")
        return
    for record in found.held:
        typer.echo(saved_line(record))
    if not found.has_ended:
        raise TrialError(
            message(
                folder.name,
                f"it has not stopped within {timeout}; the request stays",
                see=f"`segbench stop {folder.name} --now` does not wait for the end of an epoch",
            )
        )
    typer.echo(f"{folder.name}: stopped; `segbench sweep {folder.name}` goes on from here.")
