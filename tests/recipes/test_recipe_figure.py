"""A new figure takes one file: the topic that it belongs to. Everything else follows."""

from __future__ import annotations

from pathlib import Path

FAKES = Path(__file__).parents[1] / "unit" / "report"

CHECK = """
import fake_analysis as fake

from segbench.report.build import owned_names
from segbench.report.draw.pgfplots import draw_pgfplots
from segbench.report.labels import Labels
from segbench.report.pages.content import make_content
from segbench.report.pages.html import write_html
from segbench.report.pages.latex import write_latex
from segbench.report.pages.markdown import write_markdown
from segbench.report.labels import Style
from segbench.report.topics.walk import make_figures

analysis = fake.make_analysis()
found = [f for f in make_figures(analysis, Labels(analysis, Style())) if f.name == "seeds"]
content = make_content(analysis, Style(), figures=found)  # to draw one takes time enough
(section,) = (section for section in content.sections if section.key == "cells")
(figure,) = (figure for figure in section.figures if figure.name == "seeds")
assert draw_pgfplots(figure).count("addplot") > 0
assert list(figure.table()), figure.table()
assert "![Seeds of every cell](figures/seeds.png)" in write_markdown(content)
assert "figures/seeds.tex" in write_latex(content)
page = write_html(content)
assert 'id="figure-seeds"' in page and "How many seeds of every cell completed." in page
assert {"figures/seeds.svg", "figures/seeds.tex", "data/figure-seeds.csv"} <= owned_names()
"""


def test_a_figure_costs_one_file(tree):
    tree.follow("A figure")
    assert len(tree.touched) == 1
    tree.run("-c", CHECK, cwd=tree.root, path=FAKES)
