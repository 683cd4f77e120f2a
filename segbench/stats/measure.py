"""The measured table that all statistics start from: one row per planned trial, one column per metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from segbench.quantities import QUANTITIES, OverEpochs
from segbench.records import State

INSTABILITY_EPOCHS = 10
"""Most epochs at the end of training whose val_dice makes up the instability."""


def measure(
    plan: pd.DataFrame, trials: pd.DataFrame, epochs: pd.DataFrame, keys: Sequence[str]
) -> pd.DataFrame:
    """Join the plan with what was recorded.

    Args:
        plan: One row per planned trial: `cell`, the axes, `seed`, `fold`.
        trials: One row per recorded trial: `trial`, the columns `keys`, `state`, `selected_epoch`, ...
        epochs: Rows of `epochs.csv` with `trial`.
        keys: The axes, `seed` and `fold`: what names a planned trial.

    Returns:
        The plan with `trial`, `state` (`waiting` where there is no record), the columns of `trials`,
        `instability`, costs and `val_*` at the selected epoch. Every metric but parameters and flops is NaN
        unless the trial is complete.
    """
    recorded = trials.merge(
        summarise_epochs(epochs, trials), on="trial", how="left", suffixes=("", "_epochs")
    )
    table = plan.merge(recorded, on=list(keys), how="left", suffixes=("", "_recorded"))
    table["state"] = (
        table["state"].astype(object).where(table["state"].notna(), State.WAITING.value).astype(str)
    )
    is_complete = table["state"] == State.COMPLETE.value
    for name in table.columns:
        is_metric = name.startswith(("test_", "val_")) or name in _EPOCH_SUMMARIES or name == "objective"
        if is_metric or name in QUANTITIES:
            table[name] = pd.to_numeric(table[name]).astype(float)
        if is_metric:
            table.loc[~is_complete, name] = np.nan
    return table


_MEDIANS, _LARGEST = (
    tuple(name for name, quantity in QUANTITIES.items() if quantity.over_epochs is how)
    for how in (OverEpochs.MEDIAN, OverEpochs.LARGEST)
)
_EPOCH_SUMMARIES = ("instability", *_MEDIANS, *_LARGEST)


def summarise_epochs(epochs: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Reduce the epochs of each trial to one row.

    `instability`: see `instability`. Costs: as their quantities say (`OverEpochs`). `val_*`: at the selected
    epoch.
    """
    if epochs.empty:
        return pd.DataFrame({"trial": pd.Series(dtype=trials["trial"].dtype)})
    epochs = epochs.sort_values(["trial", "epoch"], kind="stable")
    groups = epochs.groupby("trial", sort=False)
    warm = epochs[(epochs["epoch"] > 1) | (groups["epoch"].transform("size") == 1)]
    costs = warm.groupby("trial", sort=False)
    parts = [groups["val_dice"].agg(instability).rename("instability")] if "val_dice" in epochs else []
    parts += [costs[name].median() for name in _MEDIANS if name in epochs]
    parts += [groups[name].max() for name in _LARGEST if name in epochs]
    summary = (
        pd.concat(parts, axis=1).rename_axis("trial").reset_index() if parts else groups.size().reset_index()
    )
    chosen = trials[["trial", "selected_epoch"]].dropna().astype({"selected_epoch": "int64"})
    val = [name for name in epochs.columns.astype(str) if name.startswith("val_")]
    at_selected = chosen.merge(
        epochs[["trial", "epoch", *val]], left_on=["trial", "selected_epoch"], right_on=["trial", "epoch"]
    )
    return summary.merge(at_selected[["trial", *val]], on="trial", how="left")


def num_last(num_epochs: int) -> int:
    """Return how many epochs are the end of training: a quarter, at least 3 and at most 10."""
    return max(3, min(INSTABILITY_EPOCHS, num_epochs // 4))


def instability(values: Sequence[float] | pd.Series) -> float:
    """Return the sd of the values at the last k epochs, k = min(10, epochs // 4) but at least 3.

    NaN for fewer than three epochs. It mixes trend and jitter: at a constant learning rate after convergence
    it is jitter.
    """
    measured = np.asarray(values, float)
    last = measured[-num_last(measured.size) :]
    return float(last.std(ddof=1)) if last.size >= 3 else float("nan")
