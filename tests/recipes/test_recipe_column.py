"""A new column of a table takes one file: the topic that it belongs to. Everything else follows."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

COLUMN = """        Number(
            name="variation",
            title="sd / mean",
            words="coefficient of variation",
            formula="sd over seeds / mean over seeds.",
            columns=("sd",),
            show=lambda numbers, row, values: f"{100 * values[0] / row['mean']:.2f} %",
            tables=("cells",),
        ),
"""

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
from segbench.report.pages.macros import write_numbers
from segbench.report.pages.markdown import write_markdown
from segbench.report.pages.numbers_json import write_numbers_json
from segbench.report.pages.xlsx import write_xlsx
from segbench.report.style import Style
from segbench.report.topics.walk import trace_all

analysis = fake.make_analysis()
content = make_content(analysis, Style(), figures=[])
(cells,) = (table for table in content.tables if table.name == "cells")
place = [column.title for column in cells.columns].index("sd / mean")
printed = cells.rows[0][place].text
assert printed == "0.23 %", printed
assert f"| {printed} |" in write_markdown(content)
assert 'data-trace="sd over seeds / mean over seeds.' in write_html(content)
assert printed.replace("%", r"\\%") in write_table(cells)
sheet = openpyxl.load_workbook(io.BytesIO(write_xlsx(content)))["cells"]
assert sheet.cell(1, place + 1).value == "sd / mean", sheet.cell(1, place + 1).value
traces = trace_all(analysis, 3)
numbers = json.loads(write_numbers_json(traces, name="study", made_from={}))["numbers"]
assert numbers["cells/unet, BatchNorm/variation"]["printed"] == printed
assert "@unet-BatchNorm@variation" in write_numbers(analysis, Labels(analysis, Style()))
text = explain(analysis, traces, "cells", "unet, BatchNorm", records=Path("trials"))
assert "coefficient of variation" in text, text
"""


def run(root: Path, code: str) -> None:
    """Run code with the package of a copy of the tree."""
    path = [str(root), str(ROOT / "tests" / "unit" / "report")]
    prologue = f"import sys\nsys.path[:0] = {path!r}\n"
    done = subprocess.run([sys.executable, "-c", prologue + code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr


def copy_of(tree: Path) -> Path:
    """Return a copy of the package in a folder."""
    shutil.copytree(ROOT / "segbench", tree / "segbench", ignore=shutil.ignore_patterns("__pycache__"))
    return tree / "segbench"


def test_a_column_is_one_entry_in_its_topic(tmp_path: Path) -> None:
    topic = copy_of(tmp_path) / "report" / "topics" / "cells.py"
    source = topic.read_text(encoding="utf-8")
    before = "        *map(median, CELL_MEDIANS),\n"
    assert source.count(before) == 1
    topic.write_text(source.replace(before, COLUMN + before), encoding="utf-8")
    run(tmp_path, CHECK)
