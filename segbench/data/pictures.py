"""Pictures of the data: contact sheets, and predictions coloured over their masks. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
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


_OUTLINE = np.array([255, 40, 40], dtype=np.uint8)
_GREY = np.array([128, 128, 128], dtype=np.uint8)
_GAP_PX = 4


def contact_sheet(
    images: np.ndarray, masks: np.ndarray, numbers: Sequence[int], *, columns: int
) -> np.ndarray:
    """Lay out pairs of an image and the same image with its mask.

    Foreground is outlined in red, background darkened, ignored pixels are grey.

    Args:
        images: (I,H,W,C) uint8, C 1 or 3.
        masks: (I,H,W) uint8 in {0, 1, 255}.
        numbers: Which images.
        columns: Pairs a row.

    Returns:
        (H',W',3) uint8.
    """
    size = images.shape[1]
    rows = -(-len(numbers) // columns)
    step, pair = size + _GAP_PX, 2 * size + _GAP_PX
    sheet = np.full((rows * step, columns * pair, 3), 255, dtype=np.uint8)
    for position, number in enumerate(numbers):
        top, left = position // columns * step, position % columns * pair
        image = np.broadcast_to(images[number], (size, size, 3))
        sheet[top : top + size, left : left + size] = image
        sheet[top : top + size, left + size : left + 2 * size] = _overlay(image, masks[number])
    return sheet


def spread(numbers: Sequence[int] | np.ndarray, count: int) -> list[int]:
    """Return `count` of the numbers (or all), evenly spread."""
    count = min(count, len(numbers))
    return [int(numbers[i * len(numbers) // count]) for i in range(count)]


def _overlay(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    mask = labels == 1
    padded = np.pad(mask, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    shown = np.where(mask[..., None], image, image // 3)
    shown = np.where((labels == IGNORED)[..., None], _GREY, shown)
    return np.where((mask & ~inner)[..., None], _OUTLINE, shown).astype(np.uint8)
