"""Binary cross-entropy."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Gt, Interval
from torch import Tensor, nn
from torch.nn import functional

from segbench.axes.loss import variant
from segbench.axes.loss.pixels import mean_over_pixels


@variant(absent={"label_smoothing": 0.0})
def bce(
    *,
    pos_weight: Annotated[float, Gt(0)] = 1.0,
    label_smoothing: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
) -> nn.Module:
    """Binary cross-entropy of logits, mean over all pixels of the batch.

    mean(-pos_weight * t * log(p) - (1 - t) * log(1 - p)) with p = sigmoid(logits), computed from the logits
    in float32 without forming p. Takes logits: on probabilities it would squash twice. Being a mean over
    pixels, it is also the mean of its images' losses.

    Empty and full masks are like any others: the value is 0 in the limit of sure, right logits, log(2) at
    logits of 0, and rises linearly with a wrong logit. Ignored pixels: the mean over an image's valid pixels,
    then over images; an image without a valid pixel has the loss 0.

    Shapes: logits (N, 1, H, W), target (N, 1, H, W) in [0, 1] to ().

    Args:
        pos_weight: Weight of the foreground's pixels; 1 weighs all alike.
        label_smoothing: Share s of the target that is spread over both classes: t (1 - s) + s / 2. The least
            value is then the entropy of s / 2, no longer 0.

    Reference:
        Szegedy et al., 2016, arXiv:1512.00567, section 7, for the smoothing, with two classes.
    """
    return BinaryCrossEntropy(pos_weight, label_smoothing)


class BinaryCrossEntropy(nn.Module):
    """The loss that `bce` describes."""

    is_mean_over_images = True
    pos_weight: Tensor | None

    def __init__(self, pos_weight: float, label_smoothing: float) -> None:
        super().__init__()
        # None where it changes nothing: PyTorch then takes a shorter path.
        weight = None if pos_weight == 1 else torch.tensor(pos_weight)
        self.register_buffer("pos_weight", weight, persistent=False)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        logits, target = logits.to(dtype), target.to(dtype)
        if self.label_smoothing:
            target = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        if valid is None:  # reduced inside, which rounds gradients otherwise than a mean outside
            return functional.binary_cross_entropy_with_logits(logits, target, pos_weight=self.pos_weight)
        losses = functional.binary_cross_entropy_with_logits(
            logits, target, pos_weight=self.pos_weight, reduction="none"
        )
        return mean_over_pixels(losses, valid)
