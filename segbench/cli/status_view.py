"""What `segbench status EXPERIMENT` prints, once or as it changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from segbench.cli.printing import console, duration
from segbench.plan.overview import last_epoch, log_tail, time_left_s
from segbench.records import State
from segbench.wording import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from segbench.plan.overview import Overview

WATCH_S: Final = 2.0
"""How often `--watch` looks."""


def print_overview(found: Overview) -> None:
    """Print where an experiment stands."""
    to = console()
    for part in _parts(found):
        to.print(part, soft_wrap=True)


def watch_overview(look: Callable[[], Overview], *, interval_s: float = WATCH_S) -> None:
    """Show where an experiment stands until nothing is left to do, or until Ctrl-C.

    In a terminal it is redrawn in place; in a pipe it is printed anew when it has changed.
    """
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
    yield _table(found)
    yield from (Text(line) for line in _running(found))
    yield from (Text(line) for line in _ended(found))
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
    states = [state for state in State if found.count(state)]
    table = Table(box=None, header_style="bold", title=f"{escape(found.name)}", title_justify="left")
    table.add_column("cell")
    table.add_column("done", justify="right")
    for state in states:
        table.add_column(str(state), justify="right")
    for cell in found.cells:
        counts = [str(cell.count(state) or "") for state in states]
        table.add_row(escape(cell.label), f"{cell.num_finished}/{cell.num_trials}", *counts)
    return table


def _running(found: Overview) -> Iterator[str]:
    for cell, record in found.in_state(State.RUNNING):
        row = last_epoch(found.folder.trial(record.hash))
        values = "".join(f", {name} {row[name]:.4g}" for name in ("train_loss", "val_dice") if name in row)
        epochs = f"epoch {record.epochs_done} of {record.config.get('epochs')}{values}"
        yield f"running  {cell.label}, seed {record.seed}: {epochs}"


def _ended(found: Overview) -> Iterator[str]:
    """Say why trials stopped short, with the last lines of the log of those that failed."""
    stopped = (state for state in State if state.has_reason and state.urgency)
    for state in sorted(stopped, key=lambda state: state.urgency):
        for cell, record in found.in_state(state):
            kind = f" ({record.failure})" if record.failure is not None else ""
            why = record.reason or "no reason is on record"
            yield f"{state}{kind}  {cell.label}, seed {record.seed}, {record.hash}: {why}"
            if state is State.FAILED:
                yield from (f"    {logged}" for logged in log_tail(found.folder.trial(record.hash)))
