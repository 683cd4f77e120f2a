"""Mixing the images of a training batch with each other, after each was augmented by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from segbench.registry import marker

if TYPE_CHECKING:
    from torch import Tensor

Mixing: TypeAlias = "Callable[[Tensor, Tensor, Tensor | None, int], tuple[Tensor, Tensor, Tensor | None]]"
"""`(images, target, valid, seed) -> (images, target, valid)` of the same sizes, types and device.

images (N,C,H,W) scaled; target (N,1,H,W) in {0, 1}, afterwards in [0, 1]; valid (N,1,H,W) bool, True where
the pixel counts, or None where all do, which stays None; where it does not count, target is 0. What is done
to an image is done to its target, and a mixed pixel counts only where every pixel that went into it does. The
draws depend on the seed alone, not on the device. The tensors given are not written to, and a batch of one
image comes back as it is.
"""

variant = marker("mix")
