"""The tests behind verdicts, on numbers or arrays: a report asks for one family, a simulation for many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segbench.stats.intervals import Spread
from segbench.stats.multiplicity import holm
from segbench.stats.tost import p_within

Bounds = tuple[np.ndarray | float, np.ndarray | float]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was measured of a hypothesis; fields are numbers, or arrays that broadcast."""

    difference: np.ndarray | float
    spread: Spread
    n: np.ndarray | float = 2
    """Seeds that completed in both arms."""
    has_unequal_divergence: np.ndarray | bool = False
    """Whether the arms differ in divergences, so that the next three count."""
    worst_difference: np.ndarray | float = float("nan")
    """With the worst value for diverged trials."""
    worst_spread: Spread | None = None
    p_counts: np.ndarray | float = float("nan")
    """Of the counts of diverged seeds (`p_of_counts`)."""
    counts_sign: np.ndarray | int = 0
    """Sign of the difference that the counts speak for: the arm with more diverged seeds is the worse one."""


def p_difference(evidence: Evidence, null: Bounds = (0.0, 0.0)) -> np.ndarray:
    """Return the p of "the true difference lies between `null`"; NaN where there is nothing to test.

    Where the arms differ in divergences the counts of diverged seeds come first: the p is at most theirs,
    which falls with every further seed that diverges at one arm alone. The seeds that completed can lower it:

    - where they point the same way as the counts, by their own p: the worst value for diverged trials would
      move the difference further that way;
    - else by the larger of their p and the worst case's, where both point in one direction (an
      intersection-union test needs no correction).

    No correction is made for asking counts and completers: Fisher's test stays far below its level, and half
    of the completers' error alone agrees with the counts. `make calibrate` measures the error of both
    together.

    Reference: Berger (1982), Technometrics 24:295 (intersection-union).
    """
    p = evidence.spread.p_outside(evidence.difference, null)
    both = np.fmin(evidence.p_counts, _p_completers(evidence, p, null))
    return np.where(evidence.has_unequal_divergence, both, p)[()]


def sign_of_difference(evidence: Evidence, null: Bounds = (0.0, 0.0)) -> np.ndarray:
    """Return the sign of what `p_difference` is about: that of the counts where they have the smaller p."""
    p = evidence.spread.p_outside(evidence.difference, null)
    completers = _p_completers(evidence, p, null)
    is_by_counts = np.asarray(evidence.has_unequal_divergence) & ~(completers < evidence.p_counts)
    sign = np.where(
        is_by_counts & np.isfinite(evidence.p_counts), evidence.counts_sign, np.sign(evidence.difference)
    )
    return np.nan_to_num(sign)[()]


def _p_completers(evidence: Evidence, p: np.ndarray, null: Bounds) -> np.ndarray:
    """Return the p of the seeds that completed, with the worst case where the counts do not agree."""
    direction = np.sign(evidence.difference)
    agrees_with_counts = (direction == evidence.counts_sign) & (direction != 0)
    if evidence.worst_spread is None:
        return np.where(agrees_with_counts, p, np.nan)
    with_worst = np.maximum(p, evidence.worst_spread.p_outside(evidence.worst_difference, null))
    is_one_way = np.sign(evidence.worst_difference) == direction
    return np.where(agrees_with_counts, p, np.where(is_one_way, with_worst, 1.0))


def p_equivalence(evidence: Evidence, within: Bounds) -> np.ndarray:
    """Return the p that the true difference lies outside `within`, in completers or worst case."""
    p = p_within(evidence.difference, evidence.spread, within)
    if evidence.worst_spread is None:
        return np.where(evidence.has_unequal_divergence, np.nan, p)[()]
    with_worst = np.maximum(p, p_within(evidence.worst_difference, evidence.worst_spread, within))
    return np.where(evidence.has_unequal_divergence, with_worst, p)[()]


def adjust(p: np.ndarray, p_equivalence: np.ndarray, has_margin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both after Holm along the last axis, the members of a family.

    The differences are one family, the equivalences of the members that have a margin a second one.

    Args:
        p: (..., members) of no difference.
        p_equivalence: (..., members); what it says of members without a margin does not matter.
        has_margin: (members,).
    """
    adjusted = np.full(p_equivalence.shape, np.nan)
    adjusted[..., has_margin] = holm(p_equivalence[..., has_margin])
    return holm(p), adjusted


def p_of_counts(level: np.ndarray | int, baseline: np.ndarray | int, seeds: int) -> np.ndarray:
    """Return the two-sided p of the numbers of diverged seeds of two arms.

    Reference: Fisher (1934), Statistical Methods for Research Workers, 5th ed. (exact test).
    """
    counts = np.stack(np.broadcast_arrays(level, baseline), axis=-1)
    pairs, which = np.unique(counts.reshape(-1, 2), axis=0, return_inverse=True)
    from scipy import stats  # takes a second to import, and diverged seeds are rare

    p = [stats.fisher_exact(np.array([[a, seeds - a], [b, seeds - b]])).pvalue for a, b in pairs.tolist()]
    return np.array(p, float)[which].reshape(counts.shape[:-1])[()]
