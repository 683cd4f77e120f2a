"""The eight symmetries of the square."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from segbench.axes.augment import Augmentation, variant
from segbench.errors import ExperimentError, message


@variant
def d4() -> Augmentation:
    """Turn image and mask together by a multiple of 90 degrees and mirror them, all eight ways as likely.

    Pixels are moved, never interpolated.

    Raises:
        ExperimentError: The images are not square.

    Reference:
        Cohen & Welling, 2016, arXiv:1602.07576: the group p4m of such turns and mirrors.
    """
    return _Turned()


@dataclass(frozen=True)
class _Turned:
    steps: tuple[dict[str, Any], ...] = ({"D4": {"p": 1.0}},)

    def __call__(self, image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        if image.shape[0] != image.shape[1]:
            shape = f"{image.shape[0]}x{image.shape[1]}"
            rule = "the symmetries of the square need square images"
            raise ExperimentError(message("augment.d4", rule, got=shape, see="Use `flips`"))
        symmetry = random.Random(seed).randrange(8)
        turned = [np.rot90(array, symmetry % 4) for array in (image, mask)]
        if symmetry >= 4:
            turned = [array[:, ::-1] for array in turned]
        return turned[0], turned[1]
