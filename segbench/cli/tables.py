"""Tables as a terminal and a pipe show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as Grid

    from segbench.report.tables.table import Table


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
        justify = "right" if column.is_number else "left"
        laid_out.add_column(Text(titles[column.title]), justify=justify, no_wrap=column.is_number)
    for row in table.rows:
        laid_out.add_row(*(Text(row[k].text, style="bold" if row[k].is_bold else "") for k in kept))
    return laid_out
