"""From an experiment and its results to the one `Analysis` that every renderer draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from segbench.config.experiment import Experiment
from segbench.config.pairing import Pairing
from segbench.config.project import Project
from segbench.quantities import find_quantity
from segbench.records import axis_column
from segbench.report.analysis import Analysis
from segbench.report.prose import describe, last_look, provenance, write_answer, write_notes
from segbench.report.study import MISSING, Estimator, Member, Study, build_family, read_contrasts
from segbench.report.topics.replicated import best_design
from segbench.report.topics.search import missing_text
from segbench.report.topics.tuning import unfinished_text, without_hope
from segbench.report.topics.walk import FRAMES
from segbench.stats.measure import measure
from segbench.stats.subgroups import Subgroups
from segbench.stats.verdict import UNRESOLVED, verdict
from segbench.store.history import read_history
from segbench.store.layout import ResultsFolder
from segbench.store.match import match_trials, recorded_tunings
from segbench.store.results import Results, read_results


def analyse(
    experiment: Experiment, results: Results, *, project: Project, contrasts: Sequence[str] = ()
) -> Analysis:
    """Work out everything a report says.

    Args:
        experiment: What was asked.
        results: What was recorded.
        project: Where the other experiments' results lie: the head counts those that read the same test set.
        contrasts: Comparisons to show besides, as `--contrast` takes them.

    Raises:
        ExperimentError: A text is no contrast of this design.
    """
    read_contrasts(contrasts, experiment)
    study = _study(experiment, results, project, contrasts)
    frames = {frame.name: study.once(frame.compute) for frame in FRAMES}
    return Analysis(
        experiment=study.experiment,
        answer=write_answer(study),
        head=describe(study),
        frames={**frames, "measured": study.table},
        best_design=study.once(best_design)[0],
        notes=write_notes(study),
        provenance=provenance(study),
        is_partial=study.partial is not None,
    )


def _study(experiment: Experiment, results: Results, project: Project, contrasts: Sequence[str]) -> Study:
    """Match and measure the trials; with looks, take the seeds of the last one that is complete."""
    matched = match_trials(results, experiment)
    if experiment.search is not None:
        table = measure(matched[["cell", "trial"]], matched.drop(columns="cell"), results.epochs, ["trial"])
        return Study(
            design=experiment,
            experiment=experiment,
            project=project,
            results=results,
            matched=matched,
            planned=table,
            table=table,
            partial=missing_text(experiment, table),
        )
    tunings = recorded_tunings(results, experiment) if experiment.tune is not None else ()
    planned = without_hope(trials_table(experiment, matched, results.epochs), tunings)
    seen = last_look(experiment, planned)
    table = planned[planned["seed"].isin(seen.seeds)].reset_index(drop=True)
    missing = int(table["state"].isin(MISSING).sum())
    partial = f"partial: {len(table) - missing} of {len(table)} trials" if missing else None
    return Study(
        design=experiment,
        experiment=seen,
        project=project,
        results=results,
        matched=matched,
        planned=planned,
        table=table,
        partial=unfinished_text(tunings) or partial,
        contrasts=contrasts,
        tunings=tunings,
        history=read_history(ResultsFolder(experiment.project.results).experiment(experiment.name)),
    )


def trials_table(experiment: Experiment, matched: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Return one row per planned trial, with what was measured of it.

    Args:
        experiment: The design.
        matched: What `match_trials` gave.
        epochs: `Results.epochs`.
    """
    axes = [axis_column(axis.name) for axis in experiment.axes]
    return measure(plan_frame(experiment), matched.drop(columns="cell"), epochs, [*axes, "seed", "fold"])


def plan_frame(experiment: Experiment) -> pd.DataFrame:
    """Return one row per planned trial, in the design's order: `cell`, one column per axis, `seed`, `fold`.

    An axis that a cell lacks is empty there.
    """
    axes = {axis_column(axis.name): axis.name for axis in experiment.axes}
    rows = [
        {
            "cell": cell.label,
            **{column: cell.levels.get(axis, "") for column, axis in axes.items()},
            "seed": seed,
            "fold": fold,
        }
        for cell in experiment.cells
        for seed in experiment.seeds
        for fold in range(experiment.num_folds)
    ]
    return pd.DataFrame(rows, columns=["cell", *axes, "seed", "fold"])


# What a planned look says of the family: all that a sweep needs to know of its results, nothing drawn.


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look says of the family."""

    num_seeds: int
    alpha: float
    """What it spends."""
    resolved: Mapping[str, str]
    """Contrast -> `better`, `worse`, `equivalent` or, of a ratio, `within` or `outside` its bounds."""
    unresolved: tuple[str, ...]

    @property
    def is_resolved(self) -> bool:
        """Whether no further look is needed."""
        return not self.unresolved


def judge_look(experiment: Experiment, num_seeds: int) -> Look:
    """Judge the family at the first seeds, from the records, with the report's own statistics.

    Args:
        experiment: One with looks, all trials of whose first seeds have ended.
        num_seeds: One of its looks.

    Raises:
        ResultsError: There are no records.
    """
    folder = ResultsFolder(experiment.project.results).experiment(experiment.name)
    seen = experiment.first_seeds(num_seeds)
    results = read_results(folder.root)
    table = trials_table(seen, match_trials(results, seen), results.epochs)
    subgroups = Subgroups.of(results.samples, seen.subgroups)
    estimator = Estimator(table, Pairing.of(seen), results.images, subgroups)
    family = build_family(seen, estimator)
    words = {_name(member): _word(member, experiment.margin) for member in family.members}
    return Look(
        num_seeds=num_seeds,
        alpha=family.alpha,
        resolved={name: word for name, word in words.items() if word},
        unresolved=tuple(name for name, word in words.items() if not word),
    )


def _word(member: Member, margin: float | None) -> str:
    """Return the verdict on a member in a word; empty where it is open."""
    hypothesis, judgement = member.hypothesis, member.judgement
    if member.is_ratio:
        return "outside" if judgement.is_different else "within" if judgement.is_equivalent else ""
    metric = find_quantity(hypothesis.effect.contrast.metric)
    assert metric is not None
    margin = margin if hypothesis.within is not None else None
    word = verdict(hypothesis, judgement, is_lower_better=metric.is_lower_better, margin=margin)
    return "" if word == UNRESOLVED else word


def _name(member: Member) -> str:
    contrast = member.hypothesis.effect.contrast
    at = f" at {contrast.at_text}" if contrast.at_text else ""
    between = "/" if member.is_ratio else "against"
    on = " on new images" if member.hypothesis.on == "new_images" else ""
    return f"{contrast.axis}: {contrast.level} {between} {contrast.baseline}{at} in {contrast.metric}{on}"
