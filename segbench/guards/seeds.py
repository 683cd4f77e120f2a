"""Guards about the number of seeds: whether they can tell the differences that matter. No torch, no data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from segbench.errors import message
from segbench.guards.finding import Severity, guard
from segbench.plan.plan import Plan
from segbench.plan.power import family, is_judged, seed_spread, sources
from segbench.wording import counted


def facts_of_seeds(plan: Plan) -> list[Any]:
    """Return everything that decides what the guards of this module find, as plain JSON types."""
    experiment = plan.experiment
    metric = experiment.outcome.removeprefix("test_")
    return [
        [experiment.name, experiment.outcome, experiment.margin, experiment.expected_seed_sd],
        [list(experiment.seeds), list(experiment.looks)],
        [[axis.name, axis.baseline, list(axis.labels)] for axis in experiment.axes],
        [dict(cell.levels) for cell in experiment.cells],
        [asdict(claim) for claim in experiment.claims],
        [
            [
                name,
                [[dict(levels), r.seed, r.fold, str(r.state), r.test.get(metric)] for levels, r in records],
            ]
            for name, records in sources(plan)
        ],
    ]


@guard("SB116", Severity.WARNING)
def seeds_resolve_the_margin(plan: Plan) -> Iterator[str]:
    """There are seeds enough to tell differences of the margin, as far as records say how seeds differ."""
    experiment = plan.experiment
    if not is_judged(experiment):
        return
    from segbench.stats.power import seeds_needed, seeds_needed_range

    num_seeds = len(experiment.seeds)
    asked, alpha = family(experiment)
    if num_seeds == 1:
        yield message(
            f"{experiment.name}: seeds",
            f"one seed gives no interval and no verdict on {counted(len(asked), 'comparison')}",
            got=1,
            see="Take `seeds: 3` or more",
        )
    if not experiment.margin:
        return
    known = seed_spread(plan)
    if known is None:
        return
    if known.num_seeds is None:
        low = high = seeds_needed(known.sd, experiment.margin, alpha=alpha)
    else:
        low, high = seeds_needed_range(known.sd, known.num_seeds, experiment.margin, alpha=alpha)
    spread = f"per-seed differences in {experiment.outcome} have {known.text}"
    if num_seeds < low:
        yield message(
            f"{experiment.name}: seeds",
            f"{counted(len(asked), 'comparison')} at a margin of {experiment.margin:g} "
            f"need{'s' * (len(asked) == 1)} {_range(low, high)} seeds: {spread}",
            got=num_seeds,
            see="Take more seeds, fewer claims or a wider margin, or expect `unresolved`",
        )


@guard("SB116", Severity.NOTE)
def seeds_suffice_for_some_spread(plan: Plan) -> Iterator[str]:
    """Before any record tells how seeds differ, one knows for which spread the seeds given would do."""
    experiment = plan.experiment
    if not is_judged(experiment) or not experiment.margin or len(experiment.seeds) < 2:
        return
    from segbench.stats.power import POWER, seeds_needed, smallest_difference

    if seed_spread(plan) is not None:
        return
    _, alpha = family(experiment)
    num_seeds = len(experiment.seeds)
    enough = experiment.margin / smallest_difference(1.0, num_seeds, alpha=alpha)
    needed = seeds_needed(experiment.margin, experiment.margin, alpha=alpha)
    yield (
        f"{experiment.name}: seeds: with {num_seeds} seeds a difference as large as the margin "
        f"({experiment.margin:g}) is found with {100 * POWER:.0f} % power where the sd of per-seed "
        f"differences is {enough:.2g} or less; an sd as large as the margin takes {needed:.0f} seeds. "
        "The sd is known after a first sweep, also of a smaller scale."
    )


def _range(low: float, high: float) -> str:
    if np.isinf(low):
        return "more than 10,000"
    return (
        f"{low:.0f}" if low == high else f"{low:.0f} to {'over 10,000' if np.isinf(high) else f'{high:.0f}'}"
    )
