"""What a figure is: facets of marks on axes, with every number, word, limit and tick decided.

Looks can be told apart by a colour-blind reader and on a grey print. matplotlib's locators choose the
ticks, once for all back ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pandas as pd
from matplotlib.ticker import LogLocator, MaxNLocator, ScalarFormatter

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#C58800", "#229DE2", "#7A4FB5", "#555555")
"""Okabe & Ito (2008) in an order of falling contrast on white, yellow and black replaced by violet and grey.

Their orange and sky blue are darker here: every colour has a contrast of 3 to 1 on white (WCAG 2.2, 1.4.11).

Reference: https://jfly.uni-koeln.de/color/
"""

DARK: Final = {
    "#0072B2": "#4FB0E8",
    "#D55E00": "#FF8A3D",
    "#009E73": "#2CCB9C",
    "#CC79A7": "#E79AC4",
    "#C58800": "#FFC04D",
    "#229DE2": "#9AD6F7",
    "#7A4FB5": "#B794F0",
    "#555555": "#B4B4B4",
    "#8A8A8A": "#9A9A9A",
}
"""The same colours on a dark page."""

_TEXT: Final = {
    "#D55E00": "#B85000",
    "#009E73": "#00805D",
    "#CC79A7": "#B54585",
    "#C58800": "#966800",
    "#229DE2": "#1673A8",
    "#8A8A8A": "#6E6E6E",
}

GREY: Final = "#8A8A8A"
DASHES: Final = ("solid", "dashed", "dotted", "dashdot")
MARKERS: Final = ("circle", "square", "triangle", "diamond", "down", "plus", "cross", "star")


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a mark is drawn."""

    colour: str = "#555555"
    dash: str = "solid"
    marker: str = "circle"
    is_hollow: bool = False
    size: float = 1.0
    """Of markers and lines, relative to the ordinary one."""
    alpha: float = 1.0


def text_colour(colour: str) -> str:
    """Return the colour of words about a mark: its own, darkened to a contrast of 4.5 to 1 on white."""
    return _TEXT.get(colour, colour)


def small(look: Look) -> Look:
    """Return the look of the markers on a line."""
    return replace(look, size=0.72 * look.size, alpha=1.0)


def colour(number: int) -> str:
    """Return the colour of level `number`; they repeat after eight."""
    return COLOURS[number % len(COLOURS)]


def marker(number: int) -> str:
    return MARKERS[number % len(MARKERS)]


VERDICT_COLOURS: Final = {"better": "#0072B2", "worse": "#D55E00", "equivalent": "#009E73"}


def verdict_look(verdict: str) -> Look:
    """Return the look of a contrast: colour and marker by verdict, grey where nothing is resolved."""
    markers = {"better": "circle", "worse": "square", "equivalent": "diamond"}
    for word in ("better", "worse", "equivalent"):
        if word in verdict:
            return Look(colour=VERDICT_COLOURS[word], marker=markers[word])
    return Look(colour="#555555" if verdict else GREY, marker="circle", is_hollow=True)


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


_MINUS = "−"
_MOST_LOG_TICKS = 4


def linear(
    values: Iterable[float], label: str, *, num_ticks: int = 5, pad: float = 0.05, whole: bool = False
) -> Scale:
    """Return a scale over the finite values, with round ticks inside it."""
    finite = [v for v in values if math.isfinite(v)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if high - low < 1e-9 * max(abs(high), 1e-9):
        margin = max(abs(high) * 0.05, 1e-3)
        low, high = low - margin, high + margin
    span = high - low
    low, high = low - pad * span, high + pad * span
    locator = MaxNLocator(num_ticks, steps=[1, 2, 2.5, 5, 10], integer=whole, min_n_ticks=1)
    ticks = tuple(float(t) for t in locator.tick_values(low, high) if low <= t <= high)
    formatter = ScalarFormatter(useOffset=False)
    formatter.set_scientific(False)
    formatter.create_dummy_axis()
    assert formatter.axis is not None
    formatter.axis.set_view_interval(low, high)
    labels = tuple(formatter.format_ticks(list(ticks)))
    return Scale(label=label, low=low, high=high, ticks=ticks, tick_labels=labels)


def logarithmic(values: Iterable[float], label: str) -> Scale:
    """Return a logarithmic scale with ticks at powers of ten, on a short one also at 2 and 5 times them."""
    finite = [v for v in values if math.isfinite(v) and v > 0]
    low, high = (min(finite), max(finite)) if finite else (1.0, 10.0)
    span = max(high / low, 1.5)
    low, high = low / span**0.12, high * span**0.12
    locator = LogLocator(subs=(1, 2, 5) if high / low < 300 else (1,), numticks=10_000)
    ticks = [float(t) for t in locator.tick_values(low, high) if low <= t <= high]
    ticks = ticks[:: -(-len(ticks) // _MOST_LOG_TICKS) or 1]
    if len(ticks) < 2:
        ticks = [low * 1.05, high / 1.05]
    return Scale(
        label=label,
        low=low,
        high=high,
        ticks=tuple(ticks),
        tick_labels=tuple(power_text(t) for t in ticks),
        is_log=True,
    )


def spread(values: Sequence[float], label: str) -> Scale:
    """Return a logarithmic scale if the values differ by more than five times, else a linear one."""
    finite = [v for v in values if math.isfinite(v)]
    if finite and min(finite) > 0 and max(finite) / min(finite) > 5:
        return logarithmic(finite, label)
    return linear(finite, label, pad=0.12)


def categories(labels: Sequence[str], label: str = "") -> Scale:
    """Return a scale with row 0 on top: row k is at y = -k."""
    positions = tuple(-float(k) for k in range(len(labels)))
    return Scale(
        label=label,
        low=-len(labels) + 0.4,
        high=0.6,
        ticks=positions,
        tick_labels=tuple(labels),
        is_category=True,
    )


def dodge(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions apart until neighbours are at least `gap` from each other; keep order and middle.

    Groups that touch are spread evenly around their mean, then moved inside [low, high] if they fit.
    """
    order = sorted(range(len(positions)), key=lambda k: positions[k])
    groups: list[tuple[list[int], float]] = []
    for index in order:
        members, mean = [index], positions[index]
        while groups and mean - groups[-1][1] < gap * (len(members) + len(groups[-1][0])) / 2 - 1e-12:
            lower, mean_lower = groups.pop()
            mean = (mean_lower * len(lower) + mean * len(members)) / (len(lower) + len(members))
            members = lower + members
        groups.append((members, mean))
    placed = [0.0] * len(positions)
    for members, mean in groups:
        height = gap * (len(members) - 1)
        start = max(low, min(mean - height / 2, high - height))
        for k, index in enumerate(members):
            placed[index] = start + k * gap
    return placed


def power_text(value: float) -> str:
    """Return `0.01`, `20`, `1e−5`."""
    text = f"{value:.3g}"
    if 1e-3 <= value < 1e5:
        return text
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}".replace("-", _MINUS)
