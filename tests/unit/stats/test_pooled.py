"""The pooled-error analysis against statsmodels."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from segbench.config.pairing import Pairing
from segbench.stats.pairs import Contrast
from segbench.stats.pooled import PooledError, changes_side

PAIRING = Pairing(axes=("model", "norm"))
CONTRAST = Contrast(axis="norm", level="none", baseline="batch")


def make_table(seeds: int = 4, folds: int = 1) -> pd.DataFrame:
    random = np.random.default_rng(2)
    rows = []
    for model, norm in itertools.product(("unet", "resnet"), ("batch", "none", "dyt")):
        for seed, fold in itertools.product(range(seeds), range(folds)):
            rows.append(
                {
                    "trial": f"{len(rows):012x}",
                    "cell": f"{model}, {norm}",
                    "axis:model": model,
                    "axis:norm": norm,
                    "seed": seed,
                    "fold": fold,
                    "state": "complete",
                    "test_dice": 0.8 + random.normal(0, 0.02),
                }
            )
    return pd.DataFrame(rows)


def test_the_error_is_that_of_statsmodels_anova() -> None:
    from statsmodels.stats.anova import AnovaRM

    table = make_table()
    pooled = PooledError.of(table, "test_dice")
    assert pooled is not None
    found = AnovaRM(table, "test_dice", "seed", within=["cell"]).fit().anova_table
    means = table.groupby("cell")["test_dice"].mean()
    ms_cells = 4 * ((means - means.mean()) ** 2).sum() / 5
    assert pooled.df == found["Den DF"].iloc[0] == 15
    assert ms_cells / pooled.variance == pytest.approx(found["F Value"].iloc[0])


@pytest.mark.parametrize("at", [(), (("model", "unet"),)])
def test_the_interval_is_that_of_a_linear_model(at: tuple[tuple[str, str], ...]) -> None:
    from statsmodels.formula.api import ols

    table = make_table()
    pooled = PooledError.of(table, "test_dice")
    assert pooled is not None
    contrast = Contrast(axis="norm", level="none", baseline="batch", at=at)
    half = pooled.spread(table, contrast, PAIRING).half_width()
    fit = ols("test_dice ~ C(seed) + C(cell) - 1", table).fit()
    weights = np.zeros(len(fit.params))
    models = [label for _, label in at] or ["unet", "resnet"]
    for k, name in enumerate(fit.params.index):
        for model, (norm, sign) in itertools.product(models, (("none", 1), ("batch", -1))):
            weights[k] += sign / len(models) * (f"[T.{model}, {norm}]" in name)
    low, high = fit.t_test(weights).conf_int(0.05)[0]
    assert half == pytest.approx((high - low) / 2)


def test_folds_are_averaged() -> None:
    table = make_table(folds=3)
    means = (
        table.groupby(["cell", "axis:model", "axis:norm", "seed"], sort=False)["test_dice"]
        .mean()
        .reset_index()
    )
    means = means.assign(fold=0, state="complete", trial=[str(k) for k in range(len(means))])
    halves = []
    for each in (table, means):
        pooled = PooledError.of(each, "test_dice")
        assert pooled is not None
        halves.append(float(pooled.spread(each, CONTRAST, PAIRING).half_width()))
    assert halves[0] == pytest.approx(halves[1])


def test_a_contrast_of_other_seeds_has_no_pooled_interval() -> None:
    table = make_table()
    table.loc[(table["cell"] == "resnet, dyt") & (table["seed"] == 3), "test_dice"] = np.nan
    pooled = PooledError.of(table, "test_dice")
    assert pooled is not None
    assert (pooled.df, pooled.seeds) == (10, frozenset({0, 1, 2}))
    assert np.isnan(pooled.spread(table, CONTRAST, PAIRING).half_width())


def test_two_cells_or_one_seed_have_nothing_to_pool() -> None:
    table = make_table()
    assert PooledError.of(table[table["cell"].isin(["unet, batch", "unet, none"])], "test_dice") is None
    assert PooledError.of(table[table["seed"] == 0], "test_dice") is None


def test_which_intervals_disagree() -> None:
    assert changes_side((-0.1, 0.3), (0.1, 0.2))
    assert changes_side((-0.3, -0.1), (0.1, 0.2))
    assert not changes_side((0.05, 0.3), (0.1, 0.2))
    assert not changes_side((-0.1, 0.3), (-0.05, 0.2))
