"""What commands print: numbers, paths, tables, JSON, progress, and what changed since the last sweep."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from segbench.config.load import shown_path
from segbench.wording import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as Grid

    from segbench.plan.history import Changes
    from segbench.plan.plan import Plan
    from segbench.report.table import Table


def duration(seconds: float) -> str:
    """Write a time: `40 s`, `25 min`, `3.2 h`."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def size(num_bytes: float) -> str:
    """Write an amount of data: `12.3 MiB`, `4.5 GiB`."""
    mib = num_bytes / 2**20
    return f"{mib:,.1f} MiB" if mib < 1024 else f"{mib / 1024:,.1f} GiB"


def print_json(value: Any) -> None:
    """Print plain values for programs."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def say_file(path: Path, *, is_changed: bool) -> None:
    """Print a file that was to be written; one that stood as it should is unchanged."""
    typer.echo(f"{shown_path(path)}{'' if is_changed else ' (unchanged)'}")


# Tables as a terminal and a pipe show them.


_UNWRAPPED: Final = 10_000
"""Characters of a line; rich wants a number."""


def console() -> Console:
    """Return a console that fits rows to a terminal, and leaves them as wide as they are in a pipe."""
    from rich.console import Console

    found = Console(highlight=False)
    if not found.is_terminal:
        found.width = _UNWRAPPED
    return found


def grid(table: Table, titles: Mapping[str, str] | None = None) -> Grid:
    """Lay a table of a report out for rich; numbers stand to the right and are never wrapped.

    Args:
        table: With its columns as the pages have them.
        titles: Columns to show, those that fit a terminal: title on the pages -> title here; None: all.
    """
    from rich.table import Table as Grid
    from rich.text import Text

    if titles is None:
        titles = {column.title: column.title for column in table.columns}
    kept = [k for k, column in enumerate(table.columns) if column.title in titles]
    laid_out = Grid(box=None, pad_edge=False, header_style="dim")
    for column in (table.columns[k] for k in kept):
        laid_out.add_column(
            Text(titles[column.title]),
            justify="right" if column.is_number else "left",
            no_wrap=column.is_number,
        )
    for row in table.rows:
        laid_out.add_row(*(Text(row[k].text, style="bold" if row[k].is_bold else "") for k in kept))
    return laid_out


# A progress bar over files or guards, for commands that decode, copy, unpack or look.


@contextmanager
def file_bar(what: str, *, has_lines: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Give a function to be told (done, total); the bar appears at the first call.

    In a terminal it is redrawn in place; in a pipe a line is printed every tenth where `has_lines` is True.
    """
    if not sys.stderr.isatty():
        yield _lines(what) if has_lines else lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: list[TaskID] = []

        def show(done: int, total: int) -> None:
            if not tasks:
                tasks.append(progress.add_task(what, total=total))
            progress.update(tasks[0], completed=done, total=total)

        yield show


def _lines(what: str) -> Callable[[int, int], None]:
    printed = 0

    def show(done: int, total: int) -> None:
        nonlocal printed
        tenths = 10 * done // max(total, 1)
        if tenths > printed:
            printed = tenths
            print(f"{done:,} of {total:,} {what}", file=sys.stderr, flush=True)

    return show


# What a command says of a file that changed since its last sweep.


def check_changes(design: Plan, *, may_supersede: bool) -> None:
    """Print what changed since the last sweep, and note that what it asked for was complete.

    Args:
        design: The plan of all of it.
        may_supersede: Whether finished trials may be left behind.

    Raises:
        ExperimentError: Finished trials would be left behind, and nobody has said that they may.
        ResultsError: `history.csv` is damaged.
    """
    from segbench.errors import ExperimentError
    from segbench.plan.history import find_changes, note_before
    from segbench.store.history import read_history

    read_history(design.folder)  # a damaged one is refused before any work starts
    changes = find_changes(design)
    if changes is None:
        return
    print_changes(changes)
    if changes.superseded and not may_supersede:
        raise ExperimentError(refusal(design.experiment.name, changes))
    if changes.before is not None:
        note_before(changes.before, design.folder)


def print_changes(changes: Changes) -> None:
    """Print what changed, and what that does to the trials."""
    typer.echo("changed since the last sweep:")
    for line in (*changes.lines, *changes.effects):
        typer.echo(f"  {line}")


def refusal(name: str, changes: Changes) -> str:
    """Say why a sweep does not go on by itself, and the two ways out."""
    from segbench.errors import message

    trials = counted(len(changes.superseded), "finished trial")
    return message(
        name,
        f"the baseline or a level means something else than at the last sweep, which leaves {trials} behind",
        see="--supersede goes on in the same folder: they are kept, listed and not reported; --as NAME runs "
        "the changed file under another name and leaves these results as they are",
    )
