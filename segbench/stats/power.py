"""How many seeds would settle a question, and which differences the seeds at hand could show."""

from __future__ import annotations

from collections.abc import Callable
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


def equivalence_power(effect: float, margin: float, n: float, alpha: float) -> float:
    """Return the power of two one-sided paired tests with n pairs; effect and margin in units of the sd.

    Reference: Phillips (1990), J. Pharmacokinetics and Biopharmaceutics 18:137.
    """
    df = n - 1
    nodes, weights = _quadrature()
    critical = -special.stdtrit(df, alpha) * np.sqrt(special.chdtri(df, nodes) / df)
    low, high = (np.sqrt(n) * (side - effect) for side in (-margin, margin))
    inside = special.ndtr(high - critical) - special.ndtr(low + critical)
    return float(weights @ np.maximum(inside, 0.0))


def seeds_needed(
    sd: float, difference: float, *, alpha: float = 0.05, power: float = POWER, null: float = 0.0
) -> float:
    """Return the fewest seeds (at least 2) whose paired t-test has this power.

    Args:
        sd: Of per-seed differences. NaN, and 0, say nothing of how seeds differ: the answer is NaN.
        difference: The true one.
        alpha: Two-sided.
        power: Wanted.
        null: Half-width of the region to be left: 0, or the margin where equality is claimed.

    Returns:
        Seeds; infinity beyond `MOST_SEEDS`, and where the difference lies in the region: no number shows it.
    """
    if not (np.isfinite(sd) and sd > 0 and difference > 0):
        return float("nan")
    if difference <= null:
        return float("inf")
    return _fewest(lambda n: paired_power((difference - null) / sd, n, alpha), power)


def seeds_for_equivalence(
    sd: float, difference: float, margin: float, *, alpha: float = 0.05, power: float = POWER
) -> float:
    """Return the fewest seeds that show the difference to lie within the margin; as `seeds_needed`."""
    if not (np.isfinite(sd) and sd > 0 and np.isfinite(difference)):
        return float("nan")
    if abs(difference) >= margin:
        return float("inf")
    return _fewest(lambda n: equivalence_power(abs(difference) / sd, margin / sd, n, alpha), power)


def _fewest(power_of: Callable[[float], float], power: float) -> float:
    low, high = 1, 2
    while power_of(high) < power:
        low, high = high, high * 2
        if low >= MOST_SEEDS:
            return float("inf")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return float(high) if high <= MOST_SEEDS else float("inf")


def over_assurance(seeds: Callable[[float], float], sd: float, n: int) -> tuple[float, float]:
    """Return what `seeds` says at the `ASSURANCE` limits of the true sd, given the sd of n seeds.

    Upper confidence limits of the sd stand for it: sd·sqrt(df / chi2_{1-assurance}(df)).

    Reference: Browne (1995), Statistics in Medicine 14:1933.
    """
    if n < 2 or not np.isfinite(sd):
        return float("nan"), float("nan")
    low, high = (seeds(float(sd * np.sqrt((n - 1) / special.chdtri(n - 1, a)))) for a in ASSURANCE)
    return low, high


def seeds_needed_range(
    sd: float, n: int, difference: float, *, alpha: float = 0.05, power: float = POWER, null: float = 0.0
) -> tuple[float, float]:
    """Return `seeds_needed` over the `ASSURANCE` limits of the sd of n seeds."""
    return over_assurance(
        lambda limit: seeds_needed(limit, difference, alpha=alpha, power=power, null=null), sd, n
    )


def smallest_difference(
    sd: float, n: int, *, alpha: float = 0.05, power: float = POWER, null: float = 0.0
) -> float:
    """Return the smallest true difference that n seeds show with this power to lie beyond `null`.

    NaN for one seed, and where the sd is 0 or not known.
    """
    if n < 2 or not (np.isfinite(sd) and sd > 0):
        return float("nan")

    def lack(log_effect: float) -> float:
        return paired_power(float(np.exp(log_effect)), n, alpha) - power

    low, high = np.log(1e-3), np.log(1e-3)
    while lack(high) < 0:
        high += 1.0
    if high == low:
        return float(null + sd * 1e-3)
    return float(null + sd * np.exp(optimize.brentq(lack, high - 1.0, high, xtol=1e-8)))
