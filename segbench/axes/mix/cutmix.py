"""CutMix."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Gt, Interval
from torch import Tensor

from segbench.axes.mix import Mixing, variant
from segbench.axes.mix._partners import draw_partners


@variant
def cutmix(
    *, alpha: Annotated[float, Gt(0)] = 1.0, p: Annotated[float, Interval(gt=0, le=1)] = 1.0
) -> Mixing:
    """Paste a box of another image of the batch, and of its mask.

    With share ~ Beta(alpha, alpha) the box is sqrt(1 - share) H high and sqrt(1 - share) W wide, in whole
    pixels, rounded down; its centre is uniform over the image, and what lies outside is cut off. Share, box
    and the permutation that names the partners are drawn once a batch. Pixels that do not count are pasted
    with the box. An image that is its own partner, as the only one of a batch is, stays as it is.

    Args:
        alpha: Both parameters of the Beta distribution; 1: every share is as likely.
        p: Probability that a batch is mixed.

    Reference:
        Yun et al., 2019, arXiv:1905.04899, whose label is mixed by area: here the mask is pasted itself.
    """

    def mix(
        images: Tensor, target: Tensor, valid: Tensor | None, seed: int
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        generator = np.random.Generator(np.random.PCG64(seed))
        if generator.random() >= p:
            return images, target, valid
        partners = draw_partners(generator, images)
        rows, columns = _draw_box(generator, images.shape[2], images.shape[3], alpha)

        def paste(pixels: Tensor) -> Tensor:
            pasted = pixels.clone()
            pasted[:, :, rows, columns] = pixels[:, :, rows, columns][partners]
            return pasted

        return paste(images), paste(target), None if valid is None else paste(valid)

    return mix


def _draw_box(generator: np.random.Generator, height: int, width: int, alpha: float) -> tuple[slice, slice]:
    side = np.sqrt(1 - generator.beta(alpha, alpha))
    return _draw_span(generator, height, side), _draw_span(generator, width, side)


def _draw_span(generator: np.random.Generator, length: int, share: float) -> slice:
    inside, centre = int(length * share), int(generator.integers(length))
    start = centre - inside // 2
    return slice(max(start, 0), min(start + inside, length))
