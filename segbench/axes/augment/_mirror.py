"""Mirroring pixels by a draw."""

from __future__ import annotations

import random

import numpy as np


def mirrored(
    draw: random.Random, horizontal: float, vertical: float, *arrays: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Return views of (H,W,...) arrays, mirrored together left-right and upside down at these odds."""
    if draw.random() < horizontal:
        arrays = tuple(array[:, ::-1] for array in arrays)
    if draw.random() < vertical:
        arrays = tuple(array[::-1] for array in arrays)
    return arrays
