"""Every declared metric by name, and which are computed together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Final

import numpy as np

from segbench import quantities
from segbench.engine.metrics.counts import Counts
from segbench.engine.metrics.soft import SoftSums
from segbench.engine.metrics.surface import surface_distances

METRICS: Final[Mapping[str, Callable[..., Any]]] = {
    name: getattr(import_module(f"segbench.engine.metrics.{metric.module}"), name)
    for name, metric in quantities.METRICS.items()
}
"""Name -> the function that defines it, in the order of `segbench.quantities.METRICS`."""


def of_counts(counts: Counts, sums: SoftSums) -> dict[str, np.ndarray]:
    """Return the metrics per image that counts and sums give, (I,) float64 each."""
    return dict(_computed(("counts", "soft"), counts=counts, sums=sums))


def of_whole_set(counts: Counts) -> dict[str, float]:
    """Return the metrics that have one value for all images together."""
    return dict(_computed(("pooled",), counts=counts))


def of_surfaces(predicted: np.ndarray, masks: np.ndarray, *, tolerance_px: float) -> dict[str, np.ndarray]:
    """Return the metrics of outlines, (N,) float64 each.

    Args:
        predicted: (N,H,W) bool; False where pixels are ignored.
        masks: (N,H,W) bool; False where pixels are ignored.
        tolerance_px: How far apart outlines may lie and still agree, for `surface_dice`.
    """
    distances = [surface_distances(ours, theirs) for ours, theirs in zip(predicted, masks, strict=True)]
    found = [dict(_computed(("surface",), distances=each, tolerance_px=tolerance_px)) for each in distances]
    names = [name for name, metric in quantities.METRICS.items() if metric.family == "surface"]
    return {name: np.array([each[name] for each in found]) for name in names}


def _computed(families: tuple[str, ...], **known: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and value of the metrics of some families, each given what it takes."""
    for name, metric in quantities.METRICS.items():
        if metric.family in families:
            yield name, METRICS[name](*(known[each] for each in metric.takes))
