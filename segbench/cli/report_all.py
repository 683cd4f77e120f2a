"""`segbench report --all` and `--check`: every experiment that has results, and what is out of date."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from segbench.cli.analysed import Asked, as_named_or_swept, say_pages, shown
from segbench.cli.reported import report_one
from segbench.errors import ResultsError, SegbenchError, StaleReport, message

if TYPE_CHECKING:
    from segbench.config.project import Project


def report_all(start: Path | None, *, with_pdf: bool, with_xlsx: bool = False) -> Path:
    """Write the report of every experiment with results, and `reports/index.html` and `index.md`.

    An experiment is what its name means on the command line (`NAME_SCALE` is a scale of the file NAME); where
    no trial fits that, what was swept, as `results/NAME/experiment.yaml` says. One that cannot be reported
    does not keep the others from it, and of one where nothing has changed nothing is read.

    Returns:
        The index.

    Raises:
        SegbenchError: Some could not be reported, or there is nothing to report.
    """
    from segbench.report.index_page import Entry, write_index_html, write_index_markdown
    from segbench.store.atomic import write_bytes

    project = _project(start)
    entries, errors = [], []
    for name in _names(project):
        try:
            write = partial(report_one, with_pdf=with_pdf, with_xlsx=with_xlsx)
            reported = as_named_or_swept(name, project.root, write)
        except SegbenchError as error:
            errors.append(error)
            continue
        entries.append(Entry(**reported.said.entry))
        say_pages(reported.said.warnings, reported.said.pages, reported.changed)
    project.reports.mkdir(parents=True, exist_ok=True)
    pages = {"index.html": write_index_html(entries), "index.md": write_index_markdown(entries)}
    for file, text in pages.items():
        path, content = project.reports / file, text.encode("utf-8")
        is_same = path.is_file() and path.read_bytes() == content
        if not is_same:
            write_bytes(path, content)
        typer.echo(f"{shown(path)}{' (unchanged)' if is_same else ''}")
    _raise(errors)
    return project.reports / "index.html"


def check_all(start: Path | None) -> None:
    """Check the report of every experiment with results.

    Raises:
        StaleReport: Some are out of date; the message says which and why.
    """
    project = _project(start)
    errors = []
    for name in _names(project):
        try:
            check_report(Asked(experiment=name, project=project.root))
        except SegbenchError as error:
            errors.append(error)
    _raise(errors)


def check_report(asked: Asked) -> None:
    """Say that a report is up to date; nothing is written or drawn.

    Raises:
        StaleReport: It is older than its results, its experiment, its style or segbench's code for reports.
        ResultsError: There are no results.
    """
    from segbench.report.freshness import differences
    from segbench.report.style import read_style
    from segbench.store.layout import ResultsFolder

    experiment = asked.load()
    results = ResultsFolder(experiment.project.results).experiment(experiment.name).root
    if not results.is_dir():
        see = f"Run: {asked.sweep_command}"
        raise ResultsError(message(shown(results), "there are no results of this experiment", see=see))
    folder = experiment.project.reports / experiment.name
    found = differences(folder, experiment, read_style(folder / "style.yaml"))
    if found:
        see = f"Run: {asked.sweep_command.replace('segbench sweep', 'segbench report', 1)}"
        raise StaleReport(message(shown(folder), f"out of date: {'; '.join(found)}", see=see))
    typer.echo(f"{shown(folder)}: up to date")


def _project(start: Path | None) -> Project:
    from segbench.config.project import Project

    return Project.around(Path.cwd() if start is None else start)


def _names(project: Project) -> list[str]:
    from segbench.store.layout import ResultsFolder

    folders = [f for f in ResultsFolder(project.results).experiments() if f.trials.is_dir()]
    names = [folder.name for folder in folders if not folder.name.endswith("_smoke")]
    if not names:
        rule = "there are no results to report"
        raise ResultsError(message(shown(project.results), rule, see="segbench sweep makes them"))
    return names


def _raise(errors: list[SegbenchError]) -> None:
    """Raise the first error with the text of all."""
    if errors:
        first = errors[0]
        raise type(first)("\n".join(str(error) for error in errors))
