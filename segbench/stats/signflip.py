"""The exact sign-flip test of paired differences."""

from __future__ import annotations

import numpy as np

LEAST_SEEDS = 6
"""With five seeds the smallest two-sided p is 2/32 = .0625: no test at .05."""
MOST_SEEDS = 40
"""Two halves of 2^20 sums each; beyond that enumeration no longer pays."""
_ROUNDING = 1e-12
"""Sums this close to the observed one, relative to the sum of all sizes, count as equal to it."""


def sign_flip_p(differences: np.ndarray | tuple[float, ...]) -> float:
    """Return the exact two-sided p of "the differences are symmetric about zero".

    The share of the 2^n ways to give the differences signs whose sum is at least as far from zero as the
    observed one, which is among them. It takes no normal distribution, only that under the hypothesis a
    difference is as likely as its negative. All sums are counted: those of two halves of the differences are
    enumerated, and pairs of them counted in sorted order.

    NaN for fewer than 6 values (it could not fall below .05), more than 40, and where one is NaN.

    Reference: Fisher (1935), The Design of Experiments, section 21; Horowitz & Sahni (1974), JACM 21:277 (the
    two halves).
    """
    values = np.asarray(differences, float)
    n = values.size
    if not LEAST_SEEDS <= n <= MOST_SEEDS or np.isnan(values).any():
        return float("nan")
    bound = abs(values.sum()) - _ROUNDING * np.abs(values).sum()
    if bound <= 0:
        return 1.0
    first, second = _sums(values[: n // 2]), np.sort(_sums(values[n // 2 :]))
    # Signs come in mirrored pairs, so that as many sums lie below -bound as above bound.
    num_above = (second.size - np.searchsorted(second, bound - first, side="left")).sum()
    return float(2 * num_above / 2.0**n)


def _sums(values: np.ndarray) -> np.ndarray:
    """Return the sums of all 2^k ways to sign k values."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums
