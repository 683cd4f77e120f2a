"""Verdicts on hand-made effects."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from segbench.stats.effects import Effect
from segbench.stats.intervals import Spread
from segbench.stats.pairs import Contrast
from segbench.stats.power import seeds_needed_range
from segbench.stats.verdict import Hypothesis, depends_on_selection, judge, seeds_to_resolve, verdict

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
        "spread": Spread(sd**2 / n if n > 1 else float("nan"), n - 1),
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


def test_identical_arms_are_equivalent_and_not_different() -> None:
    judgement = judge([member([0.0, 0.0, 0.0])])[0]
    assert (judgement.p, judgement.p_equivalence) == (1.0, 0.0)
    assert word_of(member([0.0, 0.0, 0.0])) == "equivalent"


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
    hypothesis = member([], worst=worst, p_counts=five)
    assert judge([hypothesis])[0].p == pytest.approx(five)
    assert word_of(hypothesis) == "worse"
    three = stats.fisher_exact([[3, 0], [0, 3]]).pvalue
    assert word_of(member([], worst=worst, p_counts=three)) == "unresolved"


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


def test_seeds_to_resolve_exceed_those_at_hand() -> None:
    hypothesis = member([0.004, -0.004, 0.002])
    judgement = judge([hypothesis, member([0.01, 0.0, 0.0])])[0]
    expected = seeds_needed_range(hypothesis.effect.sd, 3, MARGIN, alpha=0.025)
    assert seeds_to_resolve(hypothesis, judgement, MARGIN) == expected
    assert expected[0] < expected[1]
    quiet = member([0.0045, 0.0046, 0.0044])
    assert seeds_to_resolve(quiet, judge([quiet])[0], MARGIN) == (4.0, 4.0)
    assert np.isnan(seeds_to_resolve(hypothesis, judgement, None)).all()
    one = member([0.004])
    assert np.isnan(seeds_to_resolve(one, judge([one])[0], MARGIN)).all()


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
