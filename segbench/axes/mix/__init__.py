"""Mixing the images of a training batch with each other, after each was augmented by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from segbench.registry import marker

if TYPE_CHECKING:
    from torch import Tensor

Mixing: TypeAlias = "Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]"
"""`(images (N,C,H,W) scaled, target (N,1,H,W) in [0, 1], seed) -> (images, target)` of the same sizes.

The draws depend on the seed alone, not on the device. The tensors given are not written to.
"""

variant = marker("mix")
