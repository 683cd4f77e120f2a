"""How training went: epochs to reach a level, area under the curve, instability, where over-fitting begins.

Each measure is one number a trial; folds are averaged within a seed, and intervals are Student's over seeds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from segbench.stats.intervals import summarise
from segbench.stats.measure import num_last

SHARE = 0.95
"""The level to reach, as a share of the best cell's plateau."""
RISES = 2.0, 0.01
"""How far val_loss must rise to have turned up: times its noise, and as a share of its minimum."""
MEASURES = ("epochs_to_level", "area", "instability", "onset")
COLUMNS = (
    *("n", "level", "reached"),
    *("epochs_to_level", "epochs_to_level_low", "epochs_to_level_high"),
    *("area", "area_low", "area_high"),
    *("instability", "instability_low", "instability_high"),
    *("turned_up", "onset", "onset_low", "onset_high"),
    *("seeds", *(f"{name}_by_seed" for name in MEASURES)),
)


def dynamics(
    epochs: pd.DataFrame, trials: pd.DataFrame, axes: Sequence[str], objective: str, *, is_lower_better: bool
) -> pd.DataFrame:
    """Summarise the validation curves of every cell.

    `epochs_to_level` and `onset` do not exist for every seed: their means are over the seeds that reached the
    level, or turned up (`reached`, `turned_up` count these), and have an interval only where all did. A seed
    counts where all of its folds do.

    Args:
        epochs: Rows of `epochs.csv` with `trial`.
        trials: One row per completed trial: `trial`, `cell`, the axes, `seed`, `fold`, `instability`.
        axes: Names of the axes, kept beside `cell`.
        objective: The column of `epochs` that selects weights.
        is_lower_better: Of the objective.

    Returns:
        One row per cell: `cell`, the axes, `n` (seeds), `level` (the same in all rows), `reached`, then for
        each of `epochs_to_level`, `area`, `instability` and `onset` (with `turned_up` before it) the mean and
        the ends `_low` and `_high` of its 95 % t-interval; then `seeds` and each measure with `_by_seed`
        (tuples). Empty without curves.
    """
    keys = ["cell", *axes]
    if objective not in epochs or trials.empty or not epochs["trial"].isin(trials["trial"]).any():
        return pd.DataFrame(columns=[*keys, *COLUMNS])
    curves = _curves(epochs, objective)
    measured = trials.reindex(columns=[*keys, "trial", "seed", "instability"]).reset_index(drop=True)
    own = [curves.get(trial, _NO_CURVE) for trial in measured["trial"]]
    plateaus = pd.Series([plateau(values) for _, values in own])
    level = level_to_reach(plateaus.groupby(measured["cell"]).mean(), is_lower_better=is_lower_better)
    sign = -1.0 if is_lower_better else 1.0
    losses = _curves(epochs, "val_loss") if "val_loss" in epochs else {}
    measured["epochs_to_level"] = [first_at(e, sign * values, sign * level) for e, values in own]
    measured["area"] = [area(e, values) for e, values in own]
    measured["onset"] = [turning_point(*losses.get(trial, _NO_CURVE)) for trial in measured["trial"]]
    per_seed = measured.groupby([*keys, "seed"], sort=False)[list(MEASURES)].mean(skipna=False).reset_index()
    return _summary(per_seed, keys, level)


_NO_CURVE = np.empty(0), np.empty(0)


def _curves(epochs: pd.DataFrame, metric: str) -> dict[object, tuple[np.ndarray, np.ndarray]]:
    """Return trial -> (epochs, values), without values that are missing."""
    rows = epochs[["trial", "epoch", metric]].dropna().sort_values(["trial", "epoch"], kind="stable")
    return {
        trial: (own["epoch"].to_numpy(float), own[metric].to_numpy(float))
        for trial, own in rows.groupby("trial", sort=False)
    }


def _summary(per_seed: pd.DataFrame, keys: list[str], level: float) -> pd.DataFrame:
    groups = per_seed.groupby(keys, sort=False)
    table = groups.size().rename("n").reset_index().assign(level=level)
    for name in MEASURES:
        found = summarise(per_seed, keys, name)
        is_everywhere = found["n"].to_numpy() == table["n"].to_numpy()
        table[name] = found["mean"]
        for end in ("low", "high"):
            table[f"{name}_{end}"] = found[end].where(is_everywhere)
        if name in ("epochs_to_level", "onset"):
            table["reached" if name == "epochs_to_level" else "turned_up"] = found["n"]
    table["seeds"] = [tuple(int(seed) for seed in seeds) for _, seeds in groups["seed"]]
    for name in MEASURES:
        table[f"{name}_by_seed"] = [tuple(values.tolist()) for _, values in groups[name]]
    return table[[*keys, *COLUMNS]]


def plateau(values: np.ndarray) -> float:
    """Return the mean over the end of training: the epochs that the instability is about."""
    return float(values[-num_last(values.size) :].mean()) if values.size else float("nan")


def level_to_reach(plateaus: pd.Series, *, is_lower_better: bool) -> float:
    """Return 95 % of the best cell's plateau; where lower is better the plateau divided by .95.

    NaN where the plateau is not positive: a share of it would be no level below it.
    """
    best = float(plateaus.min() if is_lower_better else plateaus.max())
    if not best > 0:
        return float("nan")
    return best / SHARE if is_lower_better else best * SHARE


def first_at(epochs: np.ndarray, values: np.ndarray, level: float) -> float:
    """Return the first epoch whose value is the level or above it; NaN where none is."""
    at = np.flatnonzero(values >= level)
    return float(epochs[at[0]]) if at.size else float("nan")


def area(epochs: np.ndarray, values: np.ndarray) -> float:
    """Return the area under a curve by trapezoids, divided by its length: a mean value over training.

    It has the metric's unit, and is higher where a good value is reached earlier. Runs that stop early are
    divided by their own length.
    """
    if values.size < 2:
        return float(values[0]) if values.size else float("nan")
    return float(np.trapezoid(values, epochs) / (epochs[-1] - epochs[0]))


def turning_point(epochs: np.ndarray, losses: np.ndarray) -> float:
    """Return the epoch from which the validation loss rises for good; NaN where it does not.

    The loss is smoothed by a centred moving mean over w = 2h + 1 epochs, h = 5 % of them but at least 1. The
    turning point is the last minimum of that, if its window and the last one do not overlap and the last mean
    is above the minimum by more than 2 sd of the loss about its moving mean since then (noise) and by more
    than 1 % of it. A loss that rises and falls again below its old minimum has not turned; after the last
    minimum it never comes back to it.
    """
    h = max(1, losses.size // 20)
    width = 2 * h + 1
    if losses.size < 2 * width:
        return float("nan")
    smooth = np.convolve(losses, np.full(width, 1 / width), "valid")
    k = smooth.size - 1 - int(np.argmin(smooth[::-1]))
    if smooth.size - 1 - k < width:
        return float("nan")
    residuals = losses[h + k : losses.size - h] - smooth[k:]
    noise = float(np.sqrt((residuals**2).mean() * width / (width - 1)))
    times, share = RISES
    is_risen = smooth[-1] - smooth[k] > max(times * noise, share * abs(smooth[k]))
    return float(epochs[h + k]) if is_risen else float("nan")
