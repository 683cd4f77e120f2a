"""Intervals, Holm, TOST and power against scipy, statsmodels and hand calculation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from segbench.quantities import Kind, find_quantity
from segbench.stats.intervals import Spread, average_folds, summarise, t_interval
from segbench.stats.multiplicity import holm
from segbench.stats.power import paired_power, seeds_needed, seeds_needed_range, smallest_difference
from segbench.stats.tost import p_within

VALUES = np.array([0.012, 0.019, 0.008, 0.015])


def spread_of(values: np.ndarray) -> Spread:
    return Spread(values.var(ddof=1) / values.size, values.size - 1)


def test_t_interval_is_scipys() -> None:
    expected = stats.ttest_1samp(VALUES, 0).confidence_interval(0.95)
    np.testing.assert_allclose(t_interval(VALUES), (expected.low, expected.high), rtol=1e-12)
    assert np.isnan(t_interval([0.9])).all()
    assert np.isnan(t_interval([0.9, np.nan])).all()


def test_p_of_no_difference_is_scipys() -> None:
    p = spread_of(VALUES).p_outside(VALUES.mean())
    assert p == pytest.approx(stats.ttest_1samp(VALUES, 0).pvalue, rel=1e-12)


def test_two_part_half_width_by_hand() -> None:
    spread = Spread(4e-6, 2, 9e-6, 99)
    expected = np.sqrt(stats.t.ppf(0.975, 2) ** 2 * 4e-6 + stats.t.ppf(0.975, 99) ** 2 * 9e-6)
    assert float(spread.half_width()) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    st.floats(1e-8, 1e-3), st.integers(1, 9), st.floats(0, 1e-3), st.integers(5, 4000), st.floats(0.5, 0.999)
)
def test_tail_and_half_width_agree(var: float, df: int, var_new: float, df_new: int, level: float) -> None:
    spread = Spread(var, df, var_new, df_new)
    assert spread.tail(float(spread.half_width(level))) == pytest.approx((1 - level) / 2, rel=1e-5)
    assert spread.tail(-0.01) == pytest.approx(1 - spread.tail(0.01))


def test_spread_without_any_variance() -> None:
    nothing = Spread(0.0, 2)
    assert nothing.p_outside(0.0) == 1.0
    assert nothing.p_outside(0.1) == 0.0
    assert p_within(0.0, nothing, (-0.01, 0.01)) == 0.0
    assert p_within(0.01, nothing, (-0.01, 0.01)) == 1.0
    assert np.isnan(Spread(float("nan"), 0).p_outside(0.1))


def test_p_of_a_difference_beyond_the_margin() -> None:
    spread = spread_of(VALUES)
    t = (VALUES.mean() - 0.005) / np.sqrt(spread.var)
    assert spread.p_outside(VALUES.mean(), (-0.005, 0.005)) == pytest.approx(2 * stats.t.sf(t, 3), rel=1e-12)
    assert spread.p_outside(0.001, (-0.005, 0.005)) == 1.0


def test_holm_is_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    p = np.array([0.011, 0.04, 0.004, 0.2, 0.03])
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], rtol=1e-12)
    np.testing.assert_allclose(holm(np.stack([p, p[::-1]]))[1], holm(p)[::-1])


def test_holm_counts_what_could_not_be_tested() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, np.nan, 0.02])), [0.03, np.nan, 0.04])
    assert holm(np.array([])).size == 0


def test_tost_is_statsmodels() -> None:
    from statsmodels.stats.weightstats import DescrStatsW

    expected = DescrStatsW(VALUES).ttost_mean(-0.02, 0.02)[0]
    assert p_within(VALUES.mean(), spread_of(VALUES), (-0.02, 0.02)) == pytest.approx(expected, rel=1e-9)
    assert np.isnan(p_within(float("nan"), spread_of(VALUES), (-0.02, 0.02)))


@pytest.mark.parametrize(
    ("effect", "n", "alpha"), [(0.5, 10, 0.05), (2, 3, 0.05), (10, 2, 0.05), (3, 4, 0.001)]
)
def test_power_is_statsmodels(effect: float, n: int, alpha: float) -> None:
    from statsmodels.stats.power import TTestPower

    assert paired_power(effect, n, alpha) == pytest.approx(TTestPower().power(effect, n, alpha), abs=1e-6)


def test_power_where_scipys_noncentral_t_fails() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(5, 1, (100_000, 3))
    t = samples.mean(axis=1) / (samples.std(axis=1, ddof=1) / np.sqrt(3))
    assert paired_power(5, 3, 0.05) == pytest.approx((np.abs(t) > stats.t.ppf(0.975, 2)).mean(), abs=0.002)
    assert paired_power(60, 3, 0.05 / 7) == pytest.approx(1.0, abs=1e-6)


def test_seeds_needed_is_the_smallest_number_that_suffices() -> None:
    n = int(seeds_needed(0.004, 0.005))
    assert n == 8
    assert paired_power(1.25, n, 0.05) >= 0.8 > paired_power(1.25, n - 1, 0.05)
    assert np.isnan(seeds_needed(0.0, 0.005))
    assert seeds_needed(1.0, 0.001) == float("inf")
    assert seeds_needed(1.0, 0.0256) == float("inf")  # 11,980 are more than it looks for
    assert np.isnan(seeds_needed(float("nan"), 0.005))


def test_seeds_needed_range_takes_upper_limits_of_the_sd() -> None:
    low, high = seeds_needed_range(0.004, 3, 0.005)
    assert low == seeds_needed(0.004 * np.sqrt(2 / stats.chi2.ppf(0.5, 2)), 0.005) == 10
    assert high == seeds_needed(0.004 * np.sqrt(2 / stats.chi2.ppf(0.1, 2)), 0.005) == 50
    assert np.isnan(seeds_needed_range(0.004, 1, 0.005)).all()


def test_smallest_difference_has_exactly_the_power() -> None:
    smallest = smallest_difference(0.004, 5)
    assert paired_power(smallest / 0.004, 5, 0.05) == pytest.approx(0.8, abs=1e-6)
    assert np.isnan(smallest_difference(0.004, 1))
    assert np.isnan(smallest_difference(0.0, 5))


def test_summarise_keeps_single_replicates_without_interval() -> None:
    frame = pd.DataFrame({"cell": ["b", "b", "b", "a"], "value": [0.8, 0.9, 1.0, 0.5]})
    table = summarise(frame, ["cell"], "value").set_index("cell")
    assert list(table.index) == ["b", "a"]
    assert table.loc["b", ["n", "mean", "sd"]].tolist() == pytest.approx([3, 0.9, 0.1])
    assert table.loc["b", "low"] == pytest.approx(0.9 - stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3))
    assert table.loc["a", "n"] == 1
    assert table.loc["a", ["low", "high"]].isna().all()


def test_folds_are_averaged_within_a_seed() -> None:
    frame = pd.DataFrame(
        {"cell": "a", "seed": [0, 0, 1, 1], "fold": [0, 1, 0, 1], "value": [0.8, 0.9, 0.7, 0.9]}
    )
    assert average_folds(frame, ["cell"], "value")["value"].tolist() == pytest.approx([0.85, 0.8])


@pytest.mark.parametrize(
    ("name", "kind", "is_lower_better", "worst"),
    [
        ("test_dice", Kind.TEST, False, 0.0),
        ("test_iou_last", Kind.TEST, False, 0.0),
        ("test_loss", Kind.TEST, True, None),
        ("test_hd95", Kind.TEST, True, None),
        ("test_hd95_px", Kind.TEST, True, None),
        ("test_assd_px_last", Kind.TEST, True, None),
        ("test_surface_dice", Kind.TEST, False, 0.0),
        ("test_pooled_dice", Kind.TEST, False, 0.0),
        ("val_specificity", Kind.VALIDATION, False, 0.0),
        ("val_dice", Kind.VALIDATION, False, 0.0),
        ("instability", Kind.INSTABILITY, True, None),
        ("epoch_time_s", Kind.COST, True, None),
        ("images_per_s", Kind.COST, False, None),
        ("parameters", Kind.DETERMINISTIC, True, None),
    ],
)
def test_what_a_metric_name_says(name: str, kind: Kind, is_lower_better: bool, worst: float | None) -> None:
    metric = find_quantity(name)
    assert metric is not None
    assert (metric.kind, metric.is_lower_better, metric.worst) == (kind, is_lower_better, worst)


def test_unknown_metrics_have_no_kind() -> None:
    assert find_quantity("beauty") is None
