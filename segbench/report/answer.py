"""The answer in plain words: one paragraph made of verdicts, saying no more than they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from segbench.config.experiment import Experiment
from segbench.quantities import find_quantity
from segbench.records import State
from segbench.report.numbers import (
    decimals_for,
    interval,
    metric_words,
    p_in_words,
    percent,
    signed,
)
from segbench.report.study import Estimator
from segbench.report.topics.claims import ON_TEXT
from segbench.report.topics.search import Best
from segbench.report.trace import rows_of
from segbench.stats.verdict import EQUIVALENT, UNRESOLVED, alpha_at_a_look
from segbench.wording import counted, listed

_NAMES = {"test_dice": "the Dice coefficient"}


def write_answer(
    experiment: Experiment,
    table: pd.DataFrame,
    effects: pd.DataFrame,
    claims: pd.DataFrame,
    head: Mapping[str, str],
    estimator: Estimator,
    *,
    partial: str | None,
    remark: str = "",
) -> str:
    """Write what was measured, what was found, what is open and how finely the experiment could tell.

    `remark` is a sentence that belongs before the verdicts.
    """
    sentences = [_measured(experiment, table, head, estimator)]
    sentences += [remark] if remark else []
    if partial is not None:
        sentences.append(f"The sweep is not finished ({partial}), so nothing is judged yet.")
        return " ".join(sentences)
    if experiment.outcome not in table or table[experiment.outcome].isna().all():
        sentences.append(f"No trial here holds {experiment.outcome}, so nothing is judged by it.")
    level = 1 - alpha_at_a_look(len(experiment.looks))
    family = effects[effects["is_family"] & (effects["verdict"] != "")]
    decided = family[~family["verdict"].isin([UNRESOLVED, EQUIVALENT])]
    sentences += [_decided(row, level) for row in rows_of(decided)]
    sentences += [
        _equivalent(row, experiment, level) for row in rows_of(family[family["verdict"] == EQUIVALENT])
    ]
    unresolved = rows_of(family[family["verdict"] == UNRESOLVED])
    sentences += [_unresolved(row, experiment, level) for row in unresolved]
    sentences += _claims(claims)
    if family["depends_on_selection"].any():
        rows = rows_of(family[family["depends_on_selection"]])
        sentences.append(
            f"At the last epoch's weights the answer differs for {listed([_contrast(r) for r in rows])}: it "
            "depends on checkpoint selection."
        )
    sentences += _not_completed(table)
    if unresolved and "resolution" in head:
        sentences.append(f"How finely this experiment can tell: {head['resolution']}.")
    return " ".join(sentences)


def write_search_answer(
    experiment: Experiment, num_proposals: int, best: Best | None, *, partial: str | None
) -> str:
    """Name the best configuration of a search, and what it is worth with seeds that did not choose it."""
    begin = f"The search has tried {counted(num_proposals, 'configuration')}"
    begin += f" ({partial})." if partial else "."
    if best is None:
        return f"{begin} None has completed, so there is no best one yet."
    metric = experiment.baseline.objective.metric
    text = (
        f"{begin} The best by {metric} is number {best.number} with {best.settings}: {best.objective:.4f}, "
        f"chosen among {counted(best.num_completed, 'validation value')} and so flattering."
    )
    worth = best.worth(experiment.outcome)
    if not worth:
        return (
            f"{text} It has not been repeated with another seed, so what it is worth on test images is open."
        )
    return f"{text} On the test images it reaches {worth}."


def write_front_answer(
    experiment: Experiment, num_proposals: int, front: Sequence[Best], *, partial: str | None
) -> str:
    """Say what the Pareto front of a search spans, and what its points are worth with other seeds."""
    assert experiment.search is not None
    begin = f"The search has tried {counted(num_proposals, 'configuration')}"
    begin += f" ({partial})." if partial else "."
    if not front:
        return f"{begin} None has completed within its constraints, so there is no Pareto front yet."
    goals = listed([f"{goal.direction[:-1]}ing {goal.metric}" for goal in experiment.search.goals])
    if len(front) == 1:
        text = f"{begin} In {goals} one is as good as any other: {front[0].name}, "
    else:
        text = (
            f"{begin} {len(front)} of them stand on the Pareto front of {goals}, where no other is as good "
            f"in every goal and better in one, from {front[0].name} to {front[-1].name}; none is the best. "
            "They were "
        )
    text += f"chosen among {counted(front[0].num_completed, 'validation value')} and so flattering."
    said = {point.number: point.worth(experiment.outcome) for point in front}
    worth = [f"number {number} reaches {words}" for number, words in said.items() if words]
    if not worth:
        return f"{text} None has been repeated with another seed: what they reach on test images is open."
    return f"{text} On the test images {listed(worth)}."


def _measured(
    experiment: Experiment, table: pd.DataFrame, head: Mapping[str, str], estimator: Estimator
) -> str:
    cells, axes = len(experiment.cells), [axis.name for axis in experiment.axes]
    seeds = counted(len(experiment.seeds), "seed") + (" each" if cells > 1 else "")
    folds = f" and {experiment.num_folds} folds" if experiment.num_folds > 1 else ""
    number, _, groups = head.get("test images", "").partition(" in ")
    over = f" on {number} test images" if number else ""
    over += f" in {groups}" if groups else ""
    data = experiment.foreign or experiment.baseline.dataset.name
    varied = f" ({listed(axes)} varied)" if axes else ""
    outcome = _NAMES.get(experiment.outcome) or _outcome_words(experiment.outcome)
    return (
        f"This experiment measured {outcome}{over} of {data} in {counted(cells, 'cell')}{varied}, "
        f"with {seeds}{folds}."
    )


def _outcome_words(outcome: str) -> str:
    quantity = find_quantity(outcome)
    spec = None if quantity is None else quantity.metric
    if spec is None:
        return outcome
    unit = f"in {spec.unit}" if spec.unit else ""
    direction = "the lower the better" if spec.is_lower_better else ""
    notes = ", ".join(filter(None, (unit, direction)))
    return f"the {spec.words}{f' ({notes})' if notes else ''}"


def _contrast(row: Mapping[str, object]) -> str:
    at = f" at {row['at']}" if row["at"] else ""
    return f"{row['level']} against {row['baseline']}{at}"


def _numbers(row: Mapping[str, object], level: float) -> str:
    suffix = "_new" if row["on"] == "new_images" else ""
    low, high = float(row[f"low{suffix}"]), float(row[f"high{suffix}"])  # type: ignore[arg-type]
    difference = float(row["difference"])  # type: ignore[arg-type]
    if not np.isfinite(difference):
        return "no seed completed in both"
    decimals = decimals_for((high - low) / 2)
    if not np.isfinite(low):
        seeds = counted(int(row["n"]), "seed")  # type: ignore[call-overload]
        return f"{signed(difference, decimals)} in {metric_words(str(row['metric']))}, {seeds}"
    where = ON_TEXT[str(row["on"])]
    value = f"{signed(difference, decimals)} in {metric_words(str(row['metric']))}"
    return f"{value}, {percent(level)} interval {interval(low, high, decimals)}, {where}"


def _decided(row: Mapping[str, object], level: float) -> str:
    verdict = str(row["verdict"])
    if "negligibly" in verdict:
        verdict += " (the whole interval lies within the margin)"
    at = f" at {row['at']}" if row["at"] else ""
    p = p_in_words(float(row["p_holm"]))  # type: ignore[arg-type]
    diverged = f"; {_divergence(row)}" if _divergence(row) else ""
    text = f"{row['axis']}{at}: {row['level']} is {verdict} than {row['baseline']}"
    return f"{text} ({_numbers(row, level)}; Holm {p}{diverged})."


def _equivalent(row: Mapping[str, object], experiment: Experiment, level: float) -> str:
    at = f" at {row['at']}" if row["at"] else ""
    p = p_in_words(float(row["p_equivalence_holm"]))  # type: ignore[arg-type]
    return (
        f"{row['axis']}{at}: {row['level']} and {row['baseline']} are equivalent within the margin of "
        f"{experiment.margin:g} ({_numbers(row, level)}; Holm {p})."
    )


def _unresolved(row: Mapping[str, object], experiment: Experiment, level: float) -> str:
    text = f"{row['axis']}: {_contrast(row)} is unresolved ({_numbers(row, level)})"
    if _divergence(row):
        return f"{text}; {_divergence(row)}."
    if row["forecast"]:
        return f"{text}; {row['forecast']}."
    if row["n"] == 1:
        return f"{text}; one seed gives no interval."
    if experiment.margin is None:
        return f"{text}; no margin is declared, so equivalence cannot be told."
    return f"{text}."


def _divergence(row: Mapping[str, object]) -> str:
    """Return what the note says of diverged trials, empty where the arms agree in them."""
    return next((part for part in str(row["note"]).split("; ") if part.startswith("diverged: ")), "")


def _claims(claims: pd.DataFrame) -> list[str]:
    if claims.empty:
        return []
    counts = claims["verdict"].value_counts()
    order = [v for v in ("supported", "contradicted", "unresolved", "not judged") if v in counts]
    total = counted(len(claims), "claim")
    return [f"Of {total}, {listed([f'{counts[v]} {_be(counts[v])} {v}' for v in order])}."]


def _be(number: int) -> str:
    return "is" if number == 1 else "are"


def _not_completed(table: pd.DataFrame) -> list[str]:
    counts = table["state"].value_counts()
    parts = [f"{counts[s.value]} {s.value}" for s in (State.DIVERGED, State.FAILED) if s.value in counts]
    return [f"Of {counted(len(table), 'trial')}, {listed(parts)}."] if parts else []
