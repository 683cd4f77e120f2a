"""From an experiment and its results to the one `Analysis` that every renderer draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from segbench.config.experiment import Experiment
from segbench.config.pairing import Pairing
from segbench.config.project import Project
from segbench.quantities import LIMITS, find_quantity
from segbench.records import State, axis_column
from segbench.report.analysis import CELL_MEDIANS, LOST, MISSING, Analysis
from segbench.report.answer import write_answer, write_front_answer, write_search_answer
from segbench.report.head import describe, provenance
from segbench.report.notes import Planned, last_look, write_notes
from segbench.report.study import Estimator, Family, Member, as_options, build_family, read_contrasts
from segbench.report.topics.claims import judge_claims
from segbench.report.topics.effects import effects_frame, sensitivity_frame
from segbench.report.topics.factorial import Factorial
from segbench.report.topics.importance import search_importance, too_few_text, tuning_importance
from segbench.report.topics.metrics import metrics_frame
from segbench.report.topics.replicated import best_design, replicated_frame
from segbench.report.topics.search import find_best, find_front, missing_text, proposals_frame
from segbench.report.topics.subgroups import subgroups_frame, subgroups_notes
from segbench.report.topics.tuning import (
    reach_text,
    tuned_sentence,
    tuning_frame,
    tuning_notes,
    tuning_trials_frame,
    unfinished_text,
    untuned_frame,
    untuned_notes,
    without_hope,
)
from segbench.stats.curves import CURVES, curves
from segbench.stats.dynamics import dynamics
from segbench.stats.intervals import average_folds, summarise
from segbench.stats.measure import measure
from segbench.stats.pareto import unbeaten_in
from segbench.stats.subgroups import Subgroups
from segbench.stats.verdict import UNRESOLVED, verdict
from segbench.store.history import read_history
from segbench.store.layout import ExperimentFolder, ResultsFolder
from segbench.store.match import match_trials, recorded_tunings, unmatched_trials
from segbench.store.results import Results, read_results
from segbench.store.tuning import CellTuning
from segbench.store.untuned import find_untuned
from segbench.wording import listed


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
    asked = read_contrasts(contrasts, experiment)
    matched = match_trials(results, experiment)
    if experiment.search is not None:
        return _analyse_search(experiment, results, matched, project)
    axes = [axis_column(axis.name) for axis in experiment.axes]
    left_out = _left_out(results, experiment)
    tunings = recorded_tunings(results, experiment) if experiment.tune is not None else ()
    table = without_hope(trials_table(experiment, matched, results.epochs), tunings)
    experiment = last_look(experiment, table)
    planned = Planned.of(experiment, table, read_history(_folder(experiment)))
    table = table[table["seed"].isin(experiment.seeds)].reset_index(drop=True)
    missing = int(table["state"].isin(MISSING).sum())
    partial = f"partial: {len(table) - missing} of {len(table)} trials" if missing else None
    partial = unfinished_text(tunings) or partial

    subgroups = Subgroups.of(results.samples, experiment.subgroups)
    estimator = Estimator(table, Pairing.of(experiment), results.images, subgroups)
    family = build_family(experiment, estimator)
    effects = effects_frame(experiment, family, estimator, is_judged=partial is None, asked=asked)
    claims = judge_claims(experiment, family, estimator, partial=partial)
    complete = table[table["state"] == State.COMPLETE.value]
    head = planned.into_head(describe(experiment, table, family, estimator, project=project, partial=partial))
    factorial = Factorial.of(experiment, table)
    tuned = _tuned_frames(experiment, results, table, tunings)
    if experiment.tune is not None:
        head = {"tuned": reach_text(experiment), **head}
    answer = write_answer(
        experiment, table, effects, claims, head, estimator, partial=partial, remark=planned.growth
    )
    return Analysis(
        experiment=experiment,
        answer=" ".join([answer, *tuned_sentence(experiment, partial=partial)]),
        head=head,
        cells=cells_frame(experiment, table),
        seeds=seeds_frame(experiment, complete),
        effects=effects,
        claims=claims,
        subgroups=subgroups_frame(experiment, estimator),
        curves=curves(results.epochs, complete, axes, _curve_metrics(results.epochs)),
        dynamics=dynamics(
            results.epochs,
            complete,
            axes,
            experiment.baseline.objective.metric,
            is_lower_better=experiment.baseline.objective.direction != "maximize",
        ),
        failures=failures_frame(table),
        left_out=left_out,
        search=pd.DataFrame({name: [] for name in ("trial", "number", "state", "value")}),
        tuning=tuned.get("tuning"),
        tuning_trials=tuned.get("tuning_trials"),
        importance=tuned.get("importance"),
        untuned=tuned.get("untuned"),
        measured=table,
        metrics=metrics_frame(experiment, table),
        sensitivity=sensitivity_frame(experiment, family, estimator) if partial is None else None,
        marginals=factorial.marginals,
        interaction_means=factorial.interaction_means,
        interactions=factorial.interactions,
        anova=factorial.anova,
        notes=(
            *write_notes(experiment, table, effects, matched, partial=partial),
            *factorial.notes,
            *planned.notes,
            *tuning_notes(experiment, tunings),
            *(untuned_notes(tuned["untuned"]) if tuned and partial is None else ()),
            *subgroups_notes(experiment, estimator),
        ),
        provenance=provenance(experiment, results, table, options=as_options(contrasts)),
        is_partial=partial is not None,
    )


def _tuned_frames(
    experiment: Experiment, results: Results, table: pd.DataFrame, tunings: Sequence[CellTuning]
) -> dict[str, pd.DataFrame]:
    """Return what a tuned design has besides, by field of `Analysis`."""
    if experiment.tune is None:
        return {}
    trials = tuning_trials_frame(experiment, tunings)
    found = find_untuned(experiment, results.trials["data_fingerprint"].unique())
    return {
        "tuning": tuning_frame(experiment, tunings),
        "tuning_trials": trials,
        "importance": tuning_importance(experiment, trials),
        "untuned": untuned_frame(experiment, table, tunings, found),
    }


def trials_table(experiment: Experiment, matched: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Return a row a planned trial, with what was measured of it.

    Args:
        experiment: The design.
        matched: What `match_trials` gave.
        epochs: `Results.epochs`.
    """
    axes = [axis_column(axis.name) for axis in experiment.axes]
    return measure(plan_frame(experiment), matched.drop(columns="cell"), epochs, [*axes, "seed", "fold"])


def plan_frame(experiment: Experiment) -> pd.DataFrame:
    """Return a row a planned trial, in the design's order: `cell`, a column an axis, `seed`, `fold`.

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


def cells_frame(experiment: Experiment, table: pd.DataFrame) -> pd.DataFrame:
    """Return `Analysis.cells`: the outcome with its t-interval, states counted, medians of costs.

    `instability` (median over trials) is there besides the contract's columns.
    """
    axes = [axis_column(axis.name) for axis in experiment.axes]
    keys = ["cell", *axes]
    measured = _with_columns(table, [experiment.outcome, _last(experiment), "objective", *CELL_MEDIANS])
    per_seed = average_folds(measured, keys, experiment.outcome)
    cells = summarise(per_seed, keys, experiment.outcome)
    groups = measured.groupby(keys, sort=False, dropna=False)
    cells["mean_last"] = (
        average_folds(measured, keys, _last(experiment))
        .groupby(keys, sort=False)[_last(experiment)]
        .mean()
        .to_numpy()
    )
    cells["val_mean"] = groups["objective"].mean().to_numpy()
    for name, states in LOST.items():
        cells[name] = (
            measured["state"]
            .isin(list(states))
            .groupby([measured[k] for k in keys], sort=False)
            .sum()
            .to_numpy()
        )
    for name in CELL_MEDIANS:
        cells[name] = groups[name].median().to_numpy()
    metric = find_quantity(experiment.outcome)
    direction = "maximize" if metric is None else metric.direction
    cells["front"] = unbeaten_in(cells, "mean", LIMITS, direction)
    return cells


def seeds_frame(experiment: Experiment, complete: pd.DataFrame) -> pd.DataFrame:
    """Return `Analysis.seeds`: the outcome of every completed trial."""
    axes = [axis_column(axis.name) for axis in experiment.axes]
    measured = _with_columns(complete, [experiment.outcome, _last(experiment)])
    columns = ["trial", "cell", *axes, "seed", "fold", experiment.outcome, _last(experiment)]
    seeds = measured[columns].reset_index(drop=True)
    return seeds.set_axis(["trial", "cell", *axes, "seed", "fold", "value", "value_last"], axis=1)


def failures_frame(table: pd.DataFrame) -> pd.DataFrame:
    """Return `Analysis.failures`: recorded trials that did not complete."""
    ended = [state.value for state in State if state.has_reason]
    columns = ["trial", "cell", "seed", "fold", "state", "failure", "reason"]
    rows = _with_columns(table[table["state"].isin(ended)], columns)[columns].reset_index(drop=True)
    return rows.astype({"failure": object, "reason": object}).fillna({"failure": "", "reason": ""})


def _analyse_search(
    experiment: Experiment, results: Results, matched: pd.DataFrame, project: Project
) -> Analysis:
    assert experiment.search is not None
    plan = matched[["cell", "trial"]]
    table = measure(plan, matched.drop(columns="cell"), results.epochs, ["trial"])
    proposals = proposals_frame(experiment, table, results.epochs)
    partial = missing_text(experiment, table)
    has_goals = bool(experiment.search.goals)
    best = None if has_goals else find_best(experiment, proposals, table)
    front = find_front(experiment, proposals, table) if has_goals else []
    points = front or ([best] if best is not None else [])
    used = sorted({int(seed) for seed in results.trials["seed"]})
    design, no_design = best_design(experiment, points, used=used, partial=partial)
    shares = search_importance(experiment, proposals)
    notes = [no_design] if no_design and points else []
    notes += [too_few_text(experiment.search)] if shares.empty and not proposals.empty else []
    estimator = Estimator(table, Pairing(), results.images)
    family = Family((), {}, is_from_claims=False)
    effects = effects_frame(experiment, family, estimator, is_judged=False)
    nothing = table.iloc[:0]
    head = describe(experiment, table, family, estimator, project=project, partial=partial)
    if best is not None:
        head["best configuration"] = f"number {best.number}: {best.settings}"
        head["worth of the best"] = best.worth(experiment.outcome) or "not repeated with another seed"
    if front:
        head["Pareto front"] = listed([f"number {point.number}" for point in front])
        worth = [f"number {p.number}: {said}" for p in front if (said := p.worth(experiment.outcome))]
        head["worth of its points"] = "; ".join(worth) or "none repeated with another seed"
    return Analysis(
        experiment=experiment,
        answer=(
            write_front_answer(experiment, len(proposals), front, partial=partial)
            if has_goals
            else write_search_answer(experiment, len(proposals), best, partial=partial)
        ),
        head=head,
        cells=cells_frame(experiment, nothing),
        seeds=seeds_frame(experiment, nothing),
        effects=effects,
        claims=judge_claims(experiment, family, estimator, partial=partial),
        subgroups=subgroups_frame(experiment, estimator),
        curves=curves(results.epochs, nothing, (), _curve_metrics(results.epochs)),
        failures=failures_frame(table),
        left_out=_left_out(results, experiment),
        search=proposals,
        importance=shares,
        replicated=replicated_frame(experiment, points, table),
        best_design=design,
        measured=table,
        notes=(*write_notes(experiment, table, effects, matched, partial=partial), *notes),
        provenance=provenance(experiment, results, table),
        is_partial=partial is not None,
    )


def _folder(experiment: Experiment) -> ExperimentFolder:
    return ResultsFolder(experiment.project.results).experiment(experiment.name)


def _left_out(results: Results, experiment: Experiment) -> pd.DataFrame:
    """List the records that are no part of the report, with the reason."""
    return pd.concat([results.left_out, unmatched_trials(results, experiment)], ignore_index=True)


def _curve_metrics(epochs: pd.DataFrame) -> list[str]:
    return [*CURVES, *(c for c in map(str, epochs) if c.startswith("val_") and c not in CURVES)]


def _last(experiment: Experiment) -> str:
    metric = find_quantity(experiment.outcome)
    return metric.last if metric is not None else f"{experiment.outcome}_last"


def _with_columns(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    return frame.assign(**{name: np.nan for name in names if name not in frame})


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
