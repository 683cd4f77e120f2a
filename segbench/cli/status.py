"""`segbench status`: where experiments stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli.options import (
    AsOption,
    JsonOption,
    OptionalExperimentArgument,
    ScaleOption,
    SetOption,
    SmokeOption,
)
from segbench.cli.printing import console

if TYPE_CHECKING:
    from segbench.plan.overview import Overview


def status(
    experiment: OptionalExperimentArgument = None,
    scale: ScaleOption = None,
    set_: SetOption = None,
    smoke: SmokeOption = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it anew as it changes, until nothing is left to do.")
    ] = False,
    as_: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show where an experiment stands.

    Cell by cell, with what runs, what failed and why, and the time left; without a name, a line for each
    experiment.
    """
    import json

    from segbench.errors import ExperimentError, message

    if watch and (as_json or experiment is None):
        raise ExperimentError(message("--watch", "it takes an experiment, and does not go with --json"))

    if experiment is None:
        rows = _all_experiments()
        if as_json:
            typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        else:
            _print_all(rows)
        return
    from segbench.config.load import load_experiment
    from segbench.plan.overview import look_over

    loaded = load_experiment(experiment, scale=scale, overrides=set_ or (), smoke=smoke, name=as_)
    if watch:
        from segbench.cli.status_view import watch_overview

        watch_overview(lambda: look_over(loaded))
        return
    found = look_over(loaded)
    if as_json:
        typer.echo(json.dumps(_content(found), indent=2, ensure_ascii=False))
    else:
        from segbench.cli.status_view import print_overview

        print_overview(found)


def _all_experiments() -> list[dict[str, Any]]:
    from pathlib import Path

    from segbench.config.project import Project
    from segbench.plan.overview import count_states, experiments_with_results

    rows = []
    for folder in experiments_with_results(Project.around(Path.cwd())):
        counts = count_states(folder)
        states = {str(state): count for state, count in counts.items() if count}
        rows.append({"experiment": folder.name, "trials": sum(counts.values()), "states": states})
    return rows


def _content(found: Overview) -> dict[str, Any]:
    from segbench.plan.overview import time_left_s
    from segbench.records import State

    return {
        "experiment": found.name,
        "look": found.look,
        "time_left_s": time_left_s(found),
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
    console().print(table)
