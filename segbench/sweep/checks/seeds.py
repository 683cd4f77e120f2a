"""Guards about the number of seeds: whether they can tell the differences that matter. No torch, no data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench.errors import message
from segbench.records import State, TrialRecord
from segbench.store.layout import ResultsFolder
from segbench.store.scan import scan
from segbench.sweep.checks.finding import Severity, guard
from segbench.sweep.plan import Plan

Records = Sequence[tuple[Mapping[str, str], TrialRecord]]
"""Levels of a cell, and what is recorded of a trial of it."""

if TYPE_CHECKING:
    import pandas as pd

    from segbench.config.experiment import Experiment
    from segbench.stats.pairs import Contrast


def facts_of_seeds(plan: Plan) -> list[Any]:
    """Return everything that decides what the guards of this module find, as plain JSON types."""
    experiment = plan.experiment
    metric = experiment.outcome.removeprefix("test_")
    return [
        [experiment.name, experiment.outcome, experiment.margin, list(experiment.seeds)],
        [[axis.name, axis.baseline, list(axis.labels)] for axis in experiment.axes],
        [dict(cell.levels) for cell in experiment.cells],
        [asdict(claim) for claim in experiment.claims],
        [
            [
                name,
                [[dict(levels), r.seed, r.fold, str(r.state), r.test.get(metric)] for levels, r in records],
            ]
            for name, records in _sources(plan)
        ],
    ]


@guard("SB116", Severity.WARNING)
def seeds_resolve_the_margin(plan: Plan) -> Iterator[str]:
    """There are seeds enough to tell differences of the margin, as far as records say how seeds differ."""
    experiment = plan.experiment
    if not _is_judged(experiment):
        return
    from segbench.stats.power import seeds_needed_range

    num_seeds = len(experiment.seeds)
    asked, alpha = _family(experiment)
    if num_seeds == 1:
        yield message(
            f"{experiment.name}: seeds",
            f"one seed gives no interval and no verdict on {_count(len(asked), 'comparison')}",
            got=1,
            see="Take `seeds: 3` or more",
        )
    if not experiment.margin:
        return
    known = _spread(plan, asked)
    if known is None:
        return
    source, sd, n = known
    low, high = seeds_needed_range(sd, n, experiment.margin, alpha=alpha)
    spread = f"per-seed differences in {experiment.outcome} have an sd of {sd:.2g} over {n} seeds of {source}"
    if num_seeds < low:
        yield message(
            f"{experiment.name}: seeds",
            f"{_count(len(asked), 'comparison')} at a margin of {experiment.margin:g} "
            f"need{'s' * (len(asked) == 1)} {_range(low, high)} seeds: {spread}",
            got=num_seeds,
            see="Take more seeds, fewer claims or a wider margin, or expect `unresolved`",
        )


@guard("SB116", Severity.NOTE)
def seeds_suffice_for_some_spread(plan: Plan) -> Iterator[str]:
    """Before any record tells how seeds differ, one knows for which spread the seeds given would do."""
    experiment = plan.experiment
    if not _is_judged(experiment) or not experiment.margin or len(experiment.seeds) < 2:
        return
    from segbench.stats.power import POWER, seeds_needed, smallest_difference

    asked, alpha = _family(experiment)
    if _spread(plan, asked) is not None:
        return
    num_seeds = len(experiment.seeds)
    enough = experiment.margin / smallest_difference(1.0, num_seeds, alpha=alpha)
    needed = seeds_needed(experiment.margin, experiment.margin, alpha=alpha)
    yield (
        f"{experiment.name}: seeds: {num_seeds} tell differences of the margin {experiment.margin:g} with "
        f"{100 * POWER:.0f} % power if per-seed differences have an sd of {enough:.2g} or less; an sd as "
        f"large as the margin needs {needed:.0f}. `--scale` or a first sweep tells the sd."
    )


def _is_judged(experiment: Experiment) -> bool:
    """Whether the experiment compares arms over seeds; a smoke test and a search do not."""
    return experiment.search is None and len(experiment.cells) > 1 and not experiment.name.endswith("_smoke")


def _family(experiment: Experiment) -> tuple[list[Contrast], float]:
    """Return what is judged together, and the level of Holm's first step."""
    from segbench.stats.questions import questions
    from segbench.stats.verdict import ALPHA

    asked = questions(experiment)
    return asked, ALPHA / max(1, len(asked))


def _spread(plan: Plan, asked: Sequence[Contrast]) -> tuple[str, float, int] | None:
    """Return whose records, the sd of per-seed differences in the outcome, and over how many seeds.

    The sd is the root mean square over the contrasts asked about, n their median. The experiment's own
    records count where some contrast has two seeds, else those of a scale of it.
    """
    for name, records in _sources(plan):
        table = _table(plan.experiment, records)
        found = None if table is None else _pooled(plan.experiment, table, asked)
        if found is not None:
            return name, *found
    return None


def _sources(plan: Plan) -> Iterator[tuple[str, Records]]:
    """Yield the experiment's own records, then those of its scales, each with whose they are."""
    own = [(e.trial.cell.levels, e.record) for e in plan.entries if e.record is not None]
    yield "this experiment", own
    for folder in ResultsFolder(plan.experiment.project.results).experiments():
        if folder.name.startswith(f"{plan.experiment.name}_") and not folder.name.endswith("_smoke"):
            records = scan(folder).records.values()
            yield folder.name, [(record.levels, record) for record in records]


def _table(experiment: Experiment, records: Records) -> pd.DataFrame | None:
    """Return a row a complete trial of the design's axes, or None where there are not two seeds."""
    axes = [axis.name for axis in experiment.axes]
    metric = experiment.outcome.removeprefix("test_")
    rows = [
        {
            "trial": record.hash,
            "state": str(record.state),
            "seed": record.seed,
            "fold": record.fold,
            **levels,
            experiment.outcome: record.test[metric],
        }
        for levels, record in records
        if record.state is State.COMPLETE and metric in record.test and set(levels) == set(axes)
    ]
    if len({row["seed"] for row in rows}) < 2:
        return None
    import pandas as pd

    return pd.DataFrame(rows).drop_duplicates([*axes, "seed", "fold"], keep="last")


def _pooled(
    experiment: Experiment, table: pd.DataFrame, asked: Sequence[Contrast]
) -> tuple[float, int] | None:
    from segbench.stats.effects import estimate
    from segbench.stats.metrics import read_metric
    from segbench.stats.questions import baseline_contrasts

    metric = read_metric(experiment.outcome)
    assert metric is not None
    contrasts = [contrast for contrast in asked if contrast.metric == experiment.outcome]
    axes = [axis.name for axis in experiment.axes]
    effects = [
        estimate(table, contrast, axes, metric) for contrast in contrasts or baseline_contrasts(experiment)
    ]
    known = [effect for effect in effects if effect.n > 1]
    if not known:
        return None
    return float(np.sqrt(np.mean([e.sd**2 for e in known]))), int(np.median([e.n for e in known]))


def _range(low: float, high: float) -> str:
    if np.isinf(low):
        return "more than 10,000"
    return (
        f"{low:.0f}" if low == high else f"{low:.0f} to {'over 10,000' if np.isinf(high) else f'{high:.0f}'}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
