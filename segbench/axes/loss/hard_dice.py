"""Dice loss of the thresholded prediction."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segbench.axes.loss import variant


@variant(flawed="its threshold lets no gradient through, so nothing learns from it")
def hard_dice() -> nn.Module:
    """Dice loss of the mask at threshold 0.5, mean over images.

    1 - 2 TP / (2 TP + FP + FN). TP, FP and FN count the pixels of an image by logits > 0 against target >
    0.5. It is 1 - the metric `dice`, and a constant for the optimiser: beside `bce` it shifts the curve of
    the loss and trains bit-identically to `bce` alone; by itself it cannot be trained on.

    Empty masks: 0 for an empty prediction, else 1. Ignored pixels are in no count; an image without a valid
    pixel is an empty prediction on an empty mask. A soft target is thresholded at 0.5.

    Shapes: logits (N, 1, H, W), target (N, 1, H, W) in [0, 1] to ().

    Reference:
        The mistake of reference study R3: 1 - the metric as a loss.
    """
    return HardDice()


class HardDice(nn.Module):
    """The loss that `hard_dice` describes."""

    is_mean_over_images = True

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        predicted, truth = logits > 0, target > 0.5
        if valid is not None:
            predicted, truth = predicted & valid, truth & valid
        dims = tuple(range(1, logits.ndim))
        num_errors = (predicted ^ truth).sum(dims)
        num_all = predicted.sum(dims) + truth.sum(dims)
        return (num_errors.to(torch.float32) / num_all.clamp(min=1)).mean()
