"""Fixed pictures that guards show to networks, losses and augmentations, the same everywhere. No torch."""

from __future__ import annotations

import numpy as np

_OBJECTS = ((0.36, 0.62, 0.17, 0.25), (0.68, 0.34, 0.22, 0.12), (0.42, 0.33, 0.14, 0.2))
"""Centre row and column, half height and half width, in sides: nothing about them is symmetric."""

_DARK, _BRIGHT = 60.0, 190.0


def draw(size_px: int, channels: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw an object with a satellite on uneven ground; every third picture has no object.

    Returns:
        Image (H,W,C) uint8 and mask (H,W) uint8 in {0, 1}.
    """
    rows, columns = np.mgrid[:size_px, :size_px] / size_px
    mask = np.zeros((size_px, size_px), np.uint8) if number % 3 == 2 else _object(rows, columns, number)
    ground = _DARK + 25 * np.sin(7 * rows + number) * np.cos(5 * columns) + 30 * columns
    texture = 12 * np.sin(40 * rows + 3 * number) * np.sin(37 * columns)
    planes = [
        ground + (0.6 + 0.2 * c) * 90 * mask + (1 + c % 3) * texture / 2 + 9 * c for c in range(channels)
    ]
    return np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8), mask


def draw_mask_as_image(size_px: int, channels: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw an object and an image that shows its mask: bright where the object is, dark elsewhere."""
    rows, columns = np.mgrid[:size_px, :size_px] / size_px
    mask = _object(rows, columns, number)
    plane = np.where(mask == 1, _BRIGHT, _DARK).astype(np.uint8)
    return np.repeat(plane[..., None], channels, axis=-1), mask


def _object(rows: np.ndarray, columns: np.ndarray, number: int) -> np.ndarray:
    row, column, height, width = _OBJECTS[number % len(_OBJECTS)]
    body = ((rows - row) / height) ** 2 + ((columns - column) / width) ** 2 <= 1
    satellite = (rows - row - 1.2 * height) ** 2 + (columns - column + 0.9 * width) ** 2 <= 0.06**2
    return (body | satellite).astype(np.uint8)
