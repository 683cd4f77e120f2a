"""A new figure takes one file: the topic that it belongs to. Everything else follows."""

from __future__ import annotations

from pathlib import Path

from tests.recipes.conftest import Tree

FAKES = Path(__file__).parents[1] / "unit" / "report"

MAKER = '''
def seeds_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return how many seeds each cell has."""
    rows = rows_of(labels.ordered(analysis.cells))
    counts = tuple(float(row["n"]) for row in rows)
    places = tuple(-float(k) for k in range(len(rows)))
    names = [labels.cell(row["cell"]) for row in rows]
    mark = Mark(
        key="n",
        name="seeds",
        kind="points",
        look=Look(),
        x=counts,
        y=places,
        hover=tuple(f"{name}: {count:.0f} seeds" for name, count in zip(names, counts, strict=True)),
        traces=tuple(CELLS.hover(labels, row["cell"], "n") for row in rows),
    )
    return Figure(
        name="seeds",
        title="Seeds of every cell",
        caption="How many seeds of every cell completed.",
        facets=((Facet(x=linear(counts, "Seeds"), y=categories(names), marks=(mark,)),),),
        width_cm=labels.style.width_cm,
        row_height_cm=3.0,
        left_cm=4.0,
    )


TOPIC: Final'''

PART = '        FigurePart(name="seeds", make=seeds_figure),\n'

CHECK = """
import fake_analysis as fake

from segbench.report.build import owned_names
from segbench.report.draw.pgfplots import draw_pgfplots
from segbench.report.labels import Labels
from segbench.report.pages.content import make_content
from segbench.report.pages.html import write_html
from segbench.report.pages.latex import write_latex
from segbench.report.pages.markdown import write_markdown
from segbench.report.style import Style
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


def test_a_figure_is_one_maker_and_one_entry_in_its_topic(tree: Tree) -> None:
    topic = "report/topics/cells.py"
    tree.edit(topic, "\nTOPIC: Final", MAKER)
    before = '        FigurePart(name="cost"'
    tree.edit(topic, before, PART + before)
    tree.run("-c", CHECK, cwd=tree.root, path=FAKES)
    assert tree.touched == {topic}
