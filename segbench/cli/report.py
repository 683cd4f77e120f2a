"""`segbench report`: turn an experiment's records into pages, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli.analysed import Asked, is_partial, say_pages, write_one
from segbench.cli.options import (
    AsOption,
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

if TYPE_CHECKING:
    from segbench.report.analysis import Analysis
    from segbench.report.build import Written


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
    experiment: Annotated[
        str | None,
        typer.Argument(
            metavar="[EXPERIMENT]",
            help="A file, or the name of one in experiments/; not with --all or --from.",
            show_default=False,
        ),
    ] = None,
    scale: ScaleOption = None,
    set_: SetOption = None,
    smoke: SmokeOption = False,
    as_: AsOption = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Every experiment with results, and reports/index.html.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 5 if the report is out of date.")
    ] = False,
    into: Annotated[
        Path | None,
        typer.Option(
            "--into",
            metavar="DIR",
            help="Put tables, figures, data and numbers.tex also there, for a paper; only what changed.",
            show_default=False,
            file_okay=False,
        ),
    ] = None,
    no_pdf: Annotated[bool, typer.Option("--no-pdf", help="Do not compile report.pdf.")] = False,
    xlsx: Annotated[
        bool,
        typer.Option("--xlsx", help="Also write report.xlsx, a sheet a table (extra xlsx); kept up to date."),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="While a sweep runs: write the page anew as trials end, without verdicts or PDF; the whole "
            "report once it is complete.",
        ),
    ] = False,
    open_: Annotated[bool, typer.Option("--open", help="Show report.html in the browser.")] = False,
    contrast: Annotated[
        list[str] | None,
        typer.Option(
            "--contrast",
            metavar="TEXT",
            help='Also compare two levels, without a verdict: "norm: DyT - none", or '
            '"norm: DyT - none at model = unet". Repeatable.',
            show_default=False,
        ),
    ] = None,
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
    from segbench.cli.report_all import check_all, check_report, report_all

    foreign = ForeignOptions(
        baseline=baseline or (),
        question=question,
        margin=margin,
        metric=metric,
        direction=direction,
        name=name,
    )
    if contrast and (check or from_ is not None):
        raise typer.BadParameter("it goes with neither --check nor --from", param_hint="--contrast")
    if watch:
        _refuse_watched({"--all": all_, "--check": check, "--from": from_, "--into": into})
    if xlsx:
        from segbench.report.pages.xlsx import check_installed

        check_installed()
    if from_ is not None:
        refuse_with_file(experiment, scale, set_, smoke, as_, all_, check)
        made = report_from(from_, foreign, project=project, with_pdf=not no_pdf, with_xlsx=xlsx)
        _print_written(*made, open_=open_)
        return
    refuse_without_file(foreign)

    if all_ or experiment is None:
        _refuse_one(
            experiment,
            all_,
            {"--scale": scale, "--set": set_, "--smoke": smoke, "--as": as_}
            | {"--into": into, "--contrast": contrast},
        )
        if check:
            check_all(project)
        else:
            index = report_all(project, with_pdf=not no_pdf, with_xlsx=xlsx)
            if open_:
                typer.launch(str(index))
        return
    asked = Asked(
        experiment=experiment,
        scale=scale,
        overrides=set_ or (),
        is_smoke=smoke,
        name=as_,
        project=project,
        contrasts=contrast or (),
    )
    if check:
        check_report(asked)
        return
    if watch:
        from segbench.cli.report_watch import watch_report

        def finish() -> None:
            _report_one(asked, with_pdf=not no_pdf, with_xlsx=xlsx, open_=False)

        watch_report(asked, finish, open_=open_)
        return
    _report_one(asked, with_pdf=not no_pdf, with_xlsx=xlsx, open_=open_)
    if into is not None:
        _put_into(into, asked)


def _put_into(target: Path, asked: Asked) -> None:
    from segbench.cli.analysed import shown
    from segbench.report.into import write_into

    experiment = asked.load()
    placed = write_into(experiment.project.reports / experiment.name, target, name=experiment.name)
    for word, paths in (
        ("written", placed.changed),
        ("removed", placed.removed),
        ("kept, as it was edited", placed.kept),
    ):
        for path in paths:
            typer.echo(f"{shown(path)} ({word})")
    if not (placed.changed or placed.removed):
        typer.echo(f"{shown(target)} (unchanged)")


def _report_one(asked: Asked, *, with_pdf: bool, with_xlsx: bool, open_: bool) -> None:
    from segbench.report.pages.xlsx import XLSX_FILE
    from segbench.report.unchanged import Said, Stamp

    stamp = Stamp.of(asked.load(), with_pdf=with_pdf)
    # What is asked for besides is no part of what is remembered; a workbook that is there is of this state.
    is_there = not with_xlsx or (stamp.folder / XLSX_FILE).is_file()
    if is_there and not asked.contrasts and (last := stamp.recall()) is not None:
        typer.echo(last.answer, nl=False)
        say_pages(last.warnings, last.pages)
        if open_:
            typer.launch(str(stamp.folder / "report.html"))
        return
    analysis, written = write_one(asked, with_pdf=with_pdf, with_xlsx=with_xlsx)
    answer = _print_written(analysis, written, open_=open_)
    if not asked.contrasts and not is_partial(analysis):
        stamp.keep(Said(answer, written.warnings, written.pages))


def _print_written(analysis: Analysis, written: Written, *, open_: bool) -> str:
    """Print answer, warnings and pages; return the answer as it was printed."""
    answer = _print_answer(analysis, written.folder)
    say_pages(written.warnings, written.pages, written.changed)
    if open_:
        typer.launch(str(written.folder / "report.html"))
    return answer


def _refuse_one(experiment: str | None, is_all: bool, options: Mapping[str, object]) -> None:
    given = [name for name, value in options.items() if value]
    if not is_all:
        raise typer.BadParameter("name an experiment, a table with --from, or --all", param_hint="EXPERIMENT")
    if experiment is not None or given:
        extra = " ".join([*([experiment] if experiment else []), *given])
        raise typer.BadParameter(f"--all takes every experiment as it was swept, so without {extra}")


def _refuse_watched(options: Mapping[str, object]) -> None:
    given = [name for name, value in options.items() if value]
    if given:
        raise typer.BadParameter(
            f"it follows one experiment, so without {', '.join(given)}", param_hint="--watch"
        )


def _print_answer(analysis: Analysis, folder: Path) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from segbench.report.labels import Labels
    from segbench.report.numbers import typographic
    from segbench.report.phrases import percent
    from segbench.report.style import read_style
    from segbench.report.tables.claims import claims_table
    from segbench.report.tables.effects import effects_table

    console = Console(highlight=False, record=True)
    console.print(Text(analysis.experiment.question, style="bold"))
    console.print(Text(typographic(analysis.answer)))
    labels = Labels(analysis, read_style(folder / "style.yaml"))
    effects = effects_table(analysis, labels, is_family=True)
    interval = f"{percent(analysis.level)} interval"
    shown_effects = {**_SHOWN_EFFECTS, f"{interval}, this test set": interval}
    for table, titles in ((effects, shown_effects), (claims_table(analysis, labels), _SHOWN_CLAIMS)):
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
    return console.export_text(styles=True)
