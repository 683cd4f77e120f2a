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


def p_difference(evidence: Evidence, null: Bounds = (0.0, 0.0)) -> np.ndarray:
    """Return the p of "the true difference lies between `null`"; NaN where there is nothing to test.

    Where the arms differ in divergences it is the larger of the completers' and the worst case's, and 1 when
    these point in opposite directions: both must agree (an intersection-union test needs no correction). With
    fewer than two seeds that completed in both arms, the counts of diverged seeds decide.

    Reference: Berger (1982), Technometrics 24:295 (intersection-union).
    """
    p = evidence.spread.p_outside(evidence.difference, null)
    if evidence.worst_spread is None:
        return p
    with_worst = np.maximum(p, evidence.worst_spread.p_outside(evidence.worst_difference, null))
    agree = np.sign(evidence.worst_difference) == np.sign(evidence.difference)
    both = np.where(np.asarray(evidence.n) < 2, evidence.p_counts, np.where(agree, with_worst, 1.0))
    return np.where(evidence.has_unequal_divergence, both, p)[()]


def p_equivalence(evidence: Evidence, within: Bounds) -> np.ndarray:
    """Return the p that the true difference lies outside `within`, in completers or worst case."""
    p = p_within(evidence.difference, evidence.spread, within)
    if evidence.worst_spread is None:
        return p
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
