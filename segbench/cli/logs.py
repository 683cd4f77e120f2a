"""`segbench logs`: what trials and workers wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli.options import ExperimentArgument, OnlyOption, ScaleOption, SeedsOption, SmokeOption

if TYPE_CHECKING:
    from segbench.sweep.logs import LogFile


def logs(
    experiment: ExperimentArgument,
    trial: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TRIAL]...", help="Hashes, or their first digits. Without them: all.", show_default=False
        ),
    ] = None,
    scale: ScaleOption = None,
    only: OnlyOption = None,
    seeds: SeedsOption = None,
    smoke: SmokeOption = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Last lines of each log.")] = 10,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is written from now on, until Ctrl-C.")
    ] = False,
) -> None:
    """Show the logs of an experiment's trials.

    The last lines of each, those that failed or run first, and at the end what workers printed outside of any
    trial.
    """
    from segbench.config.load import load_experiment
    from segbench.sweep.logs import find_logs, follow_logs

    loaded = load_experiment(experiment, scale=scale, smoke=smoke)
    found = find_logs(loaded, hashes=trial or (), only=only, seeds=seeds)
    for log in found:
        _print(log, lines)
    if follow:
        for log, line in follow_logs(found):
            typer.echo(f"{log.title}: {line}")


def _print(log: LogFile, num_lines: int) -> None:
    tail = log.tail(num_lines)
    if tail:
        typer.echo(f"--- {log.title}")
        typer.echo("\n".join(tail))
