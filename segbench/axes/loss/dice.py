"""Soft Dice loss."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Gt
from torch import Tensor, nn

from segbench.axes.loss import variant
from segbench.axes.loss.overlap import soft_counts


@variant(absent={"smooth_in": "both"})
def dice(
    *,
    per_image: bool = False,
    smooth: Annotated[float, Gt(0)] = 1e-6,
    smooth_in: Literal["both", "denominator"] = "both",
) -> nn.Module:
    """Soft Dice loss of logits: 1 - (2 TP + smooth) / (2 TP + FP + FN + smooth).

    TP = sum(p * t), FP = sum(p * (1 - t)), FN = sum((1 - p) * t) with p = sigmoid(logits), in float32; the
    denominator is sum(p) + sum(t) + smooth. Takes logits. It is differentiable everywhere, also where masks
    are empty; then it pushes all probabilities down, and the smaller `smooth`, the harder.

    Empty masks: sum(p) / (sum(p) + smooth), which is 0 for an empty prediction; with `smooth_in: denominator`
    1 whatever is predicted, without a gradient.

    A soft target counts in parts, so that p = t costs something then. Ignored pixels are in no sum; an image
    without a valid pixel is an empty prediction on an empty mask.

    Shapes: logits (N, 1, H, W), target (N, 1, H, W) in [0, 1] to ().

    Args:
        per_image: False: the sums run over all pixels of the batch, so large objects weigh more and the value
            depends on the batch size. True: one ratio an image, then the mean over images.
        smooth: Added above and below, so that an empty prediction on an empty mask costs nothing.
        smooth_in: both: `smooth` is added above and below. denominator: below only, against 0 / 0.

    Reference:
        Milletari et al., 2016, arXiv:1606.04797, with p and t in the denominator instead of their squares.
    """
    return Dice(per_image, smooth, smooth_in)


class Dice(nn.Module):
    """The loss that `dice` describes."""

    def __init__(self, per_image: bool, smooth: float, smooth_in: str) -> None:
        super().__init__()
        self.is_mean_over_images = per_image
        self.smooth = smooth
        self.smooth_in = smooth_in

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        tp, fp, fn = soft_counts(logits, target, valid, per_image=self.is_mean_over_images)
        # The complement of the ratio, not 1 - ratio, which would lose the digits of small losses.
        errors = fp + fn if self.smooth_in == "both" else fp + fn + self.smooth
        return (errors / (2 * tp + fp + fn + self.smooth)).mean()
