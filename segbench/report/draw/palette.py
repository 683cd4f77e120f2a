"""Looks that a colour-blind reader and a grey printer can tell apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

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
