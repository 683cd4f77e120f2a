"""Columns of numbers whose text, order and hint all come from their traces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segbench.report.labels import Labels
from segbench.report.numbers import NONE
from segbench.report.tables.table import Column, Field
from segbench.report.trace import Value, key_of


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
    return tuple(Column(title=labels.name(axis), is_number=False) for axis in labels.axes or ["cell"])


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
