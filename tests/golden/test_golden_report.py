"""A table and a figure of every renderer, character by character (PNG: as it looks).

`make golden` rewrites them: look at the diff before it is committed.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.report.draw.figure import Figure
from segbench.report.draw.matplotlib_files import draw_files, page_svg
from segbench.report.draw.pgfplots import draw_pgfplots
from segbench.report.labels import Labels, Style
from segbench.report.pages.html import write_sheet
from segbench.report.pages.latex import write_table
from segbench.report.pages.markdown import table as write_markdown_table
from segbench.report.topics.walk import make_figures, make_tables

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "report"))
import fake_analysis as fake
import made_search

FOLDER = Path(__file__).parent / "report"
TEXTS = (
    "table-effects.tex",
    "table-effects.html",
    "table-effects.md",
    "figure-effects.tex",
    "figure-effects.svg",
    "table-anova.tex",
    "table-anova.html",
    "table-anova.md",
    "figure-interactions.tex",
    "figure-interactions.svg",
    "figure-curves-dice.tex",
    "figure-curves-dice.svg",
    "table-importance.tex",
    "table-importance.md",
    "figure-search-slices.tex",
    "figure-search-slices.svg",
    "figure-search-parallel.tex",
    "figure-search-parallel.svg",
)
PICTURES = (
    *("figure-effects.png", "figure-interactions.png", "figure-curves-dice.png"),
    *("figure-search-slices.png", "figure-search-parallel.png"),
)
_WIDTH_PX = 240
"""Of the pictures kept: small enough that another version of a font gives nearly the same."""


@pytest.fixture(scope="module")
def labels() -> Labels:
    return Labels(fake.make_analysis(), Style())


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> Labels:
    experiment = made_search.made_search(tmp_path_factory.mktemp("search"))
    return Labels(made_search.report(experiment), Style())


@pytest.fixture(scope="module")
def figures(labels, searched):
    every = (*make_figures(labels.analysis, labels), *make_figures(searched.analysis, searched))
    return {figure.name: figure for figure in every}


def draw_page(figure: Figure) -> str:
    return page_svg(figure, draw_files(figure, ["svg"])["svg"])


@pytest.fixture(scope="module")
def texts(labels, searched, figures) -> dict[str, str]:
    tables = make_tables(labels.analysis, labels)
    shares = make_tables(searched.analysis, searched)["importance"]
    return {
        "table-importance.tex": write_table(shares),
        "table-importance.md": write_markdown_table(shares) + "\n",
        **{f"table-{name}.tex": write_table(tables[name]) for name in ("effects", "anova")},
        **{f"table-{name}.html": write_sheet(tables[name], has_title=True) for name in ("effects", "anova")},
        **{f"table-{name}.md": write_markdown_table(tables[name]) + "\n" for name in ("effects", "anova")},
        **{
            f"figure-{name}.{suffix}": draw(figures[name])
            for name in ("effects", "interactions", "curves-dice", "search-slices", "search-parallel")
            for suffix, draw in (("tex", draw_pgfplots), ("svg", draw_page))
        },
    }


@pytest.mark.parametrize("name", TEXTS)
def test_golden(name, texts):
    text = texts[name]
    if os.environ.get("SEGBENCH_GOLDEN") == "rewrite":
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / name).write_text(text, encoding="utf-8")
    assert text == (FOLDER / name).read_text(encoding="utf-8")


def shrunk(png: bytes) -> Image.Image:
    with Image.open(io.BytesIO(png)) as image:
        height = round(image.height * _WIDTH_PX / image.width)
        return image.convert("RGB").resize((_WIDTH_PX, height), Image.Resampling.BOX)


@pytest.mark.parametrize("name", PICTURES)
def test_golden_picture(name, figures):
    figure = figures[name.removeprefix("figure-").removesuffix(".png")]
    image = shrunk(draw_files(figure)["png"])
    if os.environ.get("SEGBENCH_GOLDEN") == "rewrite":
        image.save(FOLDER / name, optimize=True)
    with Image.open(FOLDER / name) as kept:
        assert image.size == kept.size
        difference = np.abs(np.asarray(image, float) - np.asarray(kept.convert("RGB"), float))
    # A mark that is missing or moved changes its pixels by half of their range.
    assert difference.mean() < 1.5
    assert np.percentile(difference, 99.8) < 60
