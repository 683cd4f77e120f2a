"""`segbench report`: turn an experiment's records into pages, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from segbench.cli.analysed import Asked, say_pages
from segbench.cli.options import (
    AsOption,
    ProjectOption,
    ScaleOption,
    SetOption,
    SmokeOption,
)
from segbench.cli.report_from import (
    BaselineOption,
    ClaimOption,
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
    claim: ClaimOption = None,
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
        claims=claim or (),
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
        analysis, written = report_from(from_, foreign, project=project, with_pdf=not no_pdf, with_xlsx=xlsx)
        from segbench.cli.reported import answer_text

        typer.echo(answer_text(analysis, written.folder), nl=False)
        say_pages(written.warnings, written.pages, written.changed)
        if open_:
            typer.launch(str(written.folder / "report.html"))
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
    from segbench.cli.reported import report_one

    reported = report_one(asked, with_pdf=with_pdf, with_xlsx=with_xlsx)
    typer.echo(reported.said.answer, nl=False)
    say_pages(reported.said.warnings, reported.said.pages, reported.changed)
    if open_:
        typer.launch(str(reported.folder / "report.html"))


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
