"""MixUp."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Gt, Interval
from torch import Tensor

from segbench.axes.mix import Mixing, variant
from segbench.axes.mix._partners import draw_partners


@variant
def mixup(*, alpha: Annotated[float, Gt(0)] = 0.2, p: Annotated[float, Interval(gt=0, le=1)] = 1.0) -> Mixing:
    """Blend every image of the batch, and its mask, with another one.

    mixed = share * own + (1 - share) * partner's, share ~ Beta(alpha, alpha). The masks become soft: target
    is in [0, 1], and the loss sees it so. Share and the permutation that names the partners are drawn once a
    batch. A pixel counts where it counts in both images, and its target is 0 where it does not. An image that
    is its own partner, as the only one of a batch is, stays as it is.

    Args:
        alpha: Both parameters of the Beta distribution; small: mostly one of the two images; 1: every share
            is as likely.
        p: Probability that a batch is mixed.

    Reference:
        Zhang et al., 2018, arXiv:1710.09412, with masks for labels.
    """

    def mix(
        images: Tensor, target: Tensor, valid: Tensor | None, seed: int
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        generator = np.random.Generator(np.random.PCG64(seed))
        if len(images) == 1 or generator.random() >= p:
            return images, target, valid
        partners = draw_partners(generator, images)
        share = float(generator.beta(alpha, alpha))

        def blend(pixels: Tensor) -> Tensor:
            return pixels.mul(share).add_(pixels[partners], alpha=1 - share)

        mixed = blend(target).clamp_(0, 1)  # share and 1 - share may add up to more than 1 by a rounding
        if valid is None:
            return blend(images), mixed, None
        counted = valid & valid[partners]
        return blend(images), mixed.mul_(counted), counted

    return mix
