"""How many seeds would settle a question, and which differences the seeds at hand could show."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import optimize, special

POWER = 0.8
MOST_SEEDS = 10_000
"""Beyond this the answer is infinity: no more seeds than that will ever be run."""

ASSURANCE = (0.5, 0.9)
"""The seeds needed are a range: with its lower end the power is reached in half of all pilots, with its upper
end in nine of ten, given how uncertain the sd of few seeds is."""


def paired_power(effect: float, n: float, alpha: float) -> float:
    """Return the power of the two-sided paired t-test with n pairs for an effect in units of the sd.

    The sd's chi distribution is integrated numerically: scipy's noncentral t returns NaN for few pairs and
    large effects, which is where this is asked.

    Reference: noncentral t; Cohen (1988), Statistical Power Analysis, section 2.3.
    """
    df, shift = n - 1, effect * np.sqrt(n)
    critical = -special.stdtrit(df, alpha / 2)
    nodes, weights = _quadrature()
    scale = critical * np.sqrt(special.chdtri(df, nodes) / df)
    return float(weights @ (special.ndtr(shift - scale) + special.ndtr(-shift - scale)))


@cache
def _quadrature(num_nodes: int = 600) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = special.roots_legendre(num_nodes)
    return (nodes + 1) / 2, weights / 2


def seeds_needed(sd: float, difference: float, *, alpha: float = 0.05, power: float = POWER) -> float:
    """Return the fewest seeds (at least 2) whose paired t-test has this power; inf beyond `MOST_SEEDS`."""
    if not (np.isfinite(sd) and difference > 0):
        return float("nan")
    if sd == 0:
        return 2.0
    effect = difference / sd
    low, high = 1, 2
    while paired_power(effect, high, alpha) < power:
        low, high = high, high * 2
        if low >= MOST_SEEDS:
            return float("inf")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if paired_power(effect, middle, alpha) >= power else (middle, high)
    return float(high)


def seeds_needed_range(
    sd: float, n: int, difference: float, *, alpha: float = 0.05, power: float = POWER
) -> tuple[float, float]:
    """Return the seeds needed at the `ASSURANCE` limits of the true sd, given the sd of n seeds.

    Upper confidence limits of the sd stand for it: sd·sqrt(df / chi2_{1-assurance}(df)).

    Reference: Browne (1995), Statistics in Medicine 14:1933.
    """
    if n < 2 or not np.isfinite(sd):
        return float("nan"), float("nan")
    low, high = (
        seeds_needed(sd * np.sqrt((n - 1) / special.chdtri(n - 1, a)), difference, alpha=alpha, power=power)
        for a in ASSURANCE
    )
    return low, high


def smallest_difference(sd: float, n: int, *, alpha: float = 0.05, power: float = POWER) -> float:
    """Return the smallest true difference that n seeds show with this power; NaN for one seed."""
    if n < 2 or not np.isfinite(sd):
        return float("nan")
    if sd == 0:
        return 0.0

    def lack(log_effect: float) -> float:
        return paired_power(float(np.exp(log_effect)), n, alpha) - power

    low, high = np.log(1e-3), np.log(1e-3)
    while lack(high) < 0:
        high += 1.0
    if high == low:
        return float(sd * 1e-3)
    return float(sd * np.exp(optimize.brentq(lack, high - 1.0, high, xtol=1e-8)))
