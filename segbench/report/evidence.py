"""What an estimated contrast rests on, seed by seed: columns that any frame of effects can carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from segbench.stats.effects import Effect

EVIDENCE: Final = (
    *("seeds", "level_by_seed", "baseline_by_seed", "difference_by_seed"),
    *("sd", "num_units", "images_variance"),
)
"""Columns: tuples of one length (the seeds, and what each measured at the level, at the baseline, and apart),
the standard deviation of the differences, the images (or groups) behind the interval for new images, and the
variance that other images would add to the mean (NaN: not known)."""


def evidence(effect: Effect) -> dict[str, Any]:
    """Return the columns `EVIDENCE` of an effect; of a ratio the differences are of logarithms."""
    new = effect.spread_new
    return {
        "seeds": effect.seeds,
        "level_by_seed": effect.level_per_seed,
        "baseline_by_seed": effect.baseline_per_seed,
        "difference_by_seed": effect.per_seed,
        "sd": effect.sd,
        "num_units": effect.num_units,
        "images_variance": float("nan") if new is None else float(new.var_new),
    }


def turned_round(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with level and baseline exchanged, as far as it carries evidence."""
    return {
        **row,
        "level_by_seed": row["baseline_by_seed"],
        "baseline_by_seed": row["level_by_seed"],
        "difference_by_seed": tuple(0.0 - value for value in row["difference_by_seed"]),
    }
