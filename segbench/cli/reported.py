"""One report written, or what was said of it before: what `report` and `report --all` do."""

from __future__ import annotations

import gc
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segbench.cli.analysed import Asked, write_one
from segbench.cli.printing import grid
from segbench.report.freshness import Said, Stamp

if TYPE_CHECKING:
    from segbench.report.analysis import Analysis

_SHOWN_EFFECTS = {
    "Contrast": "contrast",
    "Metric": "metric",
    "Difference": "difference",
    "p (Holm)": "p (Holm)",
    "Verdict": "verdict",
}
_SHOWN_CLAIMS = {"Claim": "claim", "Verdict": "verdict"}
"""Columns that fit a terminal: title on the pages -> title here."""


@dataclass(frozen=True, kw_only=True)
class Reported:
    """What was said, and which of its pages changed."""

    folder: Path
    said: Said
    changed: tuple[Path, ...] = ()


def report_one(asked: Asked, *, with_pdf: bool, with_xlsx: bool = False) -> Reported:
    """Write a report; where nothing that enters it has changed, nothing is read.

    Raises:
        SegbenchError: It cannot be written.
    """
    from segbench.report.pages.xlsx import XLSX_FILE

    stamp = Stamp.of(asked.load(), with_pdf=with_pdf, contrasts=asked.contrasts)
    # A workbook that is there is of this state.
    is_there = not with_xlsx or (stamp.folder / XLSX_FILE).is_file()
    if is_there and (last := stamp.recall()) is not None:
        return Reported(folder=stamp.folder, said=last)
    with _collector_paused():
        analysis, written = write_one(asked, with_pdf=with_pdf, with_xlsx=with_xlsx)
    from segbench.report.pages.html import Entry

    answer = answer_text(analysis, written.folder)
    said = Said(answer, written.warnings, written.pages, asdict(Entry.of(analysis)))
    if not analysis.is_partial:
        stamp.keep(said)
    return Reported(folder=written.folder, said=said, changed=written.changed)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Look for no cycles while a report is made: a tenth of its time, and it leaves hardly any."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def answer_text(analysis: Analysis, folder: Path) -> str:
    """Return question, answer, effects and claims as a terminal shows them, with colours.

    Args:
        analysis: The report.
        folder: Where it lies, with the user's style.
    """
    from rich.console import Console
    from rich.text import Text

    from segbench.report.labels import Labels
    from segbench.report.numbers import percent, typographic
    from segbench.report.style import read_style
    from segbench.report.topics import claims, effects

    console = Console(highlight=False, record=True, file=io.StringIO(), width=Console().width)
    console.print(Text(analysis.experiment.question, style="bold"))
    console.print(Text(typographic(analysis.answer)))
    labels = Labels(analysis, read_style(folder / "style.yaml"))
    interval = f"{percent(analysis.level)} interval"
    shown_effects = {**_SHOWN_EFFECTS, f"{interval}, this test set": interval}
    for topic, titles in ((effects.TOPIC, shown_effects), (claims.TOPIC, _SHOWN_CLAIMS)):
        table = topic.tables[0].make(labels)
        if not table.rows:
            continue
        console.print()
        console.print(grid(table, titles))
    console.print()
    return console.export_text(styles=True)
