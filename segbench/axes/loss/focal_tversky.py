"""Focal Tversky loss."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from segbench.axes.loss import variant
from segbench.axes.loss.tversky import Tversky


@variant
def focal_tversky(
    *,
    alpha: Annotated[float, Ge(0)] = 0.3,
    beta: Annotated[float, Ge(0)] = 0.7,
    gamma: Annotated[float, Ge(1)] = 1.3333333333333333,
    per_image: bool = False,
    smooth: Annotated[float, Gt(0)] = 1e-6,
) -> nn.Module:
    """Focal Tversky loss of logits: (1 - TI)^(1 / gamma) with the Tversky index TI.

    TI = (TP + smooth) / (TP + alpha FP + beta FN + smooth), TP = sum(p * t), FP = sum(p * (1 - t)), FN =
    sum((1 - p) * t) with p = sigmoid(logits), in float32. Takes logits. The exponent is the paper's, 1 /
    gamma: gamma above 1 raises small losses and steepens the last of the way to TI = 1. Code that raises to
    the power gamma has 0.75 where the paper, and this loss, have 4/3. With gamma = 1 it is the Tversky loss.

    Empty masks: (alpha sum(p) / (alpha sum(p) + smooth))^(1 / gamma), which is 0 for an empty prediction.
    Where 1 - TI is exactly 0 the slope of the power would be infinite; there the gradient is 0.

    A soft target counts in parts, so that p = t costs something then. Ignored pixels are in no sum; an image
    without a valid pixel is an empty prediction on an empty mask.

    Shapes: logits (N, 1, H, W), target (N, 1, H, W) in [0, 1] to ().

    Args:
        alpha: Weight of false positives.
        beta: Weight of false negatives; above alpha it favours recall.
        gamma: Inverse of the exponent; the paper tries 1 to 3 and settles on 4/3.
        per_image: False: the sums run over all pixels of the batch. True: one power an image, then the mean
            over images.
        smooth: Added above and below, so that an empty prediction on an empty mask costs nothing.

    Raises:
        ExperimentError: alpha and beta are both 0.

    Reference:
        Abraham & Khan, 2019, arXiv:1810.07842, whose alpha weighs false negatives; here as in `tversky` it
        weighs false positives.
    """
    return FocalTversky(alpha, beta, gamma, per_image, smooth)


class FocalTversky(Tversky):
    """The loss that `focal_tversky` describes."""

    def __init__(self, alpha: float, beta: float, gamma: float, per_image: bool, smooth: float) -> None:
        super().__init__("focal_tversky", alpha, beta, per_image, smooth)
        self.exponent = 1 / gamma

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        bases = self.complements(logits, target, valid)
        is_positive = bases > 0
        # The power sees 1 in place of 0: behind an infinite slope even an unused gradient would be NaN.
        powers = torch.where(is_positive, bases, 1) ** self.exponent
        return torch.where(is_positive, powers, 0).mean()
