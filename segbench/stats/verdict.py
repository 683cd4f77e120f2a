"""Verdicts on a family of hypotheses: better, worse, equivalent or unresolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from segbench.stats.decisions import adjust, p_difference, p_equivalence, sign_of_difference
from segbench.stats.effects import Effect
from segbench.stats.intervals import LEVEL
from segbench.stats.power import over_assurance, seeds_for_equivalence, seeds_needed_range

ALPHA = 0.05
"""Error of a family, in all of its looks together."""

BETTER, WORSE, EQUIVALENT, UNRESOLVED = "better", "worse", "equivalent", "unresolved"


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """One member of the family: an effect, the region it must leave, and the one it must lie in."""

    effect: Effect
    on: str = "test_set"
    """The interval that judges: `test_set` or `new_images`."""
    null: tuple[float, float] = (0.0, 0.0)
    """Shown to differ when outside: 0, or the margin where equality is claimed."""
    within: tuple[float, float] | None = None
    """Shown to be equivalent when inside: the margin. None: none was declared."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the family says of one hypothesis; `p` tests `Hypothesis.null`, NaN: there was nothing to test."""

    p: float
    p_holm: float
    p_equivalence: float
    p_equivalence_holm: float
    sign: int
    """Of the difference: 1 if the level has the larger value."""
    num_family: int
    num_equivalences: int
    """Members that could be shown equivalent: the second family."""
    alpha: float = ALPHA
    """What the family may spend at this look."""

    @property
    def level(self) -> float:
        """Coverage of the intervals that go with the tests."""
        return 1 - self.alpha

    @property
    def is_different(self) -> bool:
        return bool(self.p_holm < self.alpha)

    @property
    def is_equivalent(self) -> bool:
        return bool(self.p_equivalence_holm < self.alpha)


def alpha_at_a_look(num_looks: int) -> float:
    """Return what one of the planned looks spends: an equal share of `ALPHA`; all of it without looks.

    The family-wise error over all looks stays at `ALPHA` whatever their dependence (Bonferroni over looks,
    Holm within each), and whatever the results of one look decide about the next.

    Reference: Jennison & Turnbull (1999), Group Sequential Methods, section 2 (boundaries that use the
    dependence of looks are less conservative; with t-tests of three seeds they are not exact).
    """
    return ALPHA / max(1, num_looks)


def judge(family: Sequence[Hypothesis], alpha: float = ALPHA) -> list[Judgement]:
    """Test a family: Holm over the differences, and Holm over the equivalences as a second family.

    Each test is that of `decisions.py`, where arms that differ in divergences are explained too.

    Reference: Holm (1979), Scandinavian Journal of Statistics 6:65.
    """
    evidence = [h.effect.evidence(h.on) for h in family]
    p = np.array([float(p_difference(e, h.null)) for e, h in zip(evidence, family, strict=True)])
    p_equivalent = np.array([_p_equivalence(h) for h in family])
    has_margin = np.array([h.within is not None for h in family], bool)
    p_holm, p_equivalent_holm = adjust(p, p_equivalent, has_margin)
    return [
        Judgement(
            p=float(p[i]),
            p_holm=float(p_holm[i]),
            p_equivalence=float(p_equivalent[i]),
            p_equivalence_holm=float(p_equivalent_holm[i]),
            sign=int(sign_of_difference(evidence[i], h.null)),
            num_family=len(family),
            num_equivalences=int(has_margin.sum()),
            alpha=alpha,
        )
        for i, h in enumerate(family)
    ]


def verdict(
    hypothesis: Hypothesis, judgement: Judgement, *, is_lower_better: bool, margin: float | None
) -> str:
    """Put a judgement into a word: better, worse, negligibly better or worse, equivalent, unresolved.

    Better and worse follow Holm's p alone; "negligibly" is added where the interval (of the worst case too)
    at the level of the look (95 % without looks) lies inside the margin. Without a margin nothing is ever
    equivalent or negligible.
    """
    if judgement.is_different:
        word = BETTER if (judgement.sign > 0) != is_lower_better else WORSE
        return f"negligibly {word}" if margin and _lies_within(hypothesis, margin, judgement.level) else word
    return EQUIVALENT if judgement.is_equivalent else UNRESOLVED


@dataclass(frozen=True)
class Forecast:
    """Seeds with which the hypothesis would be settled with 80 % power, were `difference` the true one."""

    difference: float
    """Its size."""
    low: float
    high: float
    is_equivalence: bool = False
    """Whether it would be shown to lie within the margin; else, to lie beyond `Hypothesis.null`."""


def seeds_to_resolve(hypothesis: Hypothesis, judgement: Judgement, margin: float | None) -> list[Forecast]:
    """Return the seeds that would settle an unresolved hypothesis: for the difference seen, then the margin.

    They are those of the test that is made: where equality is claimed, a difference seen inside the margin
    would be shown equivalent and one outside to exceed it, and there is no forecast for a difference as large
    as the margin, which no number of seeds tells from either side. The level is that of Holm's first step.
    Each is at least one more seed than there are, as these did not settle it. Infinity where 10,000 seeds
    would not do.

    Empty for one seed, without a spread, and for new images: the images at hand set a limit that no number of
    seeds removes.
    """
    effect = hypothesis.effect
    if hypothesis.on != "test_set" or not effect.has_spread or effect.worst is not None:
        return []
    low_null, high_null = hypothesis.null
    middle, null = (low_null + high_null) / 2, (high_null - low_null) / 2
    seen = abs(effect.difference - middle)
    alpha = judgement.alpha / judgement.num_family

    def settled(difference: float, found: tuple[float, float]) -> Forecast:
        low, high = (float(np.maximum(seeds, effect.n + 1)) for seeds in found)
        return Forecast(difference, low, high)

    def forecast(difference: float) -> Forecast:
        found = seeds_needed_range(effect.sd, effect.n, difference, alpha=alpha, null=null)
        return settled(difference, found)

    if null > 0 and seen < null:
        alpha_equivalence = judgement.alpha / max(1, judgement.num_equivalences)
        found = over_assurance(
            lambda sd: seeds_for_equivalence(sd, seen, null, alpha=alpha_equivalence), effect.sd, effect.n
        )
        return [replace(settled(seen, found), is_equivalence=True)]
    forecasts = [forecast(seen)] if seen > 0 else []
    return [*forecasts, forecast(margin)] if margin and null == 0 else forecasts


def depends_on_selection(selected: Effect, last: Effect, level: float = LEVEL) -> bool:
    """Whether the last epoch's weights say otherwise: one interval alone excludes 0, or both oppositely."""
    return _side(selected, level) != _side(last, level) if min(selected.n, last.n) > 1 else False


def _side(effect: Effect, level: float) -> int:
    low, high = effect.interval(level=level)
    return int(low > 0) - int(high < 0)


def _p_equivalence(hypothesis: Hypothesis) -> float:
    if hypothesis.within is None:
        return float("nan")
    return float(p_equivalence(hypothesis.effect.evidence(hypothesis.on), hypothesis.within))


def _lies_within(hypothesis: Hypothesis, margin: float, level: float) -> bool:
    effects = [hypothesis.effect.interval(hypothesis.on, level)]
    if hypothesis.effect.worst is not None:
        effects.append(hypothesis.effect.worst.interval(level=level))
    return all(-margin < low and high < margin for low, high in effects)
