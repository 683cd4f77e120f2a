"""The pages of `segbench compare`: the same HTML and Markdown that reports are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from segbench.report.compare import Comparison, write_answer
from segbench.report.freshness import recorded
from segbench.report.numbers import typographic
from segbench.report.pages.content import Content, Section
from segbench.report.pages.html import write_html
from segbench.report.pages.latex import write_table
from segbench.report.pages.markdown import write_markdown
from segbench.report.pages.numbers_json import write_numbers_json
from segbench.report.tables.compare import compare_tables, trace_outcomes

NUMBERS_FILE: Final = "compare.json"


def compare_content(found: Comparison) -> Content:
    """Arrange a comparison as a report is arranged."""
    tables = {table.name: table for table in compare_tables(found)}

    def chosen(name: str) -> tuple:  # type: ignore[type-arg]
        return (tables[name],) if name in tables else ()

    refused = tuple(f"Not compared: {reason}: {', '.join(cells)}." for reason, cells in found.refused.items())
    sections = (
        Section(
            key="files",
            title="What differs in the files, from A to B",
            lines=found.changes or ("Nothing: the two ask the same.",),
        ),
        Section(key="cells", title="Cells", tables=chosen("compare-cells")),
        Section(
            key="outcomes",
            title="Outcomes",
            tables=chosen("compare-outcomes"),
            lines=tuple(typographic(line) for line in refused),
        ),
        Section(key="contrasts", title="Contrasts in both", tables=chosen("compare-contrasts")),
    )
    return Content(
        name=f"{found.a.name} and {found.b.name}",
        question=_question(found),
        answer=typographic(write_answer(found)),
        head=_head(found),
        sections=tuple(section for section in sections if not section.is_empty),
    )


def compare_files(found: Comparison) -> dict[str, bytes]:
    """Return file name -> content of `segbench compare --to`."""
    from segbench.report.build import csv

    content = compare_content(found)
    made_from = {side.name: recorded(side.experiment) for side in (found.a, found.b)}
    traces = trace_outcomes(found)
    texts = {
        "compare.html": write_html(content),
        "compare.md": write_markdown(content),
        NUMBERS_FILE: write_numbers_json(traces, name=content.name, made_from=made_from),
        **{f"tables/{table.name}.tex": write_table(table) for table in content.tables},
    }
    for name, frame in (("outcomes", found.outcomes), ("contrasts", found.contrasts)):
        if not frame.empty:
            texts[f"data/compare-{name}.csv"] = csv(frame)
    return {name: text.encode("utf-8") for name, text in texts.items()}


def write_compare(found: Comparison, folder: Path) -> list[tuple[Path, bool]]:
    """Write the files into a folder; return each page with whether it changed.

    Raises:
        ResultsError: The disk refuses.
    """
    from segbench.store.atomic import write_bytes

    written = []
    for name, content in compare_files(found).items():
        path = folder / name
        is_changed = not (path.is_file() and path.read_bytes() == content)
        if is_changed:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, content)
        written.append((path, is_changed))
    return [(path, is_changed) for path, is_changed in written if path.suffix in (".html", ".md")]


def _question(found: Comparison) -> str:
    a, b = (side.experiment.question for side in (found.a, found.b))
    return a if a == b else f"A: {a} B: {b}"


def _head(found: Comparison) -> dict[str, str]:
    head = {"A": found.a.name, "B": found.b.name}
    for term in ("trials", "seeds", "outcome", "margin", "data set", "test images", "device", "commit"):
        a, b = (side.analysis.head.get(term, "") for side in (found.a, found.b))
        if a == b and a:
            head[term] = typographic(a)
        elif a or b:
            head[term] = typographic(f"{a or 'none'} in A, {b or 'none'} in B")
    return head
