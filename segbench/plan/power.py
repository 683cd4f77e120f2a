"""Which differences the seeds of a design can show, by what is known of their spread. No torch, no data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segbench.config.pairing import Pairing
from segbench.plan.plan import Plan
from segbench.records import State, TrialRecord, axis_column
from segbench.store.layout import ResultsFolder
from segbench.store.scan import scan

if TYPE_CHECKING:
    import pandas as pd

    from segbench.config.experiment import Experiment
    from segbench.stats.questions import Question


Records = Sequence[tuple[Mapping[str, str], TrialRecord]]
"""Levels of a cell, and what is recorded of a trial of it."""


@dataclass(frozen=True)
class Spread:
    """The standard deviation of per-seed differences of the outcome."""

    sd: float
    num_seeds: int | None
    """How many seeds it was measured over; None: it is an expectation."""
    text: str
    """Says the value and where it comes from."""


def is_judged(experiment: Experiment) -> bool:
    """Whether the experiment compares arms over seeds; a smoke test and a search do not."""
    return experiment.search is None and len(experiment.cells) > 1 and not experiment.name.endswith("_smoke")


def family(experiment: Experiment) -> tuple[list[Question], float]:
    """Return what is judged together, and the level of Holm's first step."""
    from segbench.stats.questions import questions
    from segbench.stats.verdict import alpha_at_a_look

    asked = questions(experiment)
    return asked, alpha_at_a_look(len(experiment.looks)) / max(1, len(asked))


def seed_spread(plan: Plan) -> Spread | None:
    """Return how per-seed differences of what the experiment asks spread, None where nothing tells.

    The root mean square over the contrasts of the experiment's own records where some contrast has two seeds,
    else of those of a scale of it, else what the file expects.
    """
    for name, records in sources(plan):
        table = _table(plan.experiment, records)
        found = None if table is None else _pooled(plan.experiment, table, family(plan.experiment)[0])
        if found is not None:
            sd, n = found
            return Spread(sd, n, f"an sd of {sd:.2g} over {n} seeds of {name}")
    expected = plan.experiment.expected_seed_sd
    if expected is None:
        return None
    sd = math.sqrt(2) * expected
    return Spread(sd, None, f"an sd of at most {sd:.2g}, were that of a cell {expected:g} as expected")


def smallest_difference(plan: Plan) -> tuple[float, Spread] | None:
    """Return the smallest difference of the outcome shown with 80 % power, and the spread behind it.

    At the level that Holm's first step leaves to each of the comparisons; where all of them claim equality,
    it is one beyond the margin. None for a search, one seed, one cell, verdicts on new images alone, or where
    nothing tells how seeds differ.
    """
    experiment = plan.experiment
    if not is_judged(experiment) or len(experiment.seeds) < 2:
        return None
    spread = seed_spread(plan)
    if spread is None:
        return None
    from segbench.stats import power

    asked, alpha = family(experiment)
    asked = [question for question in asked if question.on == "test_set"]
    if not asked:
        return None
    is_equality = all(question.op == "==" for question in asked)
    null = (experiment.margin or 0.0) if is_equality else 0.0
    smallest = power.smallest_difference(spread.sd, len(experiment.seeds), alpha=alpha, null=null)
    return (smallest, spread) if math.isfinite(smallest) else None


def sources(plan: Plan) -> Iterator[tuple[str, Records]]:
    """Yield the experiment's own records, then those of its scales, each with whose they are."""
    own = [(e.trial.cell.levels, e.record) for e in plan.entries if e.record is not None]
    yield "this experiment", own
    for folder in ResultsFolder(plan.experiment.project.results).experiments():
        if folder.name.startswith(f"{plan.experiment.name}_") and not folder.name.endswith("_smoke"):
            records = scan(folder).records.values()
            yield folder.name, [(record.levels, record) for record in records]


def _table(experiment: Experiment, records: Records) -> pd.DataFrame | None:
    """Return one row per complete trial of the design's axes, or None where there are not two seeds."""
    axes = {axis.name: axis_column(axis.name) for axis in experiment.axes}
    needed = {axis.name for axis in experiment.axes if not axis.when}
    metric = experiment.outcome.removeprefix("test_")
    rows = [
        {
            "trial": record.hash,
            "state": str(record.state),
            "seed": record.seed,
            "fold": record.fold,
            **{column: levels.get(axis, "") for axis, column in axes.items()},
            experiment.outcome: record.test[metric],
        }
        for levels, record in records
        if record.state is State.COMPLETE and metric in record.test and needed <= set(levels) <= set(axes)
    ]
    if len({row["seed"] for row in rows}) < 2:
        return None
    if experiment.design.kind == "fractional":  # effects are means over all cells
        cells = {tuple(row[column] for column in axes.values()) for row in rows}
        if len(cells) < len(experiment.cells):
            return None
    import pandas as pd

    return pd.DataFrame(rows).drop_duplicates([*axes.values(), "seed", "fold"], keep="last")


def _pooled(
    experiment: Experiment, table: pd.DataFrame, asked: Sequence[Question]
) -> tuple[float, int] | None:
    import numpy as np

    from segbench.quantities import find_quantity
    from segbench.stats.effects import estimate
    from segbench.stats.questions import baseline_contrasts

    metric = find_quantity(experiment.outcome)
    assert metric is not None
    contrasts = [q.contrast for q in asked if q.contrast.metric == experiment.outcome and q.op != "/"]
    pairing = Pairing.of(experiment)
    contrasts = contrasts or baseline_contrasts(experiment)
    effects = [estimate(table, contrast, pairing, metric) for contrast in contrasts]
    known = [effect for effect in effects if effect.has_spread]
    if not known:
        return None
    return float(np.sqrt(np.mean([e.sd**2 for e in known]))), int(np.median([e.n for e in known]))
