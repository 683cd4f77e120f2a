"""Soft Jaccard loss."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt
from torch import nn

from segbench.axes.loss import variant
from segbench.axes.loss.tversky import Tversky


@variant
def jaccard(*, per_image: bool = False, smooth: Annotated[float, Gt(0)] = 1e-6) -> nn.Module:
    """Soft Jaccard (IoU) loss of logits: 1 - (TP + smooth) / (TP + FP + FN + smooth).

    TP = sum(p * t), FP = sum(p * (1 - t)), FN = sum((1 - p) * t) with p = sigmoid(logits), in float32; the
    denominator is the soft union sum(p) + sum(t) - sum(p * t), plus smooth. Takes logits. With D the soft
    Dice loss at twice its `smooth` it is 2 D / (1 + D), so the two fall and rise together.

    Empty masks: sum(p) / (sum(p) + smooth), which is 0 for an empty prediction.

    A soft target counts in parts, so that p = t costs something then. Ignored pixels are in no sum; an image
    without a valid pixel is an empty prediction on an empty mask.

    Shapes: logits (N, 1, H, W), target (N, 1, H, W) in [0, 1] to ().

    Args:
        per_image: False: the sums run over all pixels of the batch, so large objects weigh more and the value
            depends on the batch size. True: one ratio an image, then the mean over images.
        smooth: Added above and below, so that an empty prediction on an empty mask costs nothing.

    Reference:
        Rahman & Wang, 2016, Optimizing Intersection-Over-Union in Deep Neural Networks for Image
        Segmentation, ISVC, which has no `smooth`.
    """
    return Tversky("jaccard", alpha=1.0, beta=1.0, per_image=per_image, smooth=smooth)
