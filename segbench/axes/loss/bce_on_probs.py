"""Binary cross-entropy of probabilities."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from segbench.axes.loss import variant
from segbench.axes.loss.pixels import mean_over_pixels


@variant
def bce_on_probs() -> nn.Module:
    """Binary cross-entropy of sigmoid(logits), mean over all pixels of the batch.

    mean(-t * log(p) - (1 - t) * log(1 - p)) with p = sigmoid(logits) formed in float32 and both logarithms
    clamped at -100. Takes logits, and squashes them once: it is the right wiring of a network that ends in a
    sigmoid and is trained with `torch.nn.BCELoss`. Being a mean over pixels, it is also the mean of its
    images' losses.

    In exact arithmetic it is `bce`; it differs where p saturates. Above logits of about 17 float32 knows
    only p = 1: a background pixel there costs 100 and has no gradient, so it is never put right, while `bce`
    gives it the gradient 1. Below about -28 (p < 1e-12) the gradient of a foreground pixel fades as
    p / 1e-12. A pixel costs 100 at most.

    Empty and full masks are like any others: 0 in the limit of sure, right logits, log(2) at logits of 0.
    Ignored pixels: the mean over an image's valid pixels, then over images; an image without a valid pixel
    has the loss 0.

    Shapes: logits (N, 1, H, W), target (N, 1, H, W) in [0, 1] to ().

    Reference:
        torch.nn.BCELoss, for the clamp and the gradient where p saturates.
    """
    return BinaryCrossEntropyOnProbabilities()


class BinaryCrossEntropyOnProbabilities(nn.Module):
    """The loss that `bce_on_probs` describes."""

    is_mean_over_images = True

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        # PyTorch refuses this function under autocast, for it would see half-precision probabilities.
        with torch.autocast(logits.device.type, enabled=False):
            losses = functional.binary_cross_entropy(
                torch.sigmoid(logits.to(dtype)), target.to(dtype), reduction="none"
            )
        return mean_over_pixels(losses, valid)
