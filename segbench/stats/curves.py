"""Learning curves: mean and band over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from segbench.stats.intervals import half_widths

CURVES = ("train_loss", "train_dice", "val_loss", "val_dice")


def curves(
    epochs: pd.DataFrame, trials: pd.DataFrame, axes: Sequence[str], metrics: Sequence[str] = CURVES
) -> pd.DataFrame:
    """Summarise each metric over the seeds at each epoch.

    Args:
        epochs: Rows of `epochs.csv` with `trial`.
        trials: One row per trial to draw: `trial`, `cell`, the axes, `seed`, `fold`.
        axes: Names of the axes, kept beside `cell`.
        metrics: Columns of `epochs`; those that are not there are left out.

    Returns:
        One row per cell, metric and epoch: `cell`, the axes, `epoch`, `metric`, `n`, `mean`, `low`, `high`.
        The band is a 95 % t-interval point by point, NaN for one seed; n shrinks where runs stopped early.
    """
    keys = ["cell", *axes]
    known = [m for m in metrics if m in epochs]
    columns = [*keys, "epoch", "metric", "n", "mean", "low", "high"]
    if epochs.empty or trials.empty or not known:
        return pd.DataFrame({c: [] for c in columns})
    numbered = trials.assign(_cell=trials.groupby(keys, sort=False, dropna=False).ngroup())
    cells = numbered.drop_duplicates("_cell").set_index("_cell")[keys]
    rows = epochs[["trial", "epoch", *known]].merge(numbered[["trial", "_cell", "seed"]], on="trial")
    # Folds of a seed are averaged; one that lacks a value leaves the others.
    per_seed = rows.groupby(["_cell", "epoch", "seed"], sort=True)[known].mean()
    groups = per_seed.groupby(level=["_cell", "epoch"], sort=True)
    n, mean, sd = groups.count(), groups.mean(), groups.std()
    parts = [
        pd.DataFrame({"metric": m, "n": n[m], "mean": mean[m], "sd": sd[m], "_rank": rank})
        for rank, m in enumerate(known)
    ]
    table = pd.concat(parts).reset_index()
    table = table[table["n"] > 0].sort_values(["_cell", "_rank", "epoch"], kind="stable")
    half = half_widths(table["n"].to_numpy(), table["sd"].to_numpy())
    table = table.assign(low=table["mean"] - half, high=table["mean"] + half)
    named = cells.loc[table["_cell"]].reset_index(drop=True)
    return pd.concat([named, table.reset_index(drop=True)], axis=1)[columns]
