"""Means of levels, interactions, analysis of variance against scipy, statsmodels and hand calculation."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segbench.config.experiment import Axis, Cell, Design, Level
from segbench.config.pairing import Crossing, Pairing
from segbench.records import axis_column
from segbench.stats.factorial import (
    anova,
    complete_block,
    interaction_means,
    interactions,
    marginal_means,
    measured_block,
    unbalanced_anova,
)

LEVELS = {"model": ["unet", "resnet"], "a norm & (x)": ["batch", "none", "C(seed)"], "lr": ["1e-3", "1e-2"]}
FACTORS = list(LEVELS)


def make_block(levels: dict[str, list[str]], seeds: int = 4) -> pd.DataFrame:
    random = np.random.default_rng(3)
    rows = [
        dict(zip(map(axis_column, levels), labels, strict=True))
        | {"seed": seed, "value": 0.8 + 0.05 * random.standard_normal()}
        for labels in itertools.product(*levels.values())
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows)


def make_cells(levels: dict[str, list[str]]) -> list[Cell]:
    return [
        Cell(levels=dict(zip(levels, labels, strict=True)), config=None, config_hash="")  # type: ignore[arg-type]
        for labels in itertools.product(*levels.values())
    ]


def test_a_marginal_mean_is_over_cells_within_each_seed() -> None:
    block = make_block(LEVELS)
    table = marginal_means(block, LEVELS)
    assert table[["axis", "level"]].to_numpy().tolist() == [[a, x] for a, xs in LEVELS.items() for x in xs]
    row = table[table["level"] == "none"].iloc[0]
    per_seed = [
        block[(block["axis:a norm & (x)"] == "none") & (block["seed"] == s)]["value"].mean() for s in range(4)
    ]
    low, high = stats.t.interval(0.95, 3, np.mean(per_seed), stats.sem(per_seed))
    assert row[["n", "mean", "sd", "low", "high"]].tolist() == pytest.approx(
        [4, np.mean(per_seed), np.std(per_seed, ddof=1), low, high]
    )


def without_a_fold() -> tuple[Crossing, pd.DataFrame]:
    """Return a crossing over three seeds and two folds; one fold of one cell and seed is not measured."""
    levels = {"a": ["0", "1"], "b": ["x", "y"]}
    cells = make_cells(levels)
    crossing = Crossing(factors=("a", "b"), cells=tuple(cells))
    rows = [
        {
            "cell": c.label,
            **{axis_column(a): x for a, x in c.levels.items()},
            "seed": s,
            "fold": f,
            "m": 0.1 * s + f,
        }
        for c in cells
        for s in range(3)
        for f in (0, 1)
    ]
    table = pd.DataFrame(rows)
    table.loc[(table["seed"] == 1) & (table["cell"] == "1, x") & (table["fold"] == 0), "m"] = np.nan
    return crossing, table


def test_an_interaction_is_a_difference_of_differences() -> None:
    # By hand: none costs .03 in the U-Net and .01 in the ResNet; one seed adds .004 to one cell.
    values = {
        ("unet", "batch"): 0.9,
        ("unet", "none"): 0.87,
        ("resnet", "batch"): 0.88,
        ("resnet", "none"): 0.87,
    }
    rows = [
        {
            "axis:model": m,
            "axis:norm": n,
            "seed": s,
            "value": v + 0.004 * (s == 2 and (m, n) == ("resnet", "none")),
        }
        for (m, n), v in values.items()
        for s in range(3)
    ]
    levels = {"model": ["unet", "resnet"], "norm": ["batch", "none"]}
    (row,) = interactions(pd.DataFrame(rows), levels, {"model": "unet", "norm": "batch"}).to_dict("records")
    half = stats.t.ppf(0.975, 2) * np.std([0.02, 0.02, 0.024], ddof=1) / np.sqrt(3)
    assert (row["axis_a"], row["level_a"], row["baseline_a"]) == ("model", "resnet", "unet")
    assert (row["axis_b"], row["level_b"], row["baseline_b"]) == ("norm", "none", "batch")
    assert row["n"] == 3
    assert [row["difference"], row["low"], row["high"]] == pytest.approx(
        [0.064 / 3, 0.064 / 3 - half, 0.064 / 3 + half]
    )


def test_interactions_of_three_factors_are_over_the_third() -> None:
    block = make_block(LEVELS)
    found = interactions(block, LEVELS, {axis: labels[0] for axis, labels in LEVELS.items()})
    assert len(found) == 1 * 2 + 1 * 1 + 2 * 1
    row = found[(found["axis_a"] == "a norm & (x)") & (found["level_a"] == "none")].iloc[0]
    signs = {("none", "1e-2"): 1, ("batch", "1e-2"): -1, ("none", "1e-3"): -1, ("batch", "1e-3"): 1}
    per_seed = [
        sum(
            sign
            * block[(block["axis:a norm & (x)"] == a) & (block["axis:lr"] == b) & (block["seed"] == s)][
                "value"
            ].mean()
            for (a, b), sign in signs.items()
        )
        for s in range(4)
    ]
    assert (row["axis_b"], row["difference"]) == ("lr", pytest.approx(np.mean(per_seed)))
    result = stats.ttest_1samp(per_seed, 0).confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx((result.low, result.high))


def test_means_of_pairs_are_means_over_the_other_factors() -> None:
    block = make_block(LEVELS)
    means = interaction_means(block, LEVELS)
    assert len(means) == 2 * 3 + 2 * 2 + 3 * 2
    row = means[(means["level_a"] == "resnet") & (means["level_b"] == "1e-2")].iloc[0]
    chosen = block[(block["axis:model"] == "resnet") & (block["axis:lr"] == "1e-2")]
    assert row["mean"] == pytest.approx(chosen["value"].mean())
    assert row["sd"] == pytest.approx(chosen.groupby("seed")["value"].mean().std())


def test_anova_of_two_levels_is_the_paired_t_test() -> None:
    block = make_block({"model": ["unet", "resnet"]}, seeds=6)
    table = anova(block, {"model": ["unet", "resnet"]}).set_index("source")
    arms = [block[block["axis:model"] == level].sort_values("seed")["value"] for level in ("unet", "resnet")]
    paired = stats.ttest_rel(*arms)
    assert table.loc["model", "f"] == pytest.approx(paired.statistic**2)
    assert table.loc["model", "p"] == pytest.approx(paired.pvalue)
    assert table.loc["residual", "df"] == 5


def test_anova_by_hand() -> None:
    """Sums of squares from means alone, in the textbook's formulas."""
    levels = {"a": ["0", "1"], "b": ["x", "y", "z"]}
    block = make_block(levels, seeds=5)
    cube = block["value"].to_numpy().reshape(2, 3, 5)
    grand = cube.mean()
    a, b, s = cube.mean((1, 2)), cube.mean((0, 2)), cube.mean((0, 1))
    ab = cube.mean(2)
    squares = {
        "a": 15 * ((a - grand) ** 2).sum(),
        "b": 10 * ((b - grand) ** 2).sum(),
        "a x b": 5 * ((ab - a[:, None] - b[None] + grand) ** 2).sum(),
        "seed": 6 * ((s - grand) ** 2).sum(),
        "residual": ((cube - ab[..., None] - s + grand) ** 2).sum(),
        "total": ((cube - grand) ** 2).sum(),
    }
    table = anova(block, levels).set_index("source")
    assert table["ss"].to_dict() == pytest.approx(squares)
    assert table["df"].to_dict() == {"a": 1, "b": 2, "a x b": 2, "seed": 4, "residual": 20, "total": 29}
    error = squares["residual"] / 20
    assert table.loc["b", "f"] == pytest.approx(squares["b"] / 2 / error)
    assert table.loc["b", "p"] == pytest.approx(stats.f.sf(squares["b"] / 2 / error, 2, 20))
    assert table["eta_squared"].drop("total").sum() == pytest.approx(1)
    omega = (squares["b"] - 2 * error) / (squares["total"] + error)
    assert table.loc["b", "omega_squared"] == pytest.approx(omega)
    assert table.loc[["seed", "residual", "total"], ["f", "p", "omega_squared"]].isna().all(axis=None)


@pytest.mark.parametrize("typ", [2, 3])
def test_all_types_of_sums_of_squares_agree(typ: int) -> None:
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    block = make_block(LEVELS)
    plain = block.set_axis(["m", "n", "l", "seed", "value"], axis=1)
    model = ols("value ~ C(seed, Sum) + C(m, Sum) * C(n, Sum) * C(l, Sum)", plain).fit()
    other = anova_lm(model, typ=typ)["sum_sq"].drop("Intercept", errors="ignore")
    table = anova(block, LEVELS).set_index("axes")
    assert len(table) == 7 + 3
    for term, square in other.items():
        axes = tuple(f for f, letter in zip(FACTORS, "mnl", strict=True) if f"C({letter}, Sum)" in str(term))
        if axes:
            assert table.loc[[axes], "ss"].item() == pytest.approx(square)


def test_with_all_trials_the_unbalanced_analysis_is_the_balanced_one() -> None:
    block = make_block(LEVELS)
    pd.testing.assert_frame_equal(unbalanced_anova(block, LEVELS), anova(block, LEVELS))


def test_type_three_asks_whether_means_over_cells_are_equal() -> None:
    """With two levels each, F is the squared t of the contrast of cell means, by least squares."""
    levels = {"a": ["0", "1"], "b": ["x", "y"]}
    block = make_block(levels, seeds=5).drop([2, 7, 8]).reset_index(drop=True)
    a, b = (np.where(block[axis_column(name)] == own[0], 1.0, -1.0) for name, own in levels.items())
    seeds = pd.get_dummies(block["seed"]).to_numpy(float)
    design = np.column_stack([a, b, a * b, seeds])
    coefficients, _, _, _ = np.linalg.lstsq(design, block["value"], rcond=None)
    residuals = block["value"] - design @ coefficients
    df = len(block) - 8
    errors = np.sqrt((residuals**2).sum() / df * np.diag(np.linalg.inv(design.T @ design)))
    table = unbalanced_anova(block, levels).set_index("source")
    for k, source in enumerate(("a", "b", "a x b")):
        assert table.loc[source, "f"] == pytest.approx((coefficients[k] / errors[k]) ** 2)
        assert table.loc[source, "p"] == pytest.approx(2 * stats.t.sf(abs(coefficients[k] / errors[k]), df))
    assert table["df"].to_dict() == {"a": 1, "b": 1, "a x b": 1, "seed": 4, "residual": df, "total": 16}
    assert table.loc["residual", "ss"] == pytest.approx((residuals**2).sum())
    assert table.loc["total", "ss"] == pytest.approx(block["value"].var(ddof=0) * len(block))


def test_nothing_left_for_the_error_is_no_analysis() -> None:
    levels = {"a": ["0", "1"], "b": ["x", "y"]}
    block = make_block(levels, seeds=2)
    assert unbalanced_anova(block.drop([0, 2, 5]), levels).empty
    assert not unbalanced_anova(block.drop([0]), levels).empty


def test_a_cell_and_seed_counts_where_all_of_its_folds_do() -> None:
    crossing, table = without_a_fold()
    block = measured_block(table, crossing, "m")
    assert len(block) == 11
    assert ("1, x", 1) not in set(zip(block["cell"], block["seed"], strict=True))
    table.loc[table["cell"] == "1, x", "m"] = np.nan
    assert measured_block(table, crossing, "m").empty


def test_without_noise_there_is_no_f() -> None:
    levels = {"a": ["0", "1"], "b": ["x", "y"]}
    block = make_block(levels).assign(value=lambda f: 0.5 + 0.25 * (f["axis:a"] == "1"))
    table = anova(block, levels).set_index("source")
    assert table.loc["a", "eta_squared"] == pytest.approx(1)
    assert table["f"].isna().all()
    assert anova(block.assign(value=0.5), levels)["eta_squared"].isna().all()


def test_one_seed_has_means_without_intervals_and_no_anova() -> None:
    block = make_block(LEVELS, seeds=1)
    assert anova(block, LEVELS).empty
    means = marginal_means(block, LEVELS)
    assert means["mean"].notna().all()
    assert means["low"].isna().all()


def test_only_whole_seeds_count() -> None:
    crossing, table = without_a_fold()
    block = complete_block(table, crossing, "m")
    assert sorted(block["seed"].unique()) == [0, 2]
    assert block["value"].round(9).tolist() == [0.5, 0.7] * 4


def crossed(axes: dict[str, list[str]], cells: list[Cell], **design: object) -> Crossing:
    conditions = design.pop("when", {})
    built = [
        Axis(name, tuple(Level(x, {}) for x in labels), labels[0], conditions.get(name, {}))  # type: ignore[union-attr]
        for name, labels in axes.items()
    ]
    return Pairing.of_design(built, Design(**design)).crossing(cells)  # type: ignore[arg-type]


def test_a_complete_crossing_is_found() -> None:
    axes = {"a": ["0", "1"], "b": ["x", "y", "z"]}
    crossing = crossed(axes, make_cells(axes))
    assert (crossing.factors, len(crossing.cells), crossing.reason) == (("a", "b"), 6, "")


@pytest.mark.parametrize(
    ("keep", "design", "reason"),
    [
        (slice(0, 5), {}, "5 of the 6 combinations are in the design"),
        (slice(0, 3), {}, "fewer than two axes are crossed"),
        (slice(0, 6), {"kind": "fractional"}, "its cells are a balanced part of all combinations"),
    ],
)
def test_what_is_no_crossing_says_why(keep: slice, design: dict[str, str], reason: str) -> None:
    axes = {"a": ["0", "1"], "b": ["x", "y", "z"]}
    assert crossed(axes, make_cells(axes)[keep], **design).reason == reason


def test_zipped_axes_are_one_factor() -> None:
    axes = {"a": ["0", "1"], "b": ["x", "y"], "c": ["r", "s"]}
    cells = [c for c in make_cells(axes) if axes["b"].index(c.levels["b"]) == axes["c"].index(c.levels["c"])]
    crossing = crossed(axes, cells, zipped=(("b", "c"),))
    assert (crossing.factors, len(crossing.cells)) == (("a", "b"), 4)


def test_a_conditional_axis_is_held_at_its_baseline() -> None:
    axes = {"opt": ["adam", "sgd"], "momentum": ["0.9", "0"], "norm": ["batch", "none"]}
    cells = []
    for cell in make_cells(axes):
        if cell.levels["opt"] == "sgd":
            cells.append(cell)
        elif cell.levels["momentum"] == "0.9":
            levels = {axis: label for axis, label in cell.levels.items() if axis != "momentum"}
            cells.append(Cell(levels=levels, config=None, config_hash=""))  # type: ignore[arg-type]
    crossing = crossed(axes, cells, when={"momentum": {"opt": ("sgd",)}})
    assert crossing.factors == ("opt", "norm")
    assert [c.label for c in crossing.cells] == [
        "adam, batch",
        "adam, none",
        "sgd, 0.9, batch",
        "sgd, 0.9, none",
    ]
    assert crossing.held == {"momentum": "0.9"}
