"""WCAG 2.2 AA, computed: words have a contrast of 4.5 to 1 on what is behind them, lines and marks 3 to 1."""

from __future__ import annotations

import itertools
import re
from importlib import resources

import pytest

from segbench.report.draw.figure import COLOURS, DARK, GREY, VERDICT_COLOURS, text_colour

CSS = (resources.files("segbench.report.pages") / "report.css").read_text(encoding="utf-8")
WORDS = ("ink", "soft", "link", "good", "bad", "same", "open")
GROUNDS = ("page", "card")


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def theme(name: str) -> dict[str, str]:
    start = r':root\[data-theme="dark"\] \{' if name == "dark" else r"^:root \{"
    block = re.search(start + r"(.*?)\}", CSS, re.DOTALL | re.MULTILINE)
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block[1]))


def test_the_formula_gives_the_standards_own_values():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_words_and_frames_on_the_page(name):
    colours = theme(name)
    assert set(colours) >= {*WORDS, *GROUNDS, "edge"}
    for word, ground in itertools.product(WORDS, GROUNDS):
        assert contrast(colours[word], colours[ground]) >= 4.5, (name, word, ground)
    # Frames of buttons; `line` only divides what is apart anyway.
    for ground in GROUNDS:
        assert contrast(colours["edge"], colours[ground]) >= 3, (name, ground)


def test_marks_and_the_words_beside_them():
    light, dark = theme("light")["page"], theme("dark")["page"]
    for colour in {*COLOURS, GREY, *VERDICT_COLOURS.values()}:
        assert contrast(colour, light) >= 3, colour
        assert contrast(text_colour(colour), light) >= 4.5, colour
        # Words on the dark page have the mark's own colour.
        assert contrast(DARK[colour], dark) >= 4.5, colour


def test_neighbouring_series_are_apart_in_grey_or_by_marker():
    greys = [luminance(colour) for colour in COLOURS]
    assert len(set(COLOURS)) == len(COLOURS)
    assert max(greys) - min(greys) > 0.15
