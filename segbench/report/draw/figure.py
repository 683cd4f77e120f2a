"""What a figure is: facets of marks on axes, with every number and every word decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from segbench.report.draw.palette import Look


@dataclass(frozen=True, kw_only=True)
class Scale:
    """One axis of a facet."""

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]
    tick_labels: tuple[str, ...]
    is_log: bool = False
    is_category: bool = False
    """Ticks are names of rows: no grid across them, no axis line."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A series: a line with a band, or points with intervals."""

    key: str
    """ASCII name, unique in the figure: prefix of its columns in the data file."""
    name: str
    """What the legend and the toggles call it; marks of one name are toggled together."""
    look: Look
    x: tuple[float, ...]
    y: tuple[float, ...]
    kind: str = "line"
    """`line` or `points`."""
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    """Line: band around y. Points: interval, along x if `is_horizontal`, else along y. Empty: none."""
    is_horizontal: bool = True
    hover: tuple[str, ...] = ()
    """One text a point."""
    traces: tuple[str, ...] = ()
    """What the number of each point rests on (of a line with `readings` one text for all); empty: `hover`
    names its trial."""
    label: str = ""
    """What a readout calls a line where `name` is not enough (`BatchNorm, validation`)."""
    readings: tuple[str, ...] = ()
    """Line: its value at each point, in print; the HTML page reads all lines of a facet at the pointer."""
    marked: tuple[int, int] | None = None
    """Line: draw the look's marker at the first of these points and at every so many after it; None: none.
    Without colour it is the markers that tell lines apart."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """A word inside or beside the plot area."""

    y: float
    text: str
    look: Look | None = None


@dataclass(frozen=True, kw_only=True)
class Word:
    """A text at a point of the plot area."""

    x: float
    y: float
    text: str
    anchor: str = "middle"
    """Which part of it stands at x: `start`, `middle` or `end`; its middle stands at y."""


@dataclass(frozen=True, kw_only=True)
class Facet:
    """One plot area."""

    x: Scale
    y: Scale
    marks: tuple[Mark, ...]
    title: str = ""
    region: tuple[float, float] | None = None
    """Shaded from this x to that x."""
    verticals: tuple[float, ...] = ()
    """Lines of reference at these x."""
    right: tuple[Note, ...] = ()
    """Words in the right margin: numbers of a row, or names of lines at their ends."""
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Key:
    """An entry of the legend."""

    text: str
    look: Look
    kind: str = "line"
    """`line`, `points`, `marked` (a line with its marker) or `region`."""


def in_rows(facets: Sequence[Facet], columns: int) -> tuple[tuple[Facet, ...], ...]:
    """Arrange facets in rows of so many; the last may be shorter."""
    return tuple(tuple(facets[k : k + columns]) for k in range(0, len(facets), columns))


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Everything a renderer needs."""

    name: str
    """File name without suffix."""
    title: str
    caption: str
    facets: tuple[tuple[Facet, ...], ...]
    """Rows of facets from top to bottom."""
    width_cm: float
    row_height_cm: float
    """Height of one plot area."""
    left_cm: float
    """Room for tick labels and label of the y axis."""
    right_cm: float = 0.3
    """Room for `Facet.right`."""
    legend: tuple[Key, ...] = ()
    shares_y: bool = True
    """Facets of a row have one y scale: only the first shows its ticks."""

    @property
    def marks(self) -> list[Mark]:
        return [mark for row in self.facets for facet in row for mark in facet.marks]

    @property
    def columns(self) -> int:
        return max(len(row) for row in self.facets)

    def table(self) -> pd.DataFrame:
        """Return the numbers drawn: `KEY_x`, `KEY_y`, `KEY_low`, `KEY_high` of each mark, padded with NaN."""
        columns = {}
        for mark in self.marks:
            columns[f"{mark.key}_x"] = pd.Series(mark.x, dtype=float)
            columns[f"{mark.key}_y"] = pd.Series(mark.y, dtype=float)
            if mark.low:
                columns[f"{mark.key}_low"] = pd.Series(mark.low, dtype=float)
                columns[f"{mark.key}_high"] = pd.Series(mark.high, dtype=float)
        return pd.DataFrame(columns)
