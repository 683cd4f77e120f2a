"""Equivalence: the difference is shown to lie between two bounds."""

from __future__ import annotations

import numpy as np

from segbench.stats.intervals import Spread


def p_within(difference: float, spread: Spread, bounds: tuple[float, float]) -> float:
    """Return the p of two one-sided tests that the true difference lies between `bounds`.

    It is the larger of the two one-sided p-values; below .05 exactly where the 90 % interval lies inside the
    bounds. NaN for one seed or a difference that is NaN.

    Reference: Schuirmann (1987), J. Pharmacokinetics and Biopharmaceutics 15:657; Lakens (2017), SPPS 8:355.
    """
    low, high = bounds
    if np.isnan(difference):
        return float("nan")
    return float(max(_one_sided(difference - low, spread), _one_sided(high - difference, spread)))


def _one_sided(distance: float, spread: Spread) -> float:
    p = spread.tail(distance)
    # Exactly on the bound without any spread the hypothesis "outside or on it" is true.
    return 1.0 if distance == 0 and spread.df >= 1 and spread.half_width() == 0 else p
