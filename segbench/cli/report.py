"""`segbench report`: turn the records of experiments, or a table made elsewhere, into pages and files."""

from __future__ import annotations

import gc
import io
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from segbench.cli.options import (
    Asked,
    AsOption,
    NothingYet,
    ProjectOption,
    ScaleOption,
    SetOption,
    SmokeOption,
    as_named_or_swept,
)
from segbench.cli.printing import grid, say_file
from segbench.config.load import shown_path
from segbench.errors import ResultsError, SegbenchError, StaleReport, message
from segbench.report.freshness import Said, Stamp

if TYPE_CHECKING:
    from segbench.config.project import Project
    from segbench.report.analysis import Analysis
    from segbench.report.build import Written

_SHOWN_EFFECTS: Final = {
    "Contrast": "contrast",
    "Metric": "metric",
    "Difference": "difference",
    "p (Holm)": "p (Holm)",
    "Verdict": "verdict",
}
_SHOWN_CLAIMS: Final = {"Claim": "claim", "Verdict": "verdict"}
"""Columns that fit a terminal: title on the pages -> title here."""


@dataclass(frozen=True, kw_only=True)
class Reported:
    """What was said, and which of its pages changed."""

    folder: Path
    said: Said
    changed: tuple[Path, ...] = ()

    def tell(self, *, open_: bool) -> None:
        """Print the answer, warnings and pages, and show the page if asked."""
        typer.echo(self.said.answer, nl=False)
        self.tell_pages()
        if open_:
            typer.launch(str(self.folder / "report.html"))

    def tell_pages(self) -> None:
        """Print warnings and pages; those that did not change stayed as they were."""
        for warning in self.said.warnings:
            typer.echo(f"Warning: {warning}", err=True)
        for page in self.said.pages:
            say_file(page, is_changed=page in self.changed)


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


def write_one(
    asked: Asked, *, with_pdf: bool, with_xlsx: bool = False, is_watched: bool = False
) -> tuple[Analysis, Written]:
    """Write one experiment's report."""
    from segbench.report.draw.drawn import Drawing

    loaded = asked.load()
    target = loaded.project.reports / loaded.name
    with Drawing(target / "figures", num_cells=len(loaded.cells)) as drawing:
        analysis, results, made_from = asked.analysed()

        from segbench.report.build import write_report
        from segbench.report.labels import read_style
        from segbench.report.topics.panels import make_panels

        style = read_style(target / "style.yaml")
        panels = make_panels(analysis, results.images, loaded.project, style)
        written = write_report(
            analysis,
            target,
            panels=panels,
            with_pdf=with_pdf,
            with_xlsx=with_xlsx,
            is_watched=is_watched,
            made_from=made_from,
            drawing=drawing,
        )
    return analysis, written


def answer_text(analysis: Analysis, folder: Path) -> str:
    """Return question, answer, effects and claims as a terminal shows them, with colours.

    Args:
        analysis: The report.
        folder: Where it lies, with the user's style.
    """
    from rich.console import Console
    from rich.text import Text

    from segbench.report.labels import Labels, read_style
    from segbench.report.numbers import percent, typographic
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


# `segbench report --watch`: the page while a sweep runs.


POLL_S: Final = 3.0
"""How often records are looked at, at most."""
_REST: Final = 4.0
"""Rest after a report, in times of what it took: the sweep has better use for the cores."""


def watch_report(asked: Asked, finish: Callable[[], None], *, open_: bool, poll_s: float = POLL_S) -> None:
    """Write the report anew whenever a record changes, until the sweep is complete or Ctrl-C.

    Until then nothing is judged, nothing of LaTeX is written, and the page loads itself anew. A change that
    cannot be reported (a mistake in style.yaml) is said, and the next one waited for.

    Args:
        asked: What is reported.
        finish: Writes the whole report once the sweep is complete.
        open_: Show the page as soon as there is one.
        poll_s: Least time between two looks.

    Raises:
        ExperimentError: The experiment is wrong.
        Exit: With 130, after Ctrl-C; the page then is an ordinary one.
    """
    from segbench.report.freshness import records_stamp
    from segbench.store.layout import ResultsFolder
    from segbench.store.lease import is_leased

    experiment = asked.load()
    page = experiment.project.reports / experiment.name / "report.html"
    supervisor = ResultsFolder(experiment.project.results).experiment(experiment.name).supervisor
    seen, said, is_complete, rest_s = None, "", False, poll_s
    has_page = False
    try:
        while not (is_complete and not is_leased(supervisor)):
            if seen is not None:
                time.sleep(rest_s)
            now = records_stamp(experiment)  # before reading: what changes meanwhile counts as newer
            if now == seen:
                continue
            seen, began = now, time.monotonic()
            try:
                analysis, _ = write_one(asked, with_pdf=False, is_watched=True)
            except NothingYet:
                line = f"waiting for the first trial of {experiment.name} to end"
            except SegbenchError as error:
                line = f"Warning: {error}"
            else:
                is_complete = not analysis.is_partial
                line = f"{shown_path(page)}: {analysis.head.get('trials', '')}"
                if open_ and not has_page:
                    typer.launch(str(page))
                has_page = True
            if line != said:
                typer.echo(line, err=line.startswith("Warning"))
                said = line
            rest_s = max(poll_s, _REST * (time.monotonic() - began))
    except KeyboardInterrupt:
        if has_page:
            write_one(asked, with_pdf=False)
            typer.echo(f"{shown_path(page)}: no longer watched")
        raise typer.Exit(130) from None
    finish()


# `segbench report --all` and `--check`: every experiment that has results, and what is out of date.


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
    from segbench.report.build import write_changed
    from segbench.report.pages.html import Entry, write_index_html, write_index_markdown

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
        reported.tell_pages()
    pages = {"index.html": write_index_html(entries), "index.md": write_index_markdown(entries)}
    for file, text in pages.items():
        path = project.reports / file
        say_file(path, is_changed=write_changed(path, text.encode("utf-8")))
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
    from segbench.report.labels import read_style

    experiment = asked.load()
    asked.results(experiment)
    folder = experiment.project.reports / experiment.name
    found = differences(folder, experiment, read_style(folder / "style.yaml"))
    if found:
        see = f"Run: {asked.command('report')}"
        raise StaleReport(message(shown_path(folder), f"out of date: {'; '.join(found)}", see=see))
    typer.echo(f"{shown_path(folder)}: up to date")


def _project(start: Path | None) -> Project:
    from segbench.config.project import Project

    return Project.around(Path.cwd() if start is None else start)


def _names(project: Project) -> list[str]:
    from segbench.store.layout import ResultsFolder

    folders = [f for f in ResultsFolder(project.results).experiments() if f.trials.is_dir()]
    names = [folder.name for folder in folders if not folder.name.endswith("_smoke")]
    if not names:
        rule = "there are no results to report"
        raise ResultsError(message(shown_path(project.results), rule, see="segbench sweep makes them"))
    return names


def _raise(errors: list[SegbenchError]) -> None:
    """Raise the first error with the text of all."""
    if errors:
        first = errors[0]
        raise type(first)("\n".join(str(error) for error in errors))


# `segbench report --from FILE`: the report of results that were made elsewhere.


FromOption = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FILE.csv",
        help="Report results made elsewhere: a .csv or .csv.gz with the columns arm (or arm:AXIS, ...), "
        "seed, image and group (both may be absent), metric, value.",
        show_default=False,
    ),
]
BaselineOption = Annotated[
    list[str] | None,
    typer.Option(
        "--baseline",
        metavar="ARM",
        help="With --from: the arm that the others are compared with, AXIS=LEVEL where there are several "
        "axes. Default: the first in the file.",
        show_default=False,
    ),
]
QuestionOption = Annotated[
    str | None,
    typer.Option("--question", help="With --from: what the report answers.", show_default=False),
]
MarginOption = Annotated[
    float | None,
    typer.Option(
        "--margin", help="With --from: the largest difference that does not matter.", show_default=False
    ),
]
MetricOption = Annotated[
    str | None,
    typer.Option(
        "--metric", help="With --from: the outcome. Default: the first in the file.", show_default=False
    ),
]
DirectionOption = Annotated[
    str | None,
    typer.Option(
        "--direction",
        metavar="maximize|minimize",
        help="With --from: which way is better, for a metric that segbench does not know.",
        show_default=False,
    ),
]
ClaimOption = Annotated[
    list[str] | None,
    typer.Option(
        "--claim",
        metavar="TEXT",
        help='With --from: what is claimed, as in an experiment file: "arm: attention > plain", or '
        '"arm: attention == plain, on: new_images". Repeatable; the claims are then the family.',
        show_default=False,
    ),
]
NameOption = Annotated[
    str | None,
    typer.Option(
        "--name",
        help="With --from: the report's folder is reports/NAME. Default: the file's.",
        show_default=False,
    ),
]


@dataclass(frozen=True, kw_only=True)
class ForeignOptions:
    """What was asked besides the file; each field is called as its option is."""

    baseline: Sequence[str] = ()
    claim: Sequence[str] = ()
    question: str | None = None
    margin: float | None = None
    metric: str | None = None
    direction: str | None = None
    name: str | None = None

    @property
    def given(self) -> dict[str, Sequence[str] | str | float]:
        """Return the options that were given, with their values."""
        values = {f"--{each.name}": getattr(self, each.name) for each in fields(self)}
        return {option: value for option, value in values.items() if value not in (None, (), [])}

    def command(self, path: Path) -> str:
        """Return the command that makes the report again."""
        words = ["segbench", "report", "--from", path.name]
        for option, value in self.given.items():
            for each in [value] if isinstance(value, str | float) else value:
                words += [option, f"{each:g}" if isinstance(each, float) else each]
        return shlex.join(words)


def refuse_with_file(experiment: str | None, *others: object) -> None:
    """Refuse an experiment, and what changes one, beside a file.

    Raises:
        ResultsError: One was given.
    """
    if experiment is not None or any(others):
        rule = "a report is of an experiment or of a table"
        raise ResultsError(
            message("--from", rule, got=experiment or "--scale, --set, --smoke, --as, --all or --check")
        )


def refuse_without_file(options: ForeignOptions) -> None:
    """Refuse options of `--from` where there is no file.

    Raises:
        ResultsError: One of them was given.
    """
    if options.given:
        rule = f"{', '.join(options.given)} goes with --from"
        raise ResultsError(message("report", rule, see="An experiment says these things in its file"))


def report_from(
    path: Path, options: ForeignOptions, *, project: Path | None, with_pdf: bool, with_xlsx: bool = False
) -> Reported:
    """Write `reports/NAME/` from a table.

    Raises:
        ExperimentError: A claim is wrong.
        ResultsError: The table or another option is wrong; the message names the line.
    """
    from segbench.config.project import Project
    from segbench.quantities import declared
    from segbench.report.build import write_report
    from segbench.report.foreign import analyse_foreign, make_foreign, read_foreign_table
    from segbench.report.topics.panels import Panels

    home = Project.around(project or Path.cwd())
    name = _name(path, options.name, home.results)
    if options.margin is not None and not 0 < options.margin < float("inf"):
        raise ResultsError(message("--margin", "a margin is a positive number", got=options.margin))
    foreign = make_foreign(
        read_foreign_table(path),
        name=name,
        project=home,
        question=options.question or "",
        baseline=options.baseline,
        metric=options.metric,
        direction=options.direction,
        margin=options.margin,
        claims=options.claim,
    )
    with declared(foreign.directions):
        analysis = analyse_foreign(foreign, options.command(path))
        written = write_report(
            analysis, home.reports / name, panels=Panels(), with_pdf=with_pdf, with_xlsx=with_xlsx
        )
    said = Said(answer_text(analysis, written.folder), written.warnings, written.pages, {})
    return Reported(folder=written.folder, said=said, changed=written.changed)


def _name(path: Path, name: str | None, results: Path) -> str:
    chosen = name or path.name.removesuffix(".gz").removesuffix(".csv")
    where = "--name" if name else str(path)
    if chosen in ("", ".", "..") or any(c in chosen for c in "/\\\0"):
        raise ResultsError(message(where, "the report needs a name that can be a folder's", got=chosen))
    if (results / chosen).is_dir():
        rule = "an experiment of this name has results here, and its report would be replaced"
        raise ResultsError(message(where, rule, got=chosen, see="Choose another with --name"))
    return chosen


# The command.


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
        typer.Option("--xlsx", help="Also write report.xlsx, one sheet per table (extra xlsx), and keep it."),
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

    foreign = ForeignOptions(
        baseline=baseline or (),
        question=question,
        margin=margin,
        metric=metric,
        direction=direction,
        name=name,
        claim=claim or (),
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
        made.tell(open_=open_)
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
    report_whole = partial(report_one, asked, with_pdf=not no_pdf, with_xlsx=xlsx)
    if watch:
        watch_report(asked, lambda: report_whole().tell(open_=False), open_=open_)
        return
    report_whole().tell(open_=open_)
    if into is not None:
        _put_into(into, asked)


def _put_into(target: Path, asked: Asked) -> None:
    from segbench.report.build import write_into

    experiment = asked.load()
    placed = write_into(experiment.project.reports / experiment.name, target, name=experiment.name)
    for word, paths in (
        ("written", placed.changed),
        ("removed", placed.removed),
        ("kept, as it was edited", placed.kept),
    ):
        for path in paths:
            typer.echo(f"{shown_path(path)} ({word})")
    if not (placed.changed or placed.removed):
        typer.echo(f"{shown_path(target)} (unchanged)")


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
