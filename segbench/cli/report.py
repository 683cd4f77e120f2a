"""`segbench report`: turn an experiment's records into pages, tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli.options import (
    AsOption,
    OptionalExperimentArgument,
    ProjectOption,
    ScaleOption,
    SetOption,
    SmokeOption,
)
from segbench.cli.report_from import (
    BaselineOption,
    DirectionOption,
    ForeignOptions,
    FromOption,
    MarginOption,
    MetricOption,
    NameOption,
    QuestionOption,
    refuse_with_file,
    refuse_without_file,
    report_from,
)
from segbench.errors import ResultsError, message

if TYPE_CHECKING:
    from segbench.config.experiment import Experiment
    from segbench.report.analysis import Analysis
    from segbench.report.build import Written
    from segbench.report.style import Style


_SHOWN_EFFECTS = {
    "Contrast": "contrast",
    "Metric": "metric",
    "Difference": "difference",
    "p (Holm)": "p (Holm)",
    "Verdict": "verdict",
}
_SHOWN_CLAIMS = {"Claim": "claim", "Verdict": "verdict"}
"""Columns that fit a terminal: title on the pages -> title here."""


def report(
    experiment: OptionalExperimentArgument = None,
    scale: ScaleOption = None,
    set_: SetOption = None,
    smoke: SmokeOption = False,
    as_: AsOption = None,
    no_pdf: Annotated[bool, typer.Option("--no-pdf", help="Do not compile report.pdf.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Show report.html in the browser.")] = False,
    project: ProjectOption = None,
    from_: FromOption = None,
    baseline: BaselineOption = None,
    question: QuestionOption = None,
    margin: MarginOption = None,
    metric: MetricOption = None,
    direction: DirectionOption = None,
    name: NameOption = None,
) -> None:
    """Write tables, figures and verdicts.

    reports/EXPERIMENT/ from the records: HTML, Markdown, LaTeX, PDF, figures, tables and data.

    Needs neither the data set nor a GPU. Only files whose content changed are touched; style.yaml is yours.
    """
    foreign = ForeignOptions(
        baseline=baseline or (),
        question=question,
        margin=margin,
        metric=metric,
        direction=direction,
        name=name,
    )
    if from_ is not None:
        refuse_with_file(experiment, scale, set_, smoke, as_)
        made, done = report_from(from_, foreign, project=project, with_pdf=not no_pdf)
        _print_written(made, done, made.experiment.project.reports / made.experiment.name, open_=open_)
        return
    refuse_without_file(foreign)
    if experiment is None:
        raise typer.BadParameter("name an experiment, or a table with --from", param_hint="EXPERIMENT")
    from segbench.config.load import load_experiment
    from segbench.store.layout import ResultsFolder

    # `--project` says where to look, so that a name on the command line means the same everywhere.
    loaded = load_experiment(
        experiment, scale=scale, overrides=set_ or (), smoke=smoke, start=project, name=as_
    )
    folder = ResultsFolder(loaded.project.results).experiment(loaded.name).root
    command = _sweep_command(experiment, scale, set_, smoke, as_)
    if not folder.is_dir():
        raise ResultsError(
            message(_shown(folder), "there are no results of this experiment", see=f"Run: {command}")
        )

    from segbench.report.analyse import analyse
    from segbench.report.build import write_report
    from segbench.report.panels import make_panels
    from segbench.report.style import read_style
    from segbench.store.results import read_results

    results = read_results(folder)
    analysis = analyse(loaded, results, project=loaded.project)
    if analysis.seeds.empty and analysis.failures.empty and analysis.search.empty:
        raise ResultsError(
            message(_shown(folder), "no trial of this experiment has ended", see=f"Run: {command}")
        )
    target = loaded.project.reports / loaded.name
    style = read_style(target / "style.yaml")
    panels = make_panels(analysis, results.images, loaded.project, style)
    written = write_report(analysis, target, panels=panels, with_pdf=not no_pdf)
    _print_written(analysis, written, target, open_=open_)


def _print_written(analysis: Analysis, written: Written, folder: Path, *, open_: bool) -> None:
    from segbench.report.style import read_style

    _print_answer(analysis.experiment, analysis, read_style(folder / "style.yaml"))
    for warning in written.warnings:
        typer.echo(f"Warning: {warning}", err=True)
    for page in written.pages:
        typer.echo(f"{_shown(page)}{'' if page in written.changed else ' (unchanged)'}")
    if open_:
        typer.launch(str(folder / "report.html"))


def _print_answer(experiment: Experiment, analysis: Analysis, style: Style) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from segbench.report.labels import Labels
    from segbench.report.numbers import typographic
    from segbench.report.phrases import percent
    from segbench.report.tables.claims import claims_table
    from segbench.report.tables.effects import effects_table

    console = Console(highlight=False)
    console.print(Text(experiment.question, style="bold"))
    console.print(Text(typographic(analysis.answer)))
    effects = effects_table(analysis, Labels(analysis, style), is_family=True)
    interval = f"{percent(analysis.level)} interval"
    shown_effects = {**_SHOWN_EFFECTS, f"{interval}, this test set": interval}
    for table, titles in ((effects, shown_effects), (claims_table(analysis), _SHOWN_CLAIMS)):
        if not table.rows:
            continue
        kept = [k for k, column in enumerate(table.columns) if column.title in titles]
        shown = Table(box=None, pad_edge=False, header_style="dim")
        for column in (table.columns[k] for k in kept):
            justify = "right" if column.is_number else "left"
            shown.add_column(titles[column.title], justify=justify, no_wrap=column.is_number)
        for row in table.rows:
            shown.add_row(*(Text(row[k].text, style="bold" if row[k].is_bold else "") for k in kept))
        console.print()
        console.print(shown)
    console.print()


def _sweep_command(
    experiment: str, scale: str | None, overrides: list[str] | None, smoke: bool, name: str | None
) -> str:
    import shlex

    words = ["segbench", "sweep", experiment]
    words += ["--scale", scale] if scale else []
    for override in overrides or ():
        words += ["--set", override]
    words += ["--as", name] if name else []
    return shlex.join([*words, "--smoke"] if smoke else words)


def _shown(path: Path) -> str:
    """Return a path relative to the current folder where it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
