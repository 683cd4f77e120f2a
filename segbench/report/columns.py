"""What several tables need: rows of a frame, tones of verdicts, values that may be missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from segbench.report.labels import Labels
from segbench.report.numbers import NONE
from segbench.report.table import Column, Field, Table
from segbench.report.trace import Value, key_of

_TONES: Final = {
    "better": "good",
    "worse": "bad",
    "equivalent": "same",
    "unresolved": "open",
    "supported": "good",
    "contradicted": "bad",
    "not judged": "open",
}


def rows_of(frame: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return a frame's rows as mappings from column to value; none where the report has no such frame."""
    return (
        []
        if frame is None or frame.empty
        else [{str(k): v for k, v in row.items()} for row in frame.to_dict(orient="records")]
    )


def tone_of(verdict: str) -> str:
    """Return the tone of a verdict: `good`, `bad`, `same` or `open`; empty for other words."""
    return next((tone for word, tone in _TONES.items() if word in verdict), "")


def is_known(value: Any) -> bool:
    """Whether a value is there and no NaN."""
    return value is not None and value == value


def is_text(value: Any) -> bool:
    """Whether a value is text, and not empty."""
    return isinstance(value, str) and bool(value)


def without_empty(table: Table) -> Table:
    """Leave out the columns of numbers in which no row has one."""
    kept = [
        k
        for k, column in enumerate(table.columns)
        if not column.is_number or any(row[k].text != NONE for row in table.rows)
    ]
    rows = tuple(tuple(row[k] for k in kept) for row in table.rows)
    return replace(table, columns=tuple(table.columns[k] for k in kept), rows=rows)


# Columns of numbers whose text, order and hint all come from their traces.


@dataclass(frozen=True)
class Numbered:
    """Some numbers of a traced frame (`trace_frames.FRAMES`), a column each."""

    labels: Labels
    frame: str
    shown: Sequence[tuple[str, str]]
    """Title of the column, name of the number."""
    not_in_print: frozenset[str] = frozenset()
    """Names of numbers for which the PDF has no room."""

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(
            Column(title=title, in_print=name not in self.not_in_print) for title, name in self.shown
        )

    def fields(self, subject: str) -> tuple[Field, ...]:
        """Return the numbers of a row.

        Args:
            subject: What the row is about, as `Trace.subject` says it.
        """
        return tuple(self._field(subject, name) for _, name in self.shown)

    def _field(self, subject: str, name: str) -> Field:
        trace = self.labels.traces.by_key[key_of(self.frame, subject, name)]
        hover = self.labels.traces.hover(self.frame, subject, name)
        low, high = _ends(trace.value)
        return Field(text=trace.printed, sort=low, high=high, hover=hover)


def cell_columns(labels: Labels) -> tuple[Column, ...]:
    """Return the columns that name a cell: one an axis."""
    return tuple(Column(title=labels.axis(axis), is_number=False) for axis in labels.axes or ["cell"])


def cell_fields(labels: Labels, cell: str) -> tuple[Field, ...]:
    """Return what stands in `cell_columns`."""
    levels = labels.levels(cell)
    names = [labels.name(levels[axis]) or NONE for axis in labels.axes] or [labels.cell(cell)]
    return tuple(Field(text=name) for name in names)


def _ends(value: Value) -> tuple[float | None, float | None]:
    """Return both ends of an interval; of one number itself and None."""
    if isinstance(value, tuple):
        return value[0], value[-1]
    return (value if isinstance(value, float) else None), None
