"""Checks forecasts of seeds: with as many as one asks for, the report's test says so in 80 % of runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segbench.stats.decisions import Evidence, p_difference, p_equivalence
from segbench.stats.moments import Moments
from segbench.stats.power import POWER, seeds_for_equivalence, seeds_needed, smallest_difference

SD = 0.01
"""Of per-seed differences."""
MARGIN = 0.005
SLACK = 0.02
"""2.8 standard errors of 4,000 runs are .018."""


@dataclass(frozen=True)
class Checked:
    """A forecast, and what simulated experiments of its seeds say."""

    name: str
    alpha: float
    seeds: int
    power: float
    power_with_less: float

    @property
    def holds(self) -> bool:
        """Whether the seeds suffice, and one less does not."""
        return self.power >= POWER - SLACK and self.power_with_less <= POWER + SLACK


def forecasts(num_runs: int) -> list[Checked]:
    """Check the forecasts of both kinds of claims, of a family of one and of four."""
    found = []
    for alpha in (0.05, 0.05 / 4):
        for difference, null in ((0.019, 0.0), (0.01, 0.0), (0.019, MARGIN), (0.012, MARGIN)):
            seeds = int(seeds_needed(SD, difference, alpha=alpha, null=null))
            name = f"{difference:g}, a difference" + (f" beyond {null:g}" if null else "")
            found.append(_checked(name, difference, (-null, null), alpha, seeds, num_runs))
        for difference in (0.0, 0.002):
            seeds = int(seeds_for_equivalence(SD, difference, MARGIN, alpha=alpha))
            found.append(
                _checked(
                    f"{difference:g}, equivalence within {MARGIN:g}", difference, None, alpha, seeds, num_runs
                )
            )
        for null in (0.0, MARGIN):
            difference = smallest_difference(SD, 5, alpha=alpha, null=null)
            power = _share(difference, (-null, null), alpha, 5, num_runs)
            name = f"{difference:.3g}, the smallest found" + (f" beyond {null:g}" if null else "")
            found.append(
                Checked(name, alpha, 5, power, _share(difference, (-null, null), alpha, 4, num_runs))
            )
    return found


def _checked(
    name: str, difference: float, null: tuple[float, float] | None, alpha: float, seeds: int, num_runs: int
) -> Checked:
    power, with_less = (_share(difference, null, alpha, n, num_runs) for n in (seeds, seeds - 1))
    return Checked(name, alpha, seeds, power, with_less)


def _share(
    difference: float, null: tuple[float, float] | None, alpha: float, seeds: int, num_runs: int
) -> float:
    """Return the share of runs in which the difference is shown; without `null`, equivalence."""
    if seeds < 2:
        return 0.0
    moments = Moments.of(np.random.default_rng((seeds, 7)).normal(difference, SD, (num_runs, seeds)))
    evidence = Evidence(difference=moments.difference, spread=moments.spread, n=moments.n)
    p = p_equivalence(evidence, (-MARGIN, MARGIN)) if null is None else p_difference(evidence, null)
    return float((p < alpha).mean())
