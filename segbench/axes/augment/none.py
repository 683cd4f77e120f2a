"""No augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from segbench.axes.augment import Augmentation, variant


@variant
def none() -> Augmentation:
    """Show every image as it is."""
    return _Unchanged()


@dataclass(frozen=True)
class _Unchanged:
    steps: tuple[dict[str, Any], ...] = ()

    def __call__(self, image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        return image, mask
