"""Focal loss."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Interval
from torch import Tensor, nn
from torch.nn import functional

from segbench.axes.loss import variant
from segbench.axes.loss.pixels import mean_over_pixels


@variant
def focal(
    *,
    gamma: Annotated[float, Ge(0)] = 2.0,
    alpha: Annotated[float, Interval(gt=0, lt=1)] | None = None,
) -> nn.Module:
    """Focal loss of logits: cross-entropy that all but leaves out pixels that are right.

    mean(-alpha * t * (1 - p)^gamma * log(p) - (1 - alpha) * (1 - t) * p^gamma * log(1 - p)) over all pixels
    of the batch, p = sigmoid(logits), computed from the logits in float32; without alpha both factors are 1.
    Takes logits. With gamma = 0 and without alpha it is `bce`. A soft target mixes the losses of both
    classes, as in `bce`. Being a mean over pixels, it is also the mean of its images' losses.

    Empty and full masks are like any others: 0 in the limit of sure, right logits. Ignored pixels: the mean
    over an image's valid pixels, then over images; an image without a valid pixel has the loss 0.

    Shapes: logits (N, 1, H, W), target (N, 1, H, W) in [0, 1] to ().

    Args:
        gamma: How strongly right pixels are left out; 0: not at all.
        alpha: Weight of the foreground, 1 - alpha that of the background; null: 1 each. The paper's detector
            has 0.25.

    Reference:
        Lin et al., 2017, arXiv:1708.02002, equation 5, divided by the number of pixels instead of objects.
    """
    return Focal(gamma, alpha)


class Focal(nn.Module):
    """The loss that `focal` describes."""

    is_mean_over_images = True

    def __init__(self, gamma: float, alpha: float | None) -> None:
        super().__init__()
        self.gamma = gamma
        self.weights = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        logits, target = logits.to(dtype), target.to(dtype)
        log_p, log_not_p = functional.logsigmoid(logits), functional.logsigmoid(-logits)
        foreground, background = self.weights
        # Powers of probabilities as exponentials of logarithms: neither 0^gamma nor its slope is formed.
        losses = -foreground * target * torch.exp(self.gamma * log_not_p) * log_p
        losses = losses - background * (1 - target) * torch.exp(self.gamma * log_p) * log_not_p
        return mean_over_pixels(losses, valid)
