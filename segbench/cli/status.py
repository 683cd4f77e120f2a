"""`segbench status`: where experiments stand, once or as it changes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from segbench.cli.options import (
    AsOption,
    JsonOption,
    OptionalExperimentArgument,
    ScaleOption,
    SetOption,
    SmokeOption,
)
from segbench.cli.printing import console, duration
from segbench.records import State
from segbench.wording import counted

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from segbench.plan.overview import Overview

WATCH_S: Final = 2.0
"""How often `--watch` looks."""


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

    Cell by cell, with what runs, what failed and why, and the time left; without a name, one line per
    experiment.
    """
    from segbench.errors import ExperimentError, message

    if watch and (as_json or experiment is None):
        raise ExperimentError(message("--watch", "it takes an experiment, and does not go with --json"))
    if experiment is None:
        rows = _all_experiments()
        _print_json(rows) if as_json else _print_all(rows)
        return
    from segbench.config.load import load_experiment
    from segbench.plan.overview import look_over

    loaded = load_experiment(experiment, scale=scale, overrides=set_ or (), smoke=smoke, name=as_)
    if watch:
        watch_overview(lambda: look_over(loaded))
    elif as_json:
        _print_json(_content(look_over(loaded)))
    else:
        to = console()
        for part in _parts(look_over(loaded)):
            to.print(part, soft_wrap=True)


def _all_experiments() -> list[dict[str, Any]]:
    from segbench.config.project import Project
    from segbench.plan.overview import count_states, experiments_with_results

    rows = []
    for folder in experiments_with_results(Project.around(Path.cwd())):
        counts = count_states(folder)
        states = {str(state): count for state, count in counts.items() if count}
        rows.append({"experiment": folder.name, "trials": sum(counts.values()), "states": states})
    return rows


def _print_json(content: object) -> None:
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False))


def _content(found: Overview) -> dict[str, Any]:
    from segbench.plan.overview import time_left_s

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


def watch_overview(look: Callable[[], Overview], *, interval_s: float = WATCH_S) -> None:
    """Show where an experiment stands until nothing is left to do, or until Ctrl-C.

    In a terminal it is redrawn in place; in a pipe it is printed anew when it has changed.
    """
    from rich.console import Group
    from rich.live import Live

    to = console()
    found = look()
    if not to.is_terminal:
        shown: list[str] = []
        while True:
            with to.capture() as capture:
                for part in _parts(found):
                    to.print(part, soft_wrap=True)
            if not shown or shown[-1] != capture.get():
                shown = [capture.get()]
                print(shown[0], end="", flush=True)
            if _is_over(found):
                return
            time.sleep(interval_s)
            found = look()
    with Live(Group(*_parts(found)), console=to, auto_refresh=False) as live:
        while not _is_over(found):
            time.sleep(interval_s)
            found = look()
            live.update(Group(*_parts(found)), refresh=True)


def _is_over(found: Overview) -> bool:
    ended = sum(found.count(state) for state in State if state.has_ended)
    return ended >= found.num_trials


def _parts(found: Overview) -> Iterator[RenderableType]:
    from rich.text import Text

    from segbench.plan.overview import time_left_s

    yield _table(found)
    yield from (Text(line) for line in [*_running(found), *_ended(found)])
    if found.look:
        yield Text(found.look)
    left = time_left_s(found)
    if left is not None:
        yield Text(
            f"about {duration(left)} left with {counted(found.count(State.RUNNING), 'trial')} at a time"
        )
    if found.num_orphans:
        yield Text(f"{found.num_orphans} on disk no longer in the design: kept, not reported.")
    for reason in found.unreadable.values():
        yield Text(f"Left out: {reason}")


def _table(found: Overview) -> Table:
    from rich.markup import escape
    from rich.table import Table

    states = [state for state in State if found.count(state)]
    table = Table(box=None, header_style="bold", title=escape(found.name), title_justify="left")
    table.add_column("cell")
    table.add_column("done", justify="right")
    for state in states:
        table.add_column(str(state), justify="right")
    for cell in found.cells:
        counts = [str(cell.count(state) or "") for state in states]
        table.add_row(escape(cell.label), f"{cell.num_finished}/{cell.num_trials}", *counts)
    return table


def _running(found: Overview) -> Iterator[str]:
    from segbench.plan.overview import last_epoch

    for cell, record in found.in_state(State.RUNNING):
        row = last_epoch(found.folder.trial(record.hash))
        values = "".join(f", {name} {row[name]:.4g}" for name in ("train_loss", "val_dice") if name in row)
        epochs = f"epoch {record.epochs_done} of {record.config.get('epochs')}{values}"
        yield f"running  {cell.label}, seed {record.seed}: {epochs}"


def _ended(found: Overview) -> Iterator[str]:
    """Say why trials stopped short, with the last lines of the log of those that failed."""
    from segbench.plan.overview import log_tail

    stopped = (state for state in State if state.has_reason and state.urgency)
    for state in sorted(stopped, key=lambda state: state.urgency):
        for cell, record in found.in_state(state):
            kind = f" ({record.failure})" if record.failure is not None else ""
            why = record.reason or "no reason is on record"
            yield f"{state}{kind}  {cell.label}, seed {record.seed}, {record.hash}: {why}"
            if state is State.FAILED:
                yield from (f"    {logged}" for logged in log_tail(found.folder.trial(record.hash)))
