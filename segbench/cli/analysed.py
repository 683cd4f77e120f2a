"""From what a user types to the analysis of an experiment: what `report` and `explain` begin with."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from segbench.errors import ResultsError, SegbenchError, message

if TYPE_CHECKING:
    from segbench.config.experiment import Experiment
    from segbench.report.analysis import Analysis
    from segbench.report.build import Written
    from segbench.store.results import Results

Read = TypeVar("Read")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An experiment as the command line names it."""

    experiment: str
    scale: str | None = None
    overrides: Sequence[str] = ()
    is_smoke: bool = False
    name: str | None = None
    project: Path | None = None
    contrasts: Sequence[str] = ()
    """Comparisons to show besides, as `report --contrast` takes them."""

    def load(self) -> Experiment:
        """Load it; `--project` says where to look, so that a name means the same everywhere."""
        from segbench.config.load import load_experiment

        return load_experiment(
            self.experiment,
            scale=self.scale,
            overrides=self.overrides,
            smoke=self.is_smoke,
            start=self.project,
            name=self.name,
        )

    @property
    def sweep_command(self) -> str:
        words = ["segbench", "sweep", self.experiment]
        words += ["--scale", self.scale] if self.scale else []
        for override in self.overrides:
            words += ["--set", override]
        words += ["--as", self.name] if self.name else []
        return shlex.join([*words, "--smoke"] if self.is_smoke else words)


def as_named_or_swept(name: str, start: Path | None, read: Callable[[Asked], Read]) -> Read:
    """Read an experiment as its name means it; where that cannot be, as `results/NAME/` says it was swept.

    Args:
        name: As the command line has it.
        start: Where to look for the project; None: the current folder.
        read: Reads what is asked for.

    Raises:
        SegbenchError: It can be read neither way.
    """
    from segbench.config.project import Project

    try:
        return read(Asked(experiment=name, project=start))
    except SegbenchError:
        record = Project.around(start or Path.cwd()).results / name / "experiment.yaml"
        if not record.is_file():
            raise
        return read(Asked(experiment=str(record), project=start))


class NothingYet(ResultsError):
    """No trial has ended."""


def analysed(asked: Asked) -> tuple[Analysis, Results, Mapping[str, Any]]:
    """Read and analyse an experiment's results; the last item says what was read, as `recorded` does.

    Raises:
        NothingYet: There are none yet.
        ExperimentError: A contrast is none of this design.
    """
    from segbench.store.layout import ResultsFolder

    loaded = asked.load()
    folder = ResultsFolder(loaded.project.results).experiment(loaded.name).root
    see = f"Run: {asked.sweep_command}"
    if not folder.is_dir():
        raise NothingYet(message(shown(folder), "there are no results of this experiment", see=see))

    from segbench.report.study import read_contrasts

    read_contrasts(asked.contrasts, loaded)
    from segbench.report.analyse import analyse
    from segbench.report.freshness import recorded
    from segbench.store.results import read_results

    made_from = recorded(loaded)
    results = read_results(folder)
    analysis = analyse(loaded, results, project=loaded.project, contrasts=asked.contrasts)
    if analysis.seeds.empty and analysis.failures.empty and analysis.search.empty:
        raise NothingYet(message(shown(folder), "no trial of this experiment has ended", see=see))
    return analysis, results, made_from


def write_one(
    asked: Asked, *, with_pdf: bool, with_xlsx: bool = False, is_watched: bool = False
) -> tuple[Analysis, Written]:
    """Write one experiment's report."""
    from segbench.report.draw.drawn import Drawing

    loaded = asked.load()
    target = loaded.project.reports / loaded.name
    with Drawing(target / "figures", num_cells=len(loaded.cells)) as drawing:
        analysis, results, made_from = analysed(asked)

        from segbench.report.build import write_report
        from segbench.report.style import read_style
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


def say_pages(warnings: Sequence[str], pages: Sequence[Path], changed: Sequence[Path] = ()) -> None:
    """Print warnings and pages; those that are not among the changed ones stayed as they were."""
    import typer

    for warning in warnings:
        typer.echo(f"Warning: {warning}", err=True)
    for page in pages:
        typer.echo(f"{shown(page)}{'' if page in changed else ' (unchanged)'}")


def shown(path: Path) -> str:
    """Return a path relative to the current folder where it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
