"""Where everything of a figure stands, in centimetres from the top left: the same for all renderers."""

from __future__ import annotations

import itertools
import math
import unicodedata
from dataclasses import dataclass, replace

from segbench.report.draw.figure import Facet, Figure, Key, Scale

TEXT_PT = 8.0
TITLE_PT = 8.5
ROW_CM = 0.62
TALL_ROW_CM = 0.8
"""A row of categories, with one and with two lines of text."""
_EM_CM = TEXT_PT / 72.27 * 2.54
_WIDTHS = (
    ("ijlI|'", 0.29),
    (" .,:;!()[]/\\ft-", 0.39),
    ("rs_", 0.5),
    ("mMwW%…", 0.98),
    ("−+=<>~^×±", 0.84),
    ("ABCDEFGHKLNOPQRSTUVXYZ&#", 0.72),
)
"""Widths of characters in em; 0.64 for all others."""
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
        """Return where a value stands, from the left of the figure."""
        return self.left + self.width * share(value, scale)

    def y(self, value: float, scale: Scale) -> float:
        return self.top + self.height * (1 - share(value, scale))


@dataclass(frozen=True)
class Placed:
    """A facet in its box, with what it shows of its axes."""

    facet: Facet
    box: Box
    shows_y: bool
    shows_x_label: bool


@dataclass(frozen=True)
class PlacedKey:
    key: Key
    left: float
    middle: float
    """Height of the entry's middle, from the top."""


@dataclass(frozen=True)
class Geometry:
    width: float
    height: float
    facets: tuple[Placed, ...]
    keys: tuple[PlacedKey, ...]


def share(value: float, scale: Scale) -> float:
    """Return 0 at the low end of a scale, 1 at its high end."""
    if scale.is_log:
        return math.log(value / scale.low) / math.log(scale.high / scale.low)
    return (value - scale.low) / (scale.high - scale.low)


def text_width(text: str) -> float:
    """Return the width in cm of a text at 8 pt in DejaVu Sans, the widest of the fonts that draw it."""
    return _EM_CM * sum(_em(character) for character in text)


def _em(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    return next((width for characters, width in _WIDTHS if character in characters), 0.64)


def shortened(text: str, width_cm: float) -> str:
    """Return the text, or its beginning and end around an ellipsis where it is wider than `width_cm`."""
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


def place(figure: Figure) -> Geometry:
    """Lay out the legend on top and the rows of facets below it."""
    keys, top = _legend(figure)
    columns = figure.columns
    between = _GAP_CM if figure.shares_y else figure.left_cm
    width = (figure.width_cm - figure.left_cm - figure.right_cm - between * (columns - 1)) / columns
    facets: list[Placed] = []
    for number, row in enumerate(figure.facets):
        top += _TITLE_CM if any(facet.title for facet in row) else 0.0
        for column, facet in enumerate(row):
            box = Box(figure.left_cm + column * (width + between), top, width, figure.row_height_cm)
            below = figure.facets[number + 1] if number + 1 < len(figure.facets) else ()
            is_repeated = column < len(below) and below[column].x == facet.x
            before = facets[-1] if column and figure.shares_y else None
            shown = replace(facet, x=_apart(facet.x, box, before))
            facets.append(Placed(shown, box, column == 0 or not figure.shares_y, not is_repeated))
        top += figure.row_height_cm + _TICKS_CM
        is_last_label = any(p.shows_x_label for p in facets[-len(row) :])
        top += _LABEL_CM if is_last_label else 0.12
    return Geometry(figure.width_cm, top + 0.05, tuple(facets), keys)


def _apart(scale: Scale, box: Box, before: Placed | None) -> Scale:
    """Return a scale whose labels touch neither each other nor those of the plot before: every k-th tick."""
    ends = -math.inf
    if before is not None and before.facet.x.ticks:
        last = before.facet.x
        ends = before.box.x(last.ticks[-1], last) + text_width(last.tick_labels[-1]) / 2
    places = [
        (box.x(t, scale), text_width(label)) for t, label in zip(scale.ticks, scale.tick_labels, strict=True)
    ]
    first = next(
        (k for k, (x, width) in enumerate(places) if x - width / 2 > ends + _BETWEEN_CM), len(places)
    )
    for step in range(1, len(places) + 1):
        kept = places[first::step]
        neighbours = itertools.pairwise(kept)
        if all(x + w / 2 + _BETWEEN_CM <= y - v / 2 for (x, w), (y, v) in neighbours):
            return replace(scale, ticks=scale.ticks[first::step], tick_labels=scale.tick_labels[first::step])
    return scale


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
