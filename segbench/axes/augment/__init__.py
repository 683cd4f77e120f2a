"""Augmentation: image and mask changed together, drawn from a seed."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from segbench.axes.augment._albumentations import resolve_steps
from segbench.registry import marker

Augmentation: TypeAlias = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]
"""`(image (H,W,3) uint8, mask (H,W) uint8 in {0, 1, 255}, seed) -> (image, mask)`, same sizes and types.

Pixels of 255 are ignored ones. The draws depend on the seed alone. The arrays given are not written to;
those returned may be views of them.

One that has `steps`, transforms as `resolve_steps` returns them that do the same, can be given to whole
batches as well (`augment_backend: device`).
"""

variant = marker("augment")

__all__ = ["Augmentation", "resolve_steps", "variant"]
