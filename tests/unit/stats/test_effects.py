"""Effects, their pairing and the interval for new images."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segbench.config.pairing import Pairing
from segbench.quantities import Quantity, find_quantity
from segbench.stats.effects import Effect, estimate, hedges_g, log_ratio
from segbench.stats.images import ImageTable, image_variance, unit_values
from segbench.stats.moments import step_of
from segbench.stats.pairs import Contrast, Pairs

AXES = Pairing(("model", "norm"))
NORM = Contrast(axis="norm", level="none", baseline="batch")


def dice() -> Quantity:
    metric = find_quantity("test_dice")
    assert metric is not None
    return metric


def make_table(values: np.ndarray, *, models: tuple[str, ...] = ("unet", "resnet")) -> pd.DataFrame:
    """Build the measured table of (seeds, models, norms, folds) values; NaN diverged."""
    rows = [
        {
            "trial": f"{s}{m}{n}{f}",
            "axis:model": models[m],
            "axis:norm": ("batch", "none")[n],
            "seed": s,
            "fold": f,
            "state": "diverged" if np.isnan(values[s, m, n, f]) else "complete",
            "test_dice": values[s, m, n, f],
        }
        for s, m, n, f in itertools.product(*map(range, values.shape))
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).normal(0.9, 0.01, (4, 2, 2, 2))


def test_marginal_effect_averages_cells_and_folds_within_a_seed(values: np.ndarray) -> None:
    effect = estimate(make_table(values), NORM, AXES, dice())
    per_seed = (values[:, :, 1] - values[:, :, 0]).mean(axis=(1, 2))
    np.testing.assert_allclose(effect.per_seed, per_seed)
    expected = stats.ttest_1samp(per_seed, 0).confidence_interval(0.95)
    np.testing.assert_allclose(effect.interval(), (expected.low, expected.high))
    assert (effect.n, len(effect.trials)) == (4, 32)


def test_simple_effect_holds_the_other_axis(values: np.ndarray) -> None:
    contrast = Contrast(axis="norm", level="none", baseline="batch", at=(("model", "resnet"),))
    effect = estimate(make_table(values), contrast, AXES, dice())
    np.testing.assert_allclose(effect.per_seed, (values[:, 1, 1] - values[:, 1, 0]).mean(axis=1))
    assert contrast.at_text == "model = resnet"


def test_swapping_the_arms_flips_the_sign(values: np.ndarray) -> None:
    table = make_table(values)
    effect = estimate(table, NORM, AXES, dice())
    swapped = estimate(table, Contrast(axis="norm", level="batch", baseline="none"), AXES, dice())
    assert swapped.difference == pytest.approx(-effect.difference)
    np.testing.assert_allclose(swapped.interval(), [-x for x in reversed(effect.interval())])
    assert swapped.hedges_g == pytest.approx(-effect.hedges_g)
    assert NORM.key == swapped.contrast.key


def test_order_of_rows_and_names_of_seeds_do_not_matter(values: np.ndarray) -> None:
    table = make_table(values)
    shuffled = table.sample(frac=1, random_state=0).assign(seed=lambda t: t["seed"] * 7 + 3)
    one, other = (estimate(t, NORM, AXES, dice()) for t in (table, shuffled))
    np.testing.assert_allclose(other.per_seed, one.per_seed)


def test_one_seed_gives_a_difference_without_interval(values: np.ndarray) -> None:
    effect = estimate(make_table(values[:1]), NORM, AXES, dice())
    assert effect.difference == pytest.approx((values[0, :, 1] - values[0, :, 0]).mean())
    assert np.isnan(effect.interval()).all()
    assert effect.spread_new is None


def test_cells_with_one_level_only_are_no_pairs(values: np.ndarray) -> None:
    table = make_table(values)
    table = table[~((table["axis:model"] == "resnet") & (table["axis:norm"] == "none"))]
    effect = estimate(table, NORM, AXES, dice())
    np.testing.assert_allclose(effect.per_seed, (values[:, 0, 1] - values[:, 0, 0]).mean(axis=1))
    assert effect.note == ""


def test_a_seed_of_one_arm_is_dropped_and_said(values: np.ndarray) -> None:
    table = make_table(values[:, :1, :, :1], models=("unet",))
    failed = (table["seed"] == 2) & (table["axis:norm"] == "none")
    table.loc[failed, ["state", "test_dice"]] = ["failed", np.nan]
    effect = estimate(table, NORM, AXES, dice())
    assert effect.n == 3
    assert effect.note == "1 of 4 seeds left out, not measured in both arms: 2"
    assert effect.worst is None


def test_incomplete_blocks_lose_the_emptier_of_seed_and_cell() -> None:
    values = np.full((5, 2, 2, 1), 0.9)
    values[3, 1, 1] = np.nan  # one pair of ten: seed 3 lacks half of its pairs, the cell a fifth
    kept = Pairs.of(make_table(values), NORM, AXES).balanced()
    assert sorted(kept.frame["seed"].unique()) == [0, 1, 2, 4]
    values[:4, 1, 1] = np.nan  # now the cell lacks most
    effect = estimate(make_table(values), NORM, AXES, dice())
    assert effect.n == 5
    assert effect.note.startswith("over the 1 of 2 cells measured in both arms; no test: ")


def test_diverged_trials_are_counted_and_given_the_worst_value() -> None:
    values = np.full((4, 1, 2, 1), 0.9)
    values[:, 0, 1, 0] = [0.91, 0.92, np.nan, 0.915]
    effect = estimate(make_table(values, models=("unet",)), NORM, AXES, dice())
    assert effect.num_diverged == (1, 0, 4)
    np.testing.assert_allclose(effect.per_seed, [0.01, 0.02, 0.015])
    assert effect.worst is not None
    np.testing.assert_allclose(effect.worst.per_seed, [0.01, 0.02, -0.9, 0.015])


def test_divergence_in_both_arms_of_a_pair_is_no_difference() -> None:
    values = np.full((3, 1, 2, 1), 0.9)
    values[1] = np.nan
    effect = estimate(make_table(values, models=("unet",)), NORM, AXES, dice())
    assert effect.worst is None
    assert effect.n == 2


def test_no_pair_at_all() -> None:
    values = np.full((3, 1, 2, 1), np.nan)
    effect = estimate(make_table(values, models=("unet",)), NORM, AXES, dice())
    assert effect.n == 0
    assert np.isnan(effect.difference)
    assert np.isnan(effect.interval()).all()
    unknown = estimate(
        make_table(values, models=("unet",)),
        Contrast(axis="norm", level="dyt", baseline="batch"),
        AXES,
        dice(),
    )
    assert unknown.note == "no cell has both levels"


def test_log_ratio_of_the_arms_means() -> None:
    values = np.ones((3, 1, 2, 1))
    values[:, 0, 1, 0] = [2.0, 3.0, 4.5]
    table = make_table(values, models=("unet",))
    effect = estimate(table, NORM, AXES, dice())
    ratio = log_ratio(effect, Pairs.of(table, NORM, AXES))
    assert np.exp(ratio.difference) == pytest.approx(3.0)
    assert np.exp(np.array(ratio.interval())).prod() == pytest.approx(9.0)
    table.loc[0, "test_dice"] = 0.0
    assert np.isnan(log_ratio(effect, Pairs.of(table, NORM, AXES)).difference)


def test_hedges_g_by_hand() -> None:
    level, baseline = np.array([3.0, 4.0, 5.0]), np.array([1.0, 2.0, 3.0])
    assert hedges_g(level, baseline) == pytest.approx(2.0 * (1 - 3 / 15))
    assert np.isnan(hedges_g(np.array([1.0]), np.array([2.0])))
    assert np.isnan(hedges_g(np.array([1.0, 1.0]), np.array([2.0, 2.0])))


def test_image_variance_is_that_of_a_two_way_anova() -> None:
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    rng = np.random.default_rng(1)
    layout = rng.normal(0, 0.01, (3, 7)) + rng.normal(0, 0.05, (1, 7))
    seeds, images = np.indices(layout.shape)
    frame = pd.DataFrame({"y": layout.ravel(), "s": seeds.ravel(), "i": images.ravel()})
    mean_sq = anova_lm(ols("y ~ C(s) + C(i)", frame).fit())["mean_sq"]
    expected = (mean_sq["C(i)"] - mean_sq["Residual"]) / layout.size
    assert float(image_variance(layout)) == pytest.approx(expected, rel=1e-9)
    assert float(image_variance(np.ones((3, 7)))) == 0.0
    assert np.isnan(image_variance(layout[:1]))


def test_units_are_means_of_groups_with_the_factor_of_their_sizes() -> None:
    layout = np.random.default_rng(2).normal(0, 0.05, (3, 6))
    equal, factor = unit_values(layout, np.array([0, 0, 1, 1, 2, 2]))
    np.testing.assert_allclose(equal, layout.reshape(3, 3, 2).mean(axis=2))
    assert factor == pytest.approx(1)
    unequal, factor = unit_values(layout, np.array([0, 1, 1, 1, 1, 2]))
    np.testing.assert_allclose(unequal[:, 1], layout[:, 1:5].mean(axis=1))
    np.testing.assert_allclose(unequal @ [1 / 6, 4 / 6, 1 / 6], layout.mean(axis=1))
    assert factor == pytest.approx(3 * (1 + 16 + 1) / 36)
    assert unit_values(layout, None) == (layout, 1.0)


def make_images(table: pd.DataFrame, offsets: np.ndarray, groups: list[str] | None = None) -> pd.DataFrame:
    rows = [
        {
            "trial": row["trial"],
            "image": f"{i}",
            "group": groups[i] if groups else "",
            "split": "test",
            "class": "foreground",
            "metric": "dice",
            "value": row["test_dice"] + (offsets[i] if row["axis:norm"] == "none" else 0.0),
        }
        for row in table.to_dict("records")
        for i in range(len(offsets))
    ]
    return pd.DataFrame(rows)


def test_new_images_interval_from_values_per_image(values: np.ndarray) -> None:
    table = make_table(values[:, :1, :, :1], models=("unet",))
    offsets = np.array([-0.03, 0.01, 0.02, -0.01, 0.01])
    table_images = ImageTable.of(make_images(table, offsets), "dice")
    effect: Effect = estimate(table, NORM, AXES, dice(), table_images)
    assert effect.spread_new is not None
    assert effect.num_units == 5
    var_new = offsets.var(ddof=1) / 5  # the residual is zero: every seed has the same offsets
    low, high = effect.interval("new_images")
    seeds = stats.t.ppf(0.975, 3) ** 2 * effect.sd**2 / 4
    expected = np.sqrt(seeds + stats.t.ppf(0.975, 4) ** 2 * var_new)
    assert (high - low) / 2 == pytest.approx(expected)
    assert (high + low) / 2 == pytest.approx(effect.difference)


def test_groups_are_the_unit_where_they_are_given(values: np.ndarray) -> None:
    table = make_table(values[:, :1, :, :1], models=("unet",))
    offsets = np.array([-0.03, -0.03, 0.02, 0.02, 0.01, 0.01])
    images = ImageTable.of(make_images(table, offsets, ["a", "a", "b", "b", "c", "c"]), "dice")
    assert images is not None
    assert images.num_units == 3
    effect = estimate(table, NORM, AXES, dice(), images)
    assert effect.spread_new is not None
    assert effect.spread_new.df_new == 2
    assert float(effect.spread_new.var_new) == pytest.approx(np.array([-0.03, 0.02, 0.01]).var(ddof=1) / 3)


def test_images_of_folds_are_one_test_set(values: np.ndarray) -> None:
    table = make_table(values[:, :1], models=("unet",))
    images = make_images(table, np.array([0.01, -0.01, 0.0]))
    images["image"] = images["trial"].str[-1] + "_" + images["image"]  # each fold tests its own images
    effect = estimate(table, NORM, AXES, dice(), ImageTable.of(images, "dice"))
    assert effect.num_units == 6


def test_no_new_images_interval_without_recorded_images(values: np.ndarray) -> None:
    table = make_table(values)
    images = make_images(table, np.zeros(3))
    assert ImageTable.of(images, "iou") is None
    some = ImageTable.of(images[images["trial"] != "0000"], "dice")
    effect = estimate(table, NORM, AXES, dice(), some)
    assert effect.spread_new is None
    assert np.isnan(effect.interval("new_images")).all()


@pytest.mark.parametrize(
    ("level", "baseline", "note"),
    [
        ([0.92, 0.94], [0.91, 0.93], "the same for every seed to the last digit"),
        ([0.3055, 0.3055, 0.3055], [0.0, 0.0, 0.0], "the same for every seed to the last digit"),
        ([0.92, 0.93, 0.94], [0.90, 0.92, 0.93], "look rounded to 0.01"),
    ],
)
def test_differences_below_the_resolution_of_the_values_have_no_interval(
    level: list[float], baseline: list[float], note: str
) -> None:
    values = np.array([baseline, level]).T[:, None, :, None]
    effect = estimate(make_table(values, models=("unet",)), NORM, AXES, dice())
    assert not effect.has_spread
    assert np.isnan(effect.interval()).all()
    assert np.isfinite(effect.difference)
    assert note in effect.note


def test_the_step_of_rounded_values_is_found() -> None:
    assert step_of(np.array([0.91, 0.93, 0.9])) == pytest.approx(0.01)
    assert step_of(np.array([91.0, 93.0])) == pytest.approx(1)
    assert step_of(np.array([0.91, 0.9300000001])) == 0
    assert step_of(np.random.default_rng(0).random(4)) == 0
