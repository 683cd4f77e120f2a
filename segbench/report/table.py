"""What a table is, before a page writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Field:
    """One cell of a table."""

    text: str
    text_in_print: str = ""
    """What stands in the PDF instead; empty: the text."""
    sort: float | None = None
    """What the column is sorted by, with all of its digits; None: the text."""
    high: float | None = None
    """Of an interval or a range: its upper end; `sort` is the lower one."""
    is_bold: bool = False
    tone: str = ""
    """`good`, `bad`, `same` or `open`: colour in the HTML page; never the only carrier of a meaning."""
    hover: str = ""
    """What the HTML page tells of a number that is pointed at or focused: its trials and its formula."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column; text wraps, numbers do not."""

    title: str
    is_number: bool = True
    in_print: bool = True
    """Whether the PDF has room for it; the other pages show all columns."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows under columns, with a caption and a note."""

    name: str
    """File name without suffix."""
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Field, ...], ...]
    note: str = ""


_TONES: Final = {
    "better": "good",
    "worse": "bad",
    "equivalent": "same",
    "unresolved": "open",
    "supported": "good",
    "contradicted": "bad",
    "not judged": "open",
}


def tone_of(verdict: str) -> str:
    """Return the tone of a verdict: `good`, `bad`, `same` or `open`; empty for other words."""
    return next((tone for word, tone in _TONES.items() if word in verdict), "")
