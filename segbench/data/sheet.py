"""Contact sheets: what a data set looks like as it is cached."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segbench.samples import IGNORED

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
