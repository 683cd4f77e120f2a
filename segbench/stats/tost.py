"""Equivalence: the difference is shown to lie between two bounds."""

from __future__ import annotations

import numpy as np

from segbench.stats.intervals import Spread


def p_within(
    difference: np.ndarray | float, spread: Spread, bounds: tuple[np.ndarray | float, np.ndarray | float]
) -> np.ndarray:
    """Return the p of two one-sided tests that the true difference lies between `bounds`.

    It is the larger of the two one-sided p-values; below .05 exactly where the 90 % interval lies inside the
    bounds. NaN for one seed or a difference that is NaN. Arrays broadcast.

    Reference: Schuirmann (1987), J. Pharmacokinetics and Biopharmaceutics 15:657; Lakens (2017), SPPS 8:355.
    """
    low, high = bounds
    p: np.ndarray = np.maximum(_one_sided(difference - low, spread), _one_sided(high - difference, spread))
    return p


def _one_sided(distance: np.ndarray | float, spread: Spread) -> np.ndarray:
    # Exactly on the bound without any spread the hypothesis "outside or on it" is true.
    is_on_bound = (np.asarray(distance) == 0) & (spread.half_width() == 0)
    return np.where(is_on_bound, 1.0, spread.tail(distance))[()]
