"""Asks the report's statistics about simulated runs, and counts how often they are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TypeVar

import numpy as np

from benchmarks.calibration.draw import Runs, draw
from benchmarks.calibration.scenarios import LOOKS, MARGIN, NUM_LEVELS, Scenario
from segbench.stats.decisions import Evidence, adjust, p_difference, p_equivalence, p_of_counts
from segbench.stats.intervals import Spread
from segbench.stats.moments import Moments, resolution
from segbench.stats.verdict import ALPHA, alpha_at_a_look

WORST = 0.0
"""Dice of a trial that diverged, for the worst case."""

Joined = TypeVar("Joined")


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Shares of runs; NaN where nothing was measured."""

    covered: float
    """The interval for this test set holds the difference of level 1 on these images."""
    untested: float = float("nan")
    """Level 1 has no interval and no test: the seeds do not differ, or by less than the values tell."""
    covered_new: float = float("nan")
    """The interval for new images holds its difference on images at large."""
    false_difference: float = float("nan")
    """Some level of the family is called better or worse where none is."""
    false_equivalence: float = float("nan")
    """Some level is called equivalent where every true difference is the margin."""
    false_difference_new: float = float("nan")
    """The same of verdicts on new images."""
    false_equivalence_new: float = float("nan")
    false_difference_looks: float = float("nan")
    """The same of verdicts on this test set at some of the planned looks."""
    false_equivalence_looks: float = float("nan")


@dataclass(frozen=True, kw_only=True)
class Estimates:
    """What a report estimates of every run's contrasts, level minus baseline; arrays (runs, levels)."""

    evidence: Evidence
    spread_new: Spread | None
    """None for rounded scores, and where trials diverge, as the seeds that are left out differ."""
    looks: tuple[Evidence, ...]
    truth: np.ndarray
    truth_new: np.ndarray

    @property
    def evidence_new(self) -> Evidence | None:
        """Return what verdicts on new images rest on."""
        return None if self.spread_new is None else replace(self.evidence, spread=self.spread_new)


def measure(scenario: Scenario, num_runs: int, seed: tuple[int, ...], *, has_family: bool = True) -> Shares:
    """Simulate a scenario.

    Args:
        scenario: What is simulated.
        num_runs: Simulated experiments.
        seed: Of the draws.
        has_family: Whether a family of levels is judged; else there is one level, whose coverage is counted.
    """
    drawn = draw(scenario, NUM_LEVELS if has_family else 1, num_runs, seed)
    estimates = join([estimate_runs(runs, LOOKS if scenario.has_looks else ()) for runs in drawn])
    shares = _coverage(estimates)
    return replace(shares, **_errors(estimates)) if has_family else shares


def estimate_runs(runs: Runs, looks: Sequence[int] = ()) -> Estimates:
    """Estimate all contrasts of all runs, as `stats.effects.estimate` does for one of a table."""
    by_seed = runs.dice.mean(axis=-1)
    if runs.decimals is not None:
        by_seed = by_seed.round(runs.decimals)
    if runs.has_diverged is not None:
        evidence = _diverged(by_seed, runs.has_diverged)
        return Estimates(
            evidence=evidence, spread_new=None, looks=(), truth=runs.truth, truth_new=runs.truth_new
        )
    layout = runs.dice[:, 1:] - runs.dice[:, :1]
    return Estimates(
        evidence=_evidence(by_seed),
        spread_new=None if runs.decimals is not None else _moments(by_seed).spread_new(layout, runs.groups),
        looks=tuple(_evidence(by_seed[..., :number]) for number in looks),
        truth=runs.truth,
        truth_new=runs.truth_new,
    )


def _moments(by_seed: np.ndarray, is_kept: np.ndarray | None = None) -> Moments:
    """Take the (runs, arms, seeds) means of trials; what they are known to is that of both arms' values."""
    differences = by_seed[:, 1:] - by_seed[:, :1]
    values = np.concatenate([by_seed[:, 1:], np.broadcast_to(by_seed[:, :1], differences.shape)], axis=-1)
    return Moments.of(differences, is_kept, resolution=resolution(values))


def _evidence(by_seed: np.ndarray) -> Evidence:
    moments = _moments(by_seed)
    return Evidence(difference=moments.difference, spread=moments.spread, n=moments.n)


def _diverged(by_seed: np.ndarray, has_diverged: np.ndarray) -> Evidence:
    level, baseline = has_diverged[:, 1:], has_diverged[:, :1]
    moments = _moments(by_seed, ~(level | baseline))
    worst = _moments(np.where(has_diverged, WORST, by_seed))
    counts, counts_baseline = level.sum(axis=-1), baseline.sum(axis=-1)
    return Evidence(
        difference=moments.difference,
        spread=moments.spread,
        n=moments.n,
        has_unequal_divergence=(level != baseline).any(axis=-1),
        worst_difference=worst.difference,
        worst_spread=worst.spread,
        p_counts=p_of_counts(counts, counts_baseline, level.shape[-1]),
        counts_sign=-np.sign(counts - counts_baseline),
    )


def join(parts: Sequence[Joined]) -> Joined:
    """Put the arrays of records of one kind one behind the other; what is no array is the same in all."""
    first = parts[0]
    if isinstance(first, np.ndarray) and first.ndim:
        return np.concatenate(parts)  # type: ignore[return-value, arg-type]
    if isinstance(first, tuple):
        return tuple(join(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]
    if is_dataclass(first):
        names = [field.name for field in fields(first)]
        return replace(first, **{name: join([getattr(p, name) for p in parts]) for name in names})
    return first


def _coverage(estimates: Estimates) -> Shares:
    """Count the intervals of level 1 that hold the truth, among runs that have one."""
    evidence, spread_new = estimates.evidence, estimates.spread_new
    half = evidence.spread.half_width()[:, 0]
    has_interval = np.isfinite(half)
    is_covered = np.abs(evidence.difference - estimates.truth)[:, 0] <= half
    shares = Shares(
        covered=float(is_covered[has_interval].mean()) if has_interval.any() else float("nan"),
        untested=float((~has_interval).mean()),
    )
    if spread_new is None:
        return shares
    away = np.abs(evidence.difference - estimates.truth_new)[has_interval, 0]
    half_new = spread_new.half_width()[has_interval, 0]
    return replace(shares, covered_new=float((away <= half_new).mean()) if half_new.size else float("nan"))


def _errors(estimates: Estimates) -> dict[str, float]:
    evidence_new = estimates.evidence_new
    if estimates.evidence.worst_spread is not None:
        # A worst case has no true value to subtract: it is judged as it stands.
        return {"false_difference": float(is_called_different(estimates.evidence, ALPHA).mean())}
    found = {
        **_named("", *wrong_verdicts(estimates.evidence, estimates.truth, ALPHA)),
    }
    if evidence_new is not None:
        found |= _named("_new", *wrong_verdicts(evidence_new, estimates.truth_new, ALPHA))
    if estimates.looks:
        alpha = alpha_at_a_look(len(estimates.looks))
        # Every look is judged, also those after which a sweep would have stopped.
        wrong = [wrong_verdicts(look, estimates.truth, alpha) for look in estimates.looks]
        found |= _named("_looks", *(np.any(kind, axis=0) for kind in zip(*wrong, strict=True)))
    return found


def _named(suffix: str, is_different: np.ndarray, is_equivalent: np.ndarray) -> dict[str, float]:
    return {
        f"false_difference{suffix}": float(is_different.mean()),
        f"false_equivalence{suffix}": float(is_equivalent.mean()),
    }


def wrong_verdicts(evidence: Evidence, truth: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (runs,) whether some hypothesis of the family is rejected though all are true, twice.

    First "there is no difference", with the true one taken off the estimates; then "the difference is as
    large as the margin", with the true one moved onto the margin.
    """
    centred = evidence.difference - truth
    is_different = is_called_different(replace(evidence, difference=centred), alpha)
    p_equivalent = p_equivalence(replace(evidence, difference=centred + MARGIN), (-MARGIN, MARGIN))
    _, adjusted = adjust(p_equivalent, p_equivalent, np.ones(truth.shape[-1], bool))
    return is_different, (adjusted < alpha).any(axis=-1)


def is_called_different(evidence: Evidence, alpha: float) -> np.ndarray:
    """Return (runs,) whether a level of the family is called better or worse."""
    p = p_difference(evidence)
    adjusted, _ = adjust(p, p, np.ones(p.shape[-1], bool))
    return (adjusted < alpha).any(axis=-1)
