"""Mirror images."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from segbench.axes.augment import Augmentation, variant
from segbench.axes.augment._mirror import mirrored


@variant
def flips(
    *,
    horizontal: Annotated[float, Ge(0), Le(1)] = 0.5,
    vertical: Annotated[float, Ge(0), Le(1)] = 0.5,
) -> Augmentation:
    """Mirror image and mask together, left-right and upside down, drawn independently.

    Args:
        horizontal: Probability of mirroring left-right.
        vertical: Probability of mirroring upside down.
    """
    return _Flips(horizontal, vertical)


@dataclass(frozen=True)
class _Flips:
    horizontal: float
    vertical: float

    @property
    def steps(self) -> list[dict[str, Any]]:
        return [{"HorizontalFlip": {"p": self.horizontal}}, {"VerticalFlip": {"p": self.vertical}}]

    def __call__(self, image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        image, mask = mirrored(random.Random(seed), self.horizontal, self.vertical, image, mask)
        return image, mask
