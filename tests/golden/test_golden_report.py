"""One table and one figure, character by character; `make golden` rewrites them: look at the diff first."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from segbench.report.figures.draw_pgfplots import draw_pgfplots
from segbench.report.figures.draw_svg import draw_svg
from segbench.report.figures.make import make_figures
from segbench.report.labels import Labels
from segbench.report.pages.latex import write_table
from segbench.report.style import Style
from segbench.report.tables.make import make_tables

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "report"))
import fake_analysis as fake

FOLDER = Path(__file__).parent / "report"


def produced() -> dict[str, str]:
    analysis = fake.make_analysis()
    labels = Labels(analysis, Style())
    effects = make_figures(analysis, labels)[0]
    return {
        "table-effects.tex": write_table(make_tables(analysis, labels)["effects"]),
        "figure-effects.tex": draw_pgfplots(effects),
        "figure-effects.svg": draw_svg(effects),
    }


@pytest.mark.parametrize("name", ["table-effects.tex", "figure-effects.tex", "figure-effects.svg"])
def test_golden(name):
    text = produced()[name]
    if os.environ.get("SEGBENCH_GOLDEN") == "rewrite":
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / name).write_text(text, encoding="utf-8")
    assert text == (FOLDER / name).read_text(encoding="utf-8")
