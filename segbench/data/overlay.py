"""Colours of a prediction over its mask; pixels of an image as they can be looked at. numpy only."""

from __future__ import annotations

from typing import Final

import numpy as np

from segbench.samples import IGNORED

FALSE_POSITIVE: Final = (213, 94, 0)
FALSE_NEGATIVE: Final = (0, 114, 178)
TRUE_POSITIVE: Final = (255, 255, 255)
NOT_COUNTED: Final = (128, 128, 128)
"""Colours of pixels: vermilion and blue, apart for colour-blind eyes and in grey; grey where pixels are
ignored."""


def overlay(labels: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Colour a prediction by what is right and wrong in it.

    Args:
        labels: The mask, (H,W) uint8 in {0, 1, 255}.
        prediction: (H,W) bool.

    Returns:
        (H,W,3) uint8.
    """
    truth = labels == 1
    picture = np.zeros((*labels.shape, 3), dtype=np.uint8)
    picture[truth & prediction] = TRUE_POSITIVE
    picture[~truth & prediction] = FALSE_POSITIVE
    picture[truth & ~prediction] = FALSE_NEGATIVE
    picture[labels == IGNORED] = NOT_COUNTED
    return picture


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Return (H,W,3) uint8 of (H,W,C) in any depth; channels after the third are not shown."""
    if image.dtype != np.uint8:
        image = (image.astype(np.float64) / max(float(image.max()), 1.0) * 255).astype(np.uint8)
    return np.repeat(image[..., :1], 3, axis=-1) if image.shape[-1] < 3 else image[..., :3]
