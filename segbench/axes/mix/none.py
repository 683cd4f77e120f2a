"""No mixing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.axes.mix import Mixing, variant

if TYPE_CHECKING:
    from torch import Tensor


@variant
def none() -> Mixing:
    """Train on every image by itself."""
    return _unmixed


def _unmixed(
    images: Tensor, target: Tensor, valid: Tensor | None, seed: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    return images, target, valid
