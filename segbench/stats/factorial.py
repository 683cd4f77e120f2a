"""Factorial designs: means of levels, interactions of two axes, and the analysis of variance.

Everything starts from a complete block: the seeds of which every cell of a complete crossing is measured.
Seeds are the replicates: each number is worked out seed by seed, and its interval is Student's over seeds.
The analysis of variance alone pools the error over cells, so it also takes the seeds of which some cells
failed (`unbalanced_anova`).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from segbench.config.pairing import Crossing
from segbench.records import axis_column
from segbench.stats.intervals import summarise, t_interval

MARGINALS = ("axis", "level", "n", "mean", "sd", "low", "high")
MEANS = ("axis_a", "level_a", "axis_b", "level_b", "n", "mean", "sd", "low", "high")
INTERACTIONS = (
    *("axis_a", "level_a", "baseline_a", "axis_b", "level_b", "baseline_b"),
    *("n", "difference", "sd", "low", "high", "seeds", "difference_by_seed"),
)
_ROUNDING = 1e-20
"""A sum of squares below this share of the total is zero."""
_OWN_SOURCES = ("seed", "residual", "total")
ANOVA = ("source", "axes", "df", "ss", "ms", "f", "p", "eta_squared", "omega_squared")


def complete_block(table: pd.DataFrame, crossing: Crossing, metric: str) -> pd.DataFrame:
    """Return the crossing's outcomes: one row per cell and seed, folds averaged.

    Only seeds of which every trial (each cell, each fold) is measured are there, since a seed that lacks a
    cell would add that cell's effect to the noise between seeds.

    Args:
        table: One row per planned trial: `cell`, one `axis:NAME` per axis, `seed`, `fold`, the metric.
        crossing: Which cells.
        metric: The column to take.

    Returns:
        One column per factor (`axis:NAME`), `seed`, `value`.
    """
    labels = [cell.label for cell in crossing.cells]
    rows = table[table["cell"].isin(labels)]
    is_whole = rows[metric].notna().groupby(rows["seed"]).transform("all")
    keys = [*map(axis_column, crossing.factors), "seed"]
    means = rows[is_whole].groupby(keys, sort=False)[metric].mean()
    return means.rename("value").reset_index()


def measured_block(table: pd.DataFrame, crossing: Crossing, metric: str) -> pd.DataFrame:
    """Return what is measured of the crossing: one row per cell and seed of which every fold is.

    Args:
        table: As for `complete_block`.
        crossing: Which cells.
        metric: The column to take.

    Returns:
        `cell`, one `axis:NAME` per factor, `seed`, `value`; empty where some cell is measured at no seed.
    """
    labels = [cell.label for cell in crossing.cells]
    rows = table[table["cell"].isin(labels)]
    is_whole = rows[metric].notna().groupby([rows["cell"], rows["seed"]]).transform("all")
    means = (
        rows[is_whole]
        .groupby(["cell", *map(axis_column, crossing.factors), "seed"], sort=False)[metric]
        .mean()
    )
    block = means.rename("value").reset_index()
    return block if block["cell"].nunique() == len(labels) else block.iloc[:0]


def marginal_means(block: pd.DataFrame, levels: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return the mean of every level over the cells that have it.

    Per seed the cells are averaged; the interval is Student's over seeds (95 %, NaN for one seed).

    Args:
        block: From `complete_block`.
        levels: Factor -> its labels, in order.

    Returns:
        One row per level: `axis`, `level`, `n` (seeds), `mean`, `sd`, `low`, `high`.

    Reference: for means over the cells of a balanced crossing, Montgomery (2017), Design and Analysis of
    Experiments, 9th ed., chapter 5.
    """
    parts = []
    for axis, labels in levels.items():
        column = axis_column(axis)
        per_seed = block.groupby([column, "seed"], sort=False)["value"].mean().reset_index()
        means = _in_order(summarise(per_seed, [column], "value"), [column], [labels])
        parts.append(means.rename(columns={column: "level"}).assign(axis=axis))
    return pd.concat(parts, ignore_index=True)[list(MARGINALS)]


def interaction_means(block: pd.DataFrame, levels: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return the mean of every pair of levels of two factors, over the levels of the others.

    Returns:
        One row per pair of levels: `axis_a`, `level_a`, `axis_b`, `level_b`, `n`, `mean`, `sd`, `low`, `high`
        (95 % t-interval over seeds).
    """
    parts = []
    for a, b in itertools.combinations(levels, 2):
        columns = [axis_column(a), axis_column(b)]
        per_seed = block.groupby([*columns, "seed"], sort=False)["value"].mean().reset_index()
        means = _in_order(summarise(per_seed, columns, "value"), columns, [levels[a], levels[b]])
        named = dict(zip(columns, ("level_a", "level_b"), strict=True))
        parts.append(means.rename(columns=named).assign(axis_a=a, axis_b=b))
    return pd.concat(parts, ignore_index=True)[list(MEANS)]


def interactions(
    block: pd.DataFrame, levels: Mapping[str, Sequence[str]], baselines: Mapping[str, str]
) -> pd.DataFrame:
    """Return the two-factor interactions: how much the effect of one level changes with another one.

    For level a of one factor and b of another, seed by seed, over the levels of the others:
    (mean(a, b) - mean(a0, b)) - (mean(a, b0) - mean(a0, b0)), where a0 and b0 are the baselines. Zero: the
    two effects add up. The interval is Student's over seeds (95 %), without correction.

    Returns:
        One row per pair of levels: `axis_a`, `level_a`, `baseline_a`, `axis_b`, `level_b`, `baseline_b`, `n`,
        `difference`, `sd`, `low`, `high`, `seeds`, `difference_by_seed` (tuples).

    Reference: Montgomery (2017), Design and Analysis of Experiments, 9th ed., section 5.1.
    """
    cube = _cube(block, levels)
    seeds = tuple(sorted(int(seed) for seed in block["seed"].unique()))
    rows: list[dict[str, object]] = []
    for (i, a), (j, b) in itertools.combinations(enumerate(levels), 2):
        others = tuple(k for k in range(len(levels)) if k not in (i, j))
        means = cube.mean(axis=others)
        a0, b0 = (list(levels[axis]).index(baselines[axis]) for axis in (a, b))
        twice = means - means[[a0]] - (means[:, [b0]] - means[[a0], [b0]])
        named: dict[str, object] = {"axis_a": a, "baseline_a": baselines[a]}
        named |= {"axis_b": b, "baseline_b": baselines[b], "seeds": seeds}
        for (k, level_a), (m, level_b) in itertools.product(enumerate(levels[a]), enumerate(levels[b])):
            if k != a0 and m != b0:
                rows.append(named | {"level_a": level_a, "level_b": level_b} | _moments(twice[k, m]))
    return pd.DataFrame(rows, columns=list(INTERACTIONS))


def anova(block: pd.DataFrame, levels: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return the analysis of variance of a complete crossing, with the seed as a block.

    The model holds every factor, all of their interactions and the seed, as fixed effects; what is left,
    the interaction of seeds with cells, is the error of every F test. That takes the spread over seeds to be
    alike in all cells, which one level that collapses now and then breaks: the p-values are exploratory. The
    crossing is complete and balanced, so sums of squares of types I, II and III are the same, and follow from
    means alone.

    eta squared: SS / total SS, of the seeds too. omega squared: (SS - df·MS_error) / (total SS + MS_error),
    of the effects alone; it does not grow with the number of levels by chance, and is negative where F < 1.

    Returns:
        One row per source: `source`, `axes` (tuple; empty for `seed`, `residual` and `total`), `df`, `ss`,
        `ms`, `f`, `p`, `eta_squared`, `omega_squared`. No row for fewer than two seeds.

    Reference: Fisher (1925), Statistical Methods for Research Workers; omega squared: Hays (1963),
    Statistics for Psychologists; Olejnik & Algina (2003), Psychological Methods 8:434.
    """
    num_seeds = block["seed"].nunique()
    if num_seeds < 2:
        return pd.DataFrame(columns=list(ANOVA))
    cube, factors = _cube(block, levels), list(levels)
    seed = len(factors)
    total = float(((cube - cube.mean()) ** 2).sum())
    rows = [_row("total", (), cube.size - 1, total, total)]
    error = cube - cube.mean(axis=seed, keepdims=True)
    error = error - error.mean(axis=tuple(range(seed)), keepdims=True)
    num_cells = cube.size // num_seeds
    rows.insert(0, _row("residual", (), (num_cells - 1) * (num_seeds - 1), float((error**2).sum()), total))
    rows.insert(0, _row("seed", (), num_seeds - 1, _square(cube, {seed}), total))
    error_ms = float(rows[1]["ms"])  # type: ignore[arg-type]
    effects = []
    for size in range(1, seed + 1):
        for chosen in itertools.combinations(range(seed), size):
            axes = tuple(factors[k] for k in chosen)
            df = math.prod(cube.shape[k] - 1 for k in chosen)
            row = _row(_source(axes), axes, df, _square(cube, set(chosen)), total)
            effects.append(row | _tested(row, error_ms, int(rows[1]["df"]), total))  # type: ignore[call-overload]
    return pd.DataFrame([*effects, *rows], columns=list(ANOVA))


def unbalanced_anova(block: pd.DataFrame, levels: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return the analysis of variance of a crossing of which some trials failed, by type III sums of squares.

    The model is that of `anova`. Its squares no longer follow from means alone, and their types differ: type
    III is taken because it asks, of every source, what the balanced analysis asks (are the means of levels,
    cells counted alike, equal?), also where factors interact; type II would weight cells by how many of their
    trials happened to finish, and type I depends on the order of axes. Sums of squares do not add up to
    the total, so shares of it (eta squared) do not add up to one. Trials fail for reasons: a cell that loses
    its bad seeds looks better than it is, here as in every mean.

    Args:
        block: From `measured_block`.
        levels: Factor -> its labels, in order.

    Returns:
        As `anova`. No row where nothing is left for the error.

    Reference: Yates (1934), J. American Statistical Association 29:51, the method of weighted squares of
    means; statsmodels' `anova_lm` works it out.
    """
    import warnings

    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    num_cells = math.prod(len(own) for own in levels.values())
    num_seeds = block["seed"].nunique()
    df_error = len(block) - num_cells - (num_seeds - 1)
    if num_seeds < 2 or df_error < 1:
        return pd.DataFrame(columns=list(ANOVA))
    factors = list(levels)
    plain = block.rename(columns={axis_column(axis): f"f{k}" for k, axis in enumerate(factors)})
    crossed = " * ".join(f"C(f{k}, Sum)" for k in range(len(factors)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # without noise F is not defined
        found = anova_lm(ols(f"value ~ C(seed, Sum) + {crossed}", plain).fit(), typ=3)
    values = block["value"].to_numpy(float)
    total = float(((values - values.mean()) ** 2).sum())
    squares = {
        tuple(re.findall(r"C\((\w+),", str(name))): float(row["sum_sq"]) for name, row in found.iterrows()
    }
    error = _row("residual", (), df_error, float(found.loc["Residual", "sum_sq"]), total)
    error_ms = float(error["ms"])  # type: ignore[arg-type]
    effects = []
    for size in range(1, len(factors) + 1):
        for chosen in itertools.combinations(range(len(factors)), size):
            axes = tuple(factors[k] for k in chosen)
            df = math.prod(len(levels[axis]) - 1 for axis in axes)
            row = _row(_source(axes), axes, df, squares[tuple(f"f{k}" for k in chosen)], total)
            effects.append(row | _tested(row, error_ms, df_error, total))
    seed = _row("seed", (), num_seeds - 1, squares[("seed",)], total)
    return pd.DataFrame(
        [*effects, seed, error, _row("total", (), len(block) - 1, total, total)], columns=list(ANOVA)
    )


def _source(axes: tuple[str, ...]) -> str:
    """Name an effect; an axis that is called as a row of ours keeps the prefix of its column."""
    name = " x ".join(axes)
    return axis_column(name) if name in _OWN_SOURCES else name


def _cube(block: pd.DataFrame, levels: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Return a block's values, a dimension a factor in the order of its labels, seeds last."""
    ranks = {
        axis_column(axis): block[axis_column(axis)].map({label: k for k, label in enumerate(own)})
        for axis, own in levels.items()
    }
    order = pd.DataFrame(ranks).assign(seed=block["seed"])
    values = block["value"].loc[order.sort_values([*ranks, "seed"]).index].to_numpy(float)
    return values.reshape(*(len(own) for own in levels.values()), -1)


def _square(cube: np.ndarray, chosen: set[int]) -> float:
    """Return the sum of squares of a term: deviations from means in its own dimensions, means over others."""
    effect = cube
    for k in range(cube.ndim):
        mean = effect.mean(axis=k, keepdims=True)
        effect = effect - mean if k in chosen else mean
    return float((effect**2).sum()) * cube.size / effect.size


def _row(source: str, axes: tuple[str, ...], df: int, square: float, total: float) -> dict[str, object]:
    square = 0.0 if square < _ROUNDING * total else square
    is_total = source == "total"
    return {
        "source": source,
        "axes": axes,
        "df": df,
        "ss": square,
        "ms": np.nan if is_total else square / df,
        "eta_squared": square / total if total > 0 and not is_total else np.nan,
    }


def _tested(row: Mapping[str, Any], error: float, df_error: int, total: float) -> dict[str, float]:
    f = row["ms"] / error if error > 0 else np.nan
    return {
        "f": f,
        "p": float(special.fdtrc(row["df"], df_error, f)),
        "omega_squared": (row["ss"] - row["df"] * error) / (total + error) if total > 0 else np.nan,
    }


def _moments(per_seed: np.ndarray) -> dict[str, object]:
    n, mean = per_seed.size, float(per_seed.mean())
    low, high = t_interval(per_seed)
    sd = float(per_seed.std(ddof=1)) if n > 1 else np.nan
    by_seed = tuple(per_seed.tolist())
    return {"n": n, "difference": mean, "sd": sd, "low": low, "high": high, "difference_by_seed": by_seed}


def _in_order(frame: pd.DataFrame, by: Sequence[str], orders: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Sort rows by the given order of labels, the first column slowest."""
    ranks = pd.DataFrame(
        {axis: frame[axis].map(list(labels).index) for axis, labels in zip(by, orders, strict=True)}
    )
    return frame.loc[ranks.sort_values(list(by)).index].reset_index(drop=True)
