"""`segbench report --from FILE`: the report of results that were made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.errors import ResultsError, message

if TYPE_CHECKING:
    from segbench.report.analysis import Analysis
    from segbench.report.build import Written

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
    """What was asked besides the file."""

    baseline: Sequence[str]
    question: str | None
    margin: float | None
    metric: str | None
    direction: str | None
    name: str | None
    claims: Sequence[str] = ()

    @property
    def given(self) -> list[str]:
        """Return the options that were given."""
        values = {
            "--baseline": self.baseline,
            "--question": self.question,
            "--margin": self.margin,
            "--metric": self.metric,
            "--direction": self.direction,
            "--name": self.name,
            "--claim": self.claims,
        }
        return [option for option, value in values.items() if value not in (None, (), [])]


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
) -> tuple[Analysis, Written]:
    """Write `reports/NAME/` from a table.

    Raises:
        ExperimentError: A claim is wrong.
        ResultsError: The table or another option is wrong; the message names the line.
    """
    from segbench.config.project import Project
    from segbench.report.build import write_report
    from segbench.report.foreign import analyse_foreign, make_foreign
    from segbench.report.foreign_table import read_foreign_table
    from segbench.report.panels import Panels
    from segbench.stats.metrics import declared

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
        claims=options.claims,
    )
    with declared(foreign.directions):
        analysis = analyse_foreign(foreign, _command(path, options))
        written = write_report(
            analysis, home.reports / name, panels=Panels(), with_pdf=with_pdf, with_xlsx=with_xlsx
        )
    return analysis, written


def _name(path: Path, name: str | None, results: Path) -> str:
    chosen = name or path.name.removesuffix(".gz").removesuffix(".csv")
    where = "--name" if name else str(path)
    if chosen in ("", ".", "..") or any(c in chosen for c in "/\\\0"):
        raise ResultsError(message(where, "the report needs a name that can be a folder's", got=chosen))
    if (results / chosen).is_dir():
        rule = "an experiment of this name has results here, and its report would be replaced"
        raise ResultsError(message(where, rule, got=chosen, see="Choose another with --name"))
    return chosen


def _command(path: Path, options: ForeignOptions) -> str:
    import shlex

    words = ["segbench", "report", "--from", path.name]
    for each in options.baseline:
        words += ["--baseline", each]
    for each in options.claims:
        words += ["--claim", each]
    for option, value in (
        ("--question", options.question),
        ("--margin", options.margin),
        ("--metric", options.metric),
        ("--direction", options.direction),
        ("--name", options.name),
    ):
        words += [] if value is None else [option, f"{value:g}" if isinstance(value, float) else value]
    return shlex.join(words)
