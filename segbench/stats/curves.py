"""Learning curves: mean and band over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from segbench.stats.intervals import average_folds, summarise

CURVES = ("train_loss", "train_dice", "val_loss", "val_dice")


def curves(
    epochs: pd.DataFrame, trials: pd.DataFrame, axes: Sequence[str], metrics: Sequence[str] = CURVES
) -> pd.DataFrame:
    """Summarise each metric over the seeds at each epoch.

    Args:
        epochs: Rows of `epochs.csv` with `trial`.
        trials: A row a trial to draw: `trial`, `cell`, the axes, `seed`, `fold`.
        axes: Names of the axes, kept beside `cell`.
        metrics: Columns of `epochs`; those that are not there are left out.

    Returns:
        A row a cell, metric and epoch: `cell`, the axes, `epoch`, `metric`, `n`, `mean`, `low`, `high`. The
        band is a 95 % t-interval point by point, NaN for one seed; n shrinks where runs stopped early.
    """
    keys = ["cell", *axes]
    known = [m for m in metrics if m in epochs]
    columns = [*keys, "epoch", "metric", "n", "mean", "low", "high"]
    joined = trials[["trial", *keys, "seed", "fold"]].merge(
        epochs[["trial", "epoch", *known]]
        if len(epochs)
        else pd.DataFrame({"trial": [], "epoch": []}).astype({"trial": trials["trial"].dtype}),
        on="trial",
    )
    if joined.empty or not known:
        return pd.DataFrame({c: [] for c in columns})
    long = joined.melt([*keys, "seed", "epoch"], known, var_name="metric", value_name="value").dropna(
        subset="value"
    )
    table = summarise(
        average_folds(long, [*keys, "metric", "epoch"], "value"), [*keys, "metric", "epoch"], "value"
    )
    cells = {cell: i for i, cell in enumerate(trials["cell"].unique())}
    order = {metric: i for i, metric in enumerate(known)}
    rank = pd.DataFrame({"c": table["cell"].map(cells), "m": table["metric"].map(order), "e": table["epoch"]})
    return table.loc[rank.sort_values(["c", "m", "e"]).index, columns].reset_index(drop=True)
