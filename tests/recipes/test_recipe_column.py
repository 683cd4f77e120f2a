"""A new column of a table takes one file: the topic that it belongs to. Everything else follows."""

from __future__ import annotations

from pathlib import Path

FAKES = Path(__file__).parents[1] / "unit" / "report"

CHECK = """
import io, json
from pathlib import Path

import fake_analysis as fake
import openpyxl

from segbench.report.explain import explain
from segbench.report.labels import Labels
from segbench.report.pages.content import make_content
from segbench.report.pages.html import write_html
from segbench.report.pages.latex import write_table
from segbench.report.pages.number_files import write_numbers
from segbench.report.pages.markdown import write_markdown
from segbench.report.pages.number_files import write_numbers_json
from segbench.report.pages.xlsx import write_xlsx
from segbench.report.labels import Style
from segbench.report.topics.walk import trace_all

analysis = fake.make_analysis()
content = make_content(analysis, Style(), figures=[])
(cells,) = (table for table in content.tables if table.name == "cells")
place = [column.title for column in cells.columns].index("sd / mean")
printed = cells.rows[0][place].text
assert printed == "0.17 %", printed
assert f"| {printed} |" in write_markdown(content)
assert 'data-trace="sd over seeds / mean over seeds.' in write_html(content)
assert printed.replace("%", r"\\%") in write_table(cells)
sheet = openpyxl.load_workbook(io.BytesIO(write_xlsx(content)))["cells"]
headings = [cell.value for cell in sheet[1]]
assert headings.count("sd / mean") == 1, headings
traces = trace_all(analysis, 3)
numbers = json.loads(write_numbers_json(traces, name="study", made_from={}))["numbers"]
assert numbers["cells/unet, BatchNorm/variation"]["printed"] == printed
assert "@unet-BatchNorm@variation" in write_numbers(analysis, Labels(analysis, Style()))
text = explain(analysis, traces, "cells", "unet, BatchNorm", records=Path("trials"))
assert "coefficient of variation" in text, text
"""


def test_a_column_costs_one_file(tree):
    tree.follow("A table column")
    assert len(tree.touched) == 1
    tree.run("-c", CHECK, cwd=tree.root, path=FAKES)
