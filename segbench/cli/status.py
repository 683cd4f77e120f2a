"""`segbench status`: where experiments stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from segbench.cli.options import JsonOption, OptionalExperimentArgument, ScaleOption, SetOption, SmokeOption

if TYPE_CHECKING:
    from rich.console import Console

    from segbench.sweep.overview import Overview


def status(
    experiment: OptionalExperimentArgument = None,
    scale: ScaleOption = None,
    set_: SetOption = None,
    smoke: SmokeOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show where an experiment stands.

    Cell by cell; without a name, a line for each experiment.
    """
    import json

    if experiment is None:
        rows = _all_experiments()
        if as_json:
            typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        else:
            _print_all(rows)
        return
    from segbench.config.load import load_experiment
    from segbench.sweep.overview import look_over

    found = look_over(load_experiment(experiment, scale=scale, overrides=set_ or (), smoke=smoke))
    if as_json:
        typer.echo(json.dumps(_content(found), indent=2, ensure_ascii=False))
    else:
        _print(found)


def _all_experiments() -> list[dict[str, Any]]:
    from pathlib import Path

    from segbench.config.project import Project
    from segbench.sweep.overview import count_states, experiments_with_results

    rows = []
    for folder in experiments_with_results(Project.around(Path.cwd())):
        counts = count_states(folder)
        states = {str(state): count for state, count in counts.items() if count}
        rows.append({"experiment": folder.name, "trials": sum(counts.values()), "states": states})
    return rows


def _content(found: Overview) -> dict[str, Any]:
    from segbench.records import State

    return {
        "experiment": found.name,
        "trials": found.num_trials,
        "states": {str(state): n for state in State if (n := found.count(state))},
        "cells": [
            {
                "cell": cell.label,
                "levels": dict(cell.levels),
                "states": {str(state): n for state in State if (n := cell.count(state))},
                "trials": [
                    {
                        "hash": r.hash,
                        "seed": r.seed,
                        "fold": r.fold,
                        "state": str(r.state),
                        "failure": None if r.failure is None else str(r.failure),
                        "reason": r.reason,
                        "epochs_done": r.epochs_done,
                        "epochs": r.config.get("epochs"),
                    }
                    for r in cell.records
                ],
            }
            for cell in found.cells
        ],
        "orphans": found.num_orphans,
        "unreadable": dict(found.unreadable),
    }


def _print_all(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if not rows:
        typer.echo("No experiment has results here yet. `segbench sweep EXPERIMENT` makes some.")
        return
    table = Table(box=None, header_style="bold")
    table.add_column("experiment")
    table.add_column("trials", justify="right")
    table.add_column("state")
    for row in rows:
        states = ", ".join(f"{count} {state}" for state, count in row["states"].items())
        table.add_row(escape(row["experiment"]), str(row["trials"]), states)
    Console(highlight=False).print(table)


def _print(found: Overview) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from segbench.records import State

    console = Console(highlight=False)
    states = [state for state in State if found.count(state)]
    table = Table(box=None, header_style="bold", title=f"{escape(found.name)}", title_justify="left")
    table.add_column("cell")
    table.add_column("done", justify="right")
    for state in states:
        table.add_column(str(state), justify="right")
    for cell in found.cells:
        counts = [str(cell.count(state) or "") for state in states]
        table.add_row(escape(cell.label), f"{cell.num_finished}/{cell.num_trials}", *counts)
    console.print(table)
    _print_running(found, console)
    _print_ended(found, console)
    if found.num_orphans:
        console.print(f"{found.num_orphans} on disk no longer in the design: kept, not reported.")
    for reason in found.unreadable.values():
        console.print(escape(f"Left out: {reason}"), soft_wrap=True)


def _print_running(found: Overview, console: Console) -> None:
    from rich.markup import escape

    from segbench.records import State
    from segbench.sweep.overview import last_epoch

    for cell, record in found.in_state(State.RUNNING):
        row = last_epoch(found.folder.trial(record.hash))
        values = "".join(f", {name} {row[name]:.4g}" for name in ("train_loss", "val_dice") if name in row)
        epochs = f"epoch {record.epochs_done} of {record.config.get('epochs')}{values}"
        console.print(escape(f"running  {cell.label}, seed {record.seed}: {epochs}"), soft_wrap=True)


def _print_ended(found: Overview, console: Console) -> None:
    """Print why trials stopped short, the last lines of the log with those that failed."""
    from rich.markup import escape

    from segbench.records import State
    from segbench.sweep.overview import log_tail

    for state in (State.DIVERGED, State.INTERRUPTED, State.FAILED):
        for cell, record in found.in_state(state):
            kind = f" ({record.failure})" if record.failure is not None else ""
            why = record.reason or "no reason is on record"
            line = f"{state}{kind}  {cell.label}, seed {record.seed}, {record.hash}: {why}"
            console.print(escape(line), soft_wrap=True)
            if state is State.FAILED:
                for logged in log_tail(found.folder.trial(record.hash)):
                    console.print(escape(f"    {logged}"), soft_wrap=True)
