"""Mirror images, with the mistake of drawing image and mask apart."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from segbench.axes.augment import Augmentation, variant
from segbench.axes.augment._mirror import mirrored


@variant(flawed="image and mask are mirrored by draws of their own, so most masks do not fit")
def flips_unsynchronised(
    *,
    horizontal: Annotated[float, Ge(0), Le(1)] = 0.5,
    vertical: Annotated[float, Ge(0), Le(1)] = 0.5,
) -> Augmentation:
    """Mirror image and mask left-right and upside down, each by draws of its own: a mistake, to be measured.

    With both probabilities at 0.5 a mask is mirrored as its image is in a quarter of all cases. Reference
    study R4 lost .11 (U-Net) and .06 (ResNet34-U-Net) of pixel accuracy with flips, which this would explain.
    `flips` is the right form. In a small run of 12 epochs (`c23_flips`) flips drawn apart cost .073 of pixel
    accuracy and .091 of Dice, and flips drawn together were judged worse than none as well, by .019 of Dice.

    Args:
        horizontal: Probability of mirroring left-right.
        vertical: Probability of mirroring upside down.
    """
    return _FlipsApart(horizontal, vertical)


@dataclass(frozen=True)
class _FlipsApart:
    horizontal: float
    vertical: float

    def __call__(self, image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        draw = random.Random(seed)
        (image,) = mirrored(draw, self.horizontal, self.vertical, image)
        (mask,) = mirrored(draw, self.horizontal, self.vertical, mask)
        return image, mask
