"""A progress bar over files or guards, for commands that decode, copy, unpack or look."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def file_bar(what: str, *, has_lines: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Give a function to be told (done, total); the bar appears at the first call.

    In a terminal it is redrawn in place; in a pipe a line is printed every tenth where `has_lines` is True.
    """
    if not sys.stderr.isatty():
        yield _Lines(what) if has_lines else _say_nothing
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks = []

        def show(done: int, total: int) -> None:
            if not tasks:
                tasks.append(progress.add_task(what, total=total))
            progress.update(tasks[0], completed=done, total=total)

        yield show


def _say_nothing(done: int, total: int) -> None:
    """Take a step of what is done in seconds."""


class _Lines:
    def __init__(self, what: str) -> None:
        self._what = what
        self._tenths = 0

    def __call__(self, done: int, total: int) -> None:
        tenths = 10 * done // max(total, 1)
        if tenths > self._tenths:
            self._tenths = tenths
            print(f"{done:,} of {total:,} {self._what}", file=sys.stderr, flush=True)
