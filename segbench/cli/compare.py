"""`segbench compare`: what two experiments have in common, and what differs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from segbench.cli.options import Asked, ProjectOption, as_named_or_swept
from segbench.cli.printing import grid, say_file
from segbench.errors import ResultsError, message
from segbench.report.numbers import MINUS

if TYPE_CHECKING:
    from segbench.report.compare import Comparison, Side
    from segbench.report.pages.content import Content


_SHOWN: Final = {
    "compare-outcomes": {
        "Cell": "cell",
        "n": "n",
        "A": "A",
        "B": "B",
        f"B {MINUS} A": f"B {MINUS} A",
        "95 % interval, this test set": "95 % interval",
        "Remark": "remark",
    },
    "compare-contrasts": {
        "Contrast": "contrast",
        "A: difference": "A",
        "A: verdict": "verdict",
        "B: difference": "B",
        "B: verdict": "verdict",
    },
}
"""Columns that fit a terminal: title on the pages -> title here."""


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="An experiment with results.", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.", show_default=False)],
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="DIR",
            help="Also write compare.html, compare.md, tables and data there; only what changed.",
            show_default=False,
            file_okay=False,
        ),
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Compare two experiments.

    Their files, the cells and trials that they share, and the outcomes of shared cells, paired by seed.

    Exploratory: intervals, no verdicts. Where data, split, objective, outcome or numerics differ, outcomes
    are not compared, and the reason is said (exit code 3 if that holds for all shared cells).
    """
    sides = [_side(name, project) for name in (a, b)]
    if sides[0].name == sides[1].name:
        rule = "an experiment is compared with another one"
        raise ResultsError(message("compare", rule, got=sides[1].name))
    from segbench.report.compare import compare as compared
    from segbench.report.compare import compare_content, write_compare

    found = compared(*sides)
    _print(compare_content(found), found)
    if to is not None:
        for path, is_changed in write_compare(found, to):
            say_file(path, is_changed=is_changed)
    if found.is_refused:
        where = f"{sides[0].name} and {sides[1].name}"
        raise ResultsError(message(where, f"outcomes are not compared: {'; '.join(found.refused)}"))


def _side(name: str, start: Path | None) -> Side:
    """Read an experiment as its name means it, else as it was swept.

    Raises:
        SegbenchError: There is no such experiment, or no trial of it has ended.
    """
    from segbench.report.compare import Side
    from segbench.store.layout import ResultsFolder
    from segbench.store.scan import scan

    analysis, results, _ = as_named_or_swept(name, start, Asked.analysed)
    experiment = analysis.experiment
    folder = ResultsFolder(experiment.project.results).experiment(experiment.name)
    return Side(analysis=analysis, results=results, records=scan(folder).records)


def _print(content: Content, found: Comparison) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for side, word in ((found.a, "A"), (found.b, "B")):
        console.print(Text(f"{word}  {side.name} ({side.analysis.head.get('trials', '')})", style="bold"))
        console.print(Text(f"   {side.experiment.question}"))
    console.print(Text(content.answer))
    for section in content.sections:
        console.print()
        console.print(Text(section.title, style="bold"))
        for line in section.lines if section.key == "files" else ():
            console.print(Text(f"  {line}"))
        for table in section.tables:
            console.print(grid(table, _SHOWN.get(table.name)))
    console.print()
