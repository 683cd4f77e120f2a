"""Verdicts on hand-made effects."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from segbench.stats.decisions import Evidence, p_difference, p_of_counts, sign_of_difference
from segbench.stats.effects import Effect
from segbench.stats.intervals import Spread
from segbench.stats.moments import Moments
from segbench.stats.pairs import Contrast
from segbench.stats.power import seeds_needed, seeds_needed_range
from segbench.stats.verdict import (
    Forecast,
    Hypothesis,
    depends_on_selection,
    judge,
    seeds_to_resolve,
    verdict,
)

MARGIN = 0.005


def make_effect(per_seed: list[float], **changes: object) -> Effect:
    values = np.array(per_seed)
    n = values.size
    sd = float(values.std(ddof=1)) if n > 1 else float("nan")
    facts: dict[str, object] = {
        "contrast": Contrast(axis="norm", level="none", baseline="batch"),
        "n": n,
        "difference": float(values.mean()) if n else float("nan"),
        "sd": sd,
        "level_mean": 0.9,
        "baseline_mean": 0.9,
        "spread": Moments.of(values).spread,
        "per_seed": tuple(per_seed),
    }
    return Effect(**{**facts, **changes})  # type: ignore[arg-type]


def member(per_seed: list[float], **changes: object) -> Hypothesis:
    return Hypothesis(effect=make_effect(per_seed, **changes), within=(-MARGIN, MARGIN))


def word_of(hypothesis: Hypothesis, *, is_lower_better: bool = False, margin: float | None = MARGIN) -> str:
    return verdict(hypothesis, judge([hypothesis])[0], is_lower_better=is_lower_better, margin=margin)


def test_better_and_worse_follow_the_direction_of_the_metric() -> None:
    up = member([0.030, 0.031, 0.029])
    assert word_of(up) == "better"
    assert word_of(up, is_lower_better=True) == "worse"
    assert word_of(member([-0.030, -0.031, -0.029])) == "worse"


def test_negligibly_better_lies_inside_the_margin() -> None:
    assert word_of(member([0.0020, 0.0021, 0.0019])) == "negligibly better"
    assert word_of(member([0.0020, 0.0021, 0.0019]), margin=None) == "better"


def test_equivalent_needs_a_margin() -> None:
    values = [0.0001, -0.0002, 0.0001, 0.0002]
    assert word_of(member(values)) == "equivalent"
    assert word_of(Hypothesis(effect=make_effect(values)), margin=None) == "unresolved"


def test_verdicts_use_holms_p() -> None:
    borderline = member([0.030, 0.031, 0.016])
    alone = judge([borderline])[0]
    assert alone.p == pytest.approx(stats.ttest_1samp([0.030, 0.031, 0.016], 0).pvalue)
    assert alone.is_different
    family = judge([borderline, member([0.01, -0.01, 0.0]), member([0.02, -0.01, 0.0])])
    assert family[0].p_holm == pytest.approx(3 * alone.p)
    assert not family[0].is_different
    assert (family[0].num_family, family[0].num_equivalences) == (3, 3)


def test_one_seed_and_nothing_at_all_are_unresolved() -> None:
    assert word_of(member([0.1])) == "unresolved"
    assert word_of(member([])) == "unresolved"
    assert judge([]) == []


@pytest.mark.parametrize("per_seed", [[0.0, 0.0, 0.0], [0.01, 0.01], [0.003, 0.003, 0.003]])
def test_differences_that_do_not_vary_get_no_test_and_no_forecast(per_seed: list[float]) -> None:
    hypothesis = member(per_seed)
    judgement = judge([hypothesis])[0]
    assert np.isnan([judgement.p, judgement.p_equivalence, *hypothesis.effect.interval()]).all()
    assert word_of(hypothesis) == "unresolved"
    assert seeds_to_resolve(hypothesis, judgement, MARGIN) == []


def test_completers_and_worst_case_must_agree() -> None:
    better = [0.030, 0.031, 0.029]
    worst = make_effect([*better, -0.9])
    assert word_of(member(better, worst=worst)) == "unresolved"
    worse = [-0.030, -0.031, -0.029]
    mild = make_effect([*worse, -0.04])
    assert word_of(member(worse, worst=mild)) == "worse"
    judgement = judge([member(worse, worst=mild)])[0]
    assert judgement.p == pytest.approx(stats.ttest_1samp([*worse, -0.04], 0).pvalue)
    assert word_of(member([0.0001, 0.0, -0.0001], worst=make_effect([0.0001, 0.0, -0.9]))) == "unresolved"


def test_without_completers_the_counts_decide() -> None:
    worst = make_effect([-0.9, -0.91, -0.9, -0.9, -0.92])
    five = stats.fisher_exact([[5, 0], [0, 5]]).pvalue
    hypothesis = member([], worst=worst, p_counts=five, counts_sign=-1)
    assert judge([hypothesis])[0].p == pytest.approx(five)
    assert word_of(hypothesis) == "worse"
    three = stats.fisher_exact([[3, 0], [0, 3]]).pvalue
    assert word_of(member([], worst=worst, p_counts=three, counts_sign=-1)) == "unresolved"


def test_a_metric_without_worst_value_stays_open_where_arms_differ_in_divergence() -> None:
    assert word_of(member([0.030, 0.031, 0.029], has_unbounded_worst=True)) == "unresolved"


def test_new_images_need_their_interval() -> None:
    per_seed = [0.030, 0.031, 0.029]
    effect = make_effect(per_seed)
    wide = Spread(effect.spread.var, 2, 0.02**2, 50)
    on_new = Hypothesis(effect=make_effect(per_seed, spread_new=wide), on="new_images")
    assert word_of(on_new) == "unresolved"
    assert judge([on_new])[0].p == pytest.approx(2 * wide.tail(0.03))
    assert np.isnan(judge([Hypothesis(effect=effect, on="new_images")])[0].p)


def test_equality_is_contradicted_by_more_than_the_margin() -> None:
    claimed = Hypothesis(
        effect=make_effect([0.007, 0.0071, 0.0069]), null=(-MARGIN, MARGIN), within=(-MARGIN, MARGIN)
    )
    assert judge([claimed])[0].is_different
    near = Hypothesis(
        effect=make_effect([0.0045, 0.0046, 0.0044]), null=(-MARGIN, MARGIN), within=(-MARGIN, MARGIN)
    )
    assert not judge([near])[0].is_different


def test_seeds_are_given_for_the_difference_seen_then_for_the_margin() -> None:
    hypothesis = member([0.004, -0.004, 0.002])
    judgement = judge([hypothesis, member([0.01, 0.0, 0.0])])[0]
    seen, at_margin = seeds_to_resolve(hypothesis, judgement, MARGIN)
    effect = hypothesis.effect
    for forecast, difference in ((seen, effect.difference), (at_margin, MARGIN)):
        expected = seeds_needed_range(effect.sd, 3, difference, alpha=0.025)
        assert (forecast.difference, forecast.low, forecast.high) == pytest.approx((difference, *expected))
    assert at_margin.low < at_margin.high
    quiet = member([0.0045, 0.0046, 0.0044])
    assert all((f.low, f.high) == (4.0, 4.0) for f in seeds_to_resolve(quiet, judge([quiet])[0], MARGIN))
    assert len(seeds_to_resolve(hypothesis, judgement, None)) == 1
    one = member([0.004])
    assert seeds_to_resolve(one, judge([one])[0], MARGIN) == []


def test_seeds_of_a_claim_of_equality_are_those_of_its_test() -> None:
    """No number of seeds tells a difference as large as the margin from either side of it."""

    def claimed(per_seed: list[float], on: str = "test_set") -> list[Forecast]:
        hypothesis = Hypothesis(
            effect=make_effect(per_seed), on=on, null=(-MARGIN, MARGIN), within=(-MARGIN, MARGIN)
        )
        return seeds_to_resolve(hypothesis, judge([hypothesis])[0], MARGIN)

    (inside,) = claimed([0.004, -0.004, 0.002])
    assert inside.is_equivalence
    assert inside.difference == pytest.approx(0.002 / 3)
    (outside,) = claimed([0.019, 0.001, 0.016])
    assert not outside.is_equivalence
    sd = float(np.std([0.019, 0.001, 0.016], ddof=1))
    assert outside.low == seeds_needed(sd * np.sqrt(2 / stats.chi2.ppf(0.5, 2)), 0.012 - MARGIN)
    assert claimed([0.004, -0.004, 0.002], "new_images") == []


@pytest.mark.parametrize("num_seeds", [5, 10, 20])
def test_the_more_seeds_diverge_the_smaller_the_bound_of_p(num_seeds: int) -> None:
    rng = np.random.default_rng(num_seeds)
    difference = rng.normal(-0.005, 0.003, num_seeds)
    baseline = np.full(num_seeds, 0.9)
    p_values, signs = [], []
    for diverged in range(1, num_seeds + 1):
        kept = np.arange(num_seeds) >= diverged
        moments = Moments.of(difference, kept)
        worst = Moments.of(np.where(kept, difference, -baseline))
        evidence = Evidence(
            difference=moments.difference,
            spread=moments.spread,
            n=moments.n,
            has_unequal_divergence=True,
            worst_difference=worst.difference,
            worst_spread=worst.spread,
            p_counts=p_of_counts(diverged, 0, num_seeds),
            counts_sign=-1,
        )
        p_values.append(float(p_difference(evidence)))
        signs.append(int(sign_of_difference(evidence)))
    counts = np.array([float(p_of_counts(k, 0, num_seeds)) for k in range(1, num_seeds + 1)])
    assert (np.diff(counts) < 0).all()
    assert (np.array(p_values) <= counts).all()
    assert signs == [-1] * num_seeds


def test_ten_of_twenty_diverged_against_none_is_worse_whatever_the_completers_say() -> None:
    better = np.full(20, np.nan)
    better[10:] = np.linspace(0.004, 0.02, 10)
    moments = Moments.of(better, np.isfinite(better))
    worst = Moments.of(np.where(np.isfinite(better), better, -0.9))
    p = p_of_counts(10, 0, 20)
    evidence = Evidence(
        difference=moments.difference,
        spread=moments.spread,
        n=10,
        has_unequal_divergence=True,
        worst_difference=worst.difference,
        worst_spread=worst.spread,
        p_counts=p,
        counts_sign=-1,
    )
    assert float(p) == pytest.approx(stats.fisher_exact([[10, 10], [0, 20]]).pvalue)
    assert float(p_difference(evidence)) <= p
    assert int(sign_of_difference(evidence)) == -1


@pytest.mark.parametrize(
    ("selected", "last", "expected"),
    [
        ([0.030, 0.031, 0.029], [0.030, 0.031, 0.028], False),
        ([0.030, 0.031, 0.029], [0.030, -0.031, 0.029], True),
        ([0.030, 0.031, 0.029], [-0.030, -0.031, -0.029], True),
        ([0.030, -0.031, 0.029], [0.010, -0.031, 0.029], False),
        ([0.030], [-0.030], False),
    ],
)
def test_depends_on_selection(selected: list[float], last: list[float], expected: bool) -> None:
    assert depends_on_selection(make_effect(selected), make_effect(last)) is expected
