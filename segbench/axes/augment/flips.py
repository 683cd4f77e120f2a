"""Mirror images."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from segbench.axes.augment import Augmentation, variant
from segbench.errors import ExperimentError, message


@variant
def flips(*, horizontal: float = 0.5, vertical: float = 0.5) -> Augmentation:
    """Mirror image and mask together, left-right and upside down, drawn independently.

    Args:
        horizontal: Probability of mirroring left-right.
        vertical: Probability of mirroring upside down.

    Raises:
        ExperimentError: A probability is not in 0..1.
    """
    for name, value in (("horizontal", horizontal), ("vertical", vertical)):
        if not 0 <= value <= 1:
            raise ExperimentError(message(f"augment.flips.{name}", "a probability lies in 0..1", got=value))
    return _Flips(horizontal, vertical)


@dataclass(frozen=True)
class _Flips:
    horizontal: float
    vertical: float

    def __call__(self, image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        draw = random.Random(seed)
        if draw.random() < self.horizontal:
            image, mask = image[:, ::-1], mask[:, ::-1]
        if draw.random() < self.vertical:
            image, mask = image[::-1], mask[::-1]
        return image, mask
