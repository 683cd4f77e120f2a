"""Where everything of a figure stands, in centimetres from the top left: the same for both back ends."""

from __future__ import annotations

import itertools
import math
import unicodedata
import warnings
from dataclasses import dataclass, replace
from functools import lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from segbench.report.draw.figure import Facet, Figure, Key, Scale

FONT = "DejaVu Sans"
TEXT_PT = 8.0
TITLE_PT = 8.5
CM_PER_INCH = 2.54
ROW_CM = 0.62
TALL_ROW_CM = 0.8
"""A row of categories, with one and with two lines of text."""
LINE_CM = 0.36
_LEGEND_CM = 0.5
_SWATCH_CM = 0.62
_TITLE_CM = 0.5
_TICKS_CM = 0.48
_LABEL_CM = 0.46
_GAP_CM = 0.45
_TOP_CM = 0.12
_BETWEEN_CM = 0.12
"""Least distance of two tick labels."""


@dataclass(frozen=True)
class Box:
    """A plot area."""

    left: float
    top: float
    width: float
    height: float

    def x(self, value: float, scale: Scale) -> float:
        """Return the distance of a value from the left of the figure."""
        return self.left + self.width * _share(value, scale)

    def y(self, value: float, scale: Scale) -> float:
        """Return the distance of a value from the top of the figure."""
        return self.top + self.height * (1 - _share(value, scale))


@dataclass(frozen=True)
class Placed:
    """A facet in its box, with its title and ticks cut to fit, and what it shows of its axes."""

    facet: Facet
    box: Box
    shows_y: bool
    shows_x_label: bool


@dataclass(frozen=True)
class PlacedKey:
    key: Key
    left: float
    middle: float
    """Distance of the entry's middle from the top."""


@dataclass(frozen=True)
class Layout:
    width: float
    height: float
    facets: tuple[Placed, ...]
    keys: tuple[PlacedKey, ...]


@lru_cache(maxsize=20_000)
def text_width(text: str) -> float:
    """Return the width in cm of a text at 8 pt in DejaVu Sans, the widest of the fonts that draw it.

    The font lacks the scripts of wide characters; each counts as wide as an em dash.
    """
    known = "".join("—" if unicodedata.east_asian_width(c) in "WF" else c for c in text)
    with warnings.catch_warnings(action="ignore"):
        width, _, _ = text_to_path.get_text_width_height_descent(known, _font(), ismath=False)
    return float(width) / 72 * CM_PER_INCH


@lru_cache(maxsize=1)
def _font() -> FontProperties:
    return FontProperties(family=FONT, size=TEXT_PT)


def shortened(text: str, width_cm: float) -> str:
    """Return the text, or its beginning and end around an ellipsis if it is wider than `width_cm`."""
    kept = len(text)
    while kept > 6 and text_width(text) > width_cm:
        kept -= 1
        head = math.ceil(kept / 2)
        candidate = f"{text[:head].rstrip()}…{text[len(text) - (kept - head) :].lstrip()}"
        if text_width(candidate) <= width_cm:
            return candidate
    return text


def wrapped(text: str, width_cm: float) -> str:
    """Break a text into at most two lines of a width; what does not fit is cut in the middle."""
    if text_width(text) <= width_cm:
        return text
    breaks = [k + 1 for k, c in enumerate(text[:-1]) if c in " ,_-/"]
    balanced = [k for k in breaks if max(text_width(text[:k].rstrip()), text_width(text[k:])) <= width_cm]
    if balanced:
        k = min(balanced, key=lambda k: abs(len(text) / 2 - k))
        return f"{text[:k].rstrip()}\n{text[k:]}"
    start = next(k for k in range(len(text), 0, -1) if text_width(text[:k]) <= width_cm)
    start = max((k for k in breaks if start / 2 < k <= start), default=start)
    return f"{text[:start].rstrip()}\n{shortened(text[start:], width_cm)}"


def place(figure: Figure) -> Layout:
    """Lay out the legend on top and the rows of facets below it."""
    keys, top = _legend(figure)
    columns = figure.columns
    between = _GAP_CM if figure.shares_y else figure.left_cm
    width = (figure.width_cm - figure.left_cm - figure.right_cm - between * (columns - 1)) / columns
    facets: list[Placed] = []
    for row, below in itertools.zip_longest(figure.facets, figure.facets[1:], fillvalue=()):
        top += _TITLE_CM if any(facet.title for facet in row) else 0.0
        ends = -math.inf
        for column, facet in enumerate(row):
            box = Box(figure.left_cm + column * (width + between), top, width, figure.row_height_cm)
            is_repeated = column < len(below) and below[column].x == facet.x
            x, ends = _apart(facet.x, box, ends if figure.shares_y else -math.inf)
            shown = replace(facet, x=x, title=shortened(facet.title, 0.93 * width))
            facets.append(Placed(shown, box, column == 0 or not figure.shares_y, not is_repeated))
        top += figure.row_height_cm + _TICKS_CM
        top += _LABEL_CM if any(placed.shows_x_label for placed in facets[-len(row) :]) else 0.12
    return Layout(figure.width_cm, top + 0.05, tuple(facets), keys)


def _share(value: float, scale: Scale) -> float:
    """Return 0 at the low end of a scale, 1 at its high end."""
    if scale.is_log:
        return math.log(value / scale.low) / math.log(scale.high / scale.low)
    return (value - scale.low) / (scale.high - scale.low)


def _apart(scale: Scale, box: Box, before: float) -> tuple[Scale, float]:
    """Keep every k-th tick, so that labels touch neither each other nor one that ends at `before`.

    Returns the scale and where its last label ends.
    """
    ticks = list(zip(scale.ticks, scale.tick_labels, strict=True))
    spans = [(box.x(t, scale) - text_width(s) / 2, box.x(t, scale) + text_width(s) / 2) for t, s in ticks]
    first = next((k for k, (start, _) in enumerate(spans) if start > before + _BETWEEN_CM), len(spans))
    for step in range(1, len(spans) - first + 1):
        kept = spans[first::step]
        if all(end + _BETWEEN_CM <= start for (_, end), (start, _) in itertools.pairwise(kept)):
            chosen = ticks[first::step]
            fewer = replace(scale, ticks=tuple(t for t, _ in chosen), tick_labels=tuple(s for _, s in chosen))
            return fewer, kept[-1][1]
    return scale, spans[-1][1] if spans else before


def _legend(figure: Figure) -> tuple[tuple[PlacedKey, ...], float]:
    placed: list[PlacedKey] = []
    left, middle = 0.1, _TOP_CM + _LEGEND_CM / 2
    for key in figure.legend:
        width = _SWATCH_CM + text_width(key.text) + 0.45
        if left > 0.1 and left + width > figure.width_cm:
            left, middle = 0.1, middle + _LEGEND_CM
        placed.append(PlacedKey(key, left, middle))
        left += width
    return tuple(placed), (middle + _LEGEND_CM / 2 + 0.1 if placed else _TOP_CM)
