"""The metric of probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segbench.engine.metrics.counts import Counts, dice
from segbench.quantities import Metric


@dataclass(frozen=True)
class SoftSums:
    """Sums of foreground probabilities over the pixels of each image; each array is (I,) float64."""

    overlap: np.ndarray
    """Over the mask's foreground."""
    total: np.ndarray
    """Over all pixels that count."""


@Metric(words="soft Dice")
def soft_dice(counts: Counts, sums: SoftSums) -> np.ndarray:
    """Dice of the probabilities p themselves: 2 sum(p t) / (sum(p) + sum(t)), per image, without smoothing.

    A confident prediction has nearly its dice; an unsure one less. On an empty mask, where the ratio is 0
    whatever small probabilities are left, it is what dice is: 1 if no pixel's probability is above 0.5, else
    0.

    Reference: Milletari et al., 2016, arXiv:1606.04797, with plain instead of squared sums below.
    """
    num_foreground = counts.tp + counts.fn
    below = sums.total + num_foreground
    return np.where(num_foreground > 0, 2 * sums.overlap / np.maximum(below, 1), dice(counts))
