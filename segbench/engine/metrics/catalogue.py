"""Every metric by name, and which are computed together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from segbench.engine.metrics.counts import Counts, accuracy, dice, iou, precision, recall, specificity
from segbench.engine.metrics.pooled import pooled_dice
from segbench.engine.metrics.soft import SoftSums, soft_dice
from segbench.engine.metrics.surface import assd_px, hd95_px, surface_dice, surface_distances

_OF_COUNTS: Final[Mapping[str, Callable[[Counts], np.ndarray]]] = {
    "dice": dice,
    "iou": iou,
    "precision": precision,
    "recall": recall,
    "accuracy": accuracy,
    "specificity": specificity,
}

METRICS: Final[Mapping[str, Callable[..., Any]]] = {
    **_OF_COUNTS,
    "soft_dice": soft_dice,
    "pooled_dice": pooled_dice,
    "hd95_px": hd95_px,
    "assd_px": assd_px,
    "surface_dice": surface_dice,
}
"""Name -> the function that defines it, in the order of `segbench.metrics.SPECS`."""


def of_counts(counts: Counts, sums: SoftSums) -> dict[str, np.ndarray]:
    """Return the metrics per image that counts and sums give, (I,) float64 each."""
    return {
        **{name: metric(counts) for name, metric in _OF_COUNTS.items()},
        "soft_dice": soft_dice(counts, sums),
    }


def of_whole_set(counts: Counts) -> dict[str, float]:
    """Return the metrics that have one value for all images together."""
    return {"pooled_dice": pooled_dice(counts)}


def of_surfaces(predicted: np.ndarray, masks: np.ndarray, *, tolerance_px: float) -> dict[str, np.ndarray]:
    """Return the metrics of outlines, (N,) float64 each.

    Args:
        predicted: (N,H,W) bool; False where pixels are ignored.
        masks: (N,H,W) bool; False where pixels are ignored.
        tolerance_px: How far apart outlines may lie and still agree, for `surface_dice`.
    """
    distances = [surface_distances(ours, theirs) for ours, theirs in zip(predicted, masks, strict=True)]
    return {
        "hd95_px": np.array([hd95_px(each) for each in distances]),
        "assd_px": np.array([assd_px(each) for each in distances]),
        "surface_dice": np.array([surface_dice(each, tolerance_px) for each in distances]),
    }
