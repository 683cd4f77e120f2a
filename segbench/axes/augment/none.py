"""No augmentation."""

from __future__ import annotations

import numpy as np

from segbench.axes.augment import Augmentation, variant


@variant
def none() -> Augmentation:
    """Show every image as it is."""
    return _unchanged


def _unchanged(image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return image, mask
