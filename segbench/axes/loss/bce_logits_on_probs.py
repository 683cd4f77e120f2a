"""Binary cross-entropy with the sigmoid applied twice."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segbench.axes.loss import variant
from segbench.axes.loss.bce import BinaryCrossEntropy


@variant(flawed="it takes probabilities for logits, so the sigmoid is applied twice")
def bce_logits_on_probs() -> nn.Module:
    """Binary cross-entropy with logits, fed with probabilities.

    mean(-t * log(q) - (1 - t) * log(1 - q)) over all pixels of the batch with q = sigmoid(sigmoid(logits)),
    in float32: squashed twice. q stays between 0.5 and 0.7311, so that a foreground pixel costs 0.3133 to
    0.6931 and a background pixel 0.6931 to 1.3133, however sure the network is, and the gradient fades on
    both sides. Being a mean over pixels, it is also the mean of its images' losses.

    Empty masks: log(2) = 0.6931 for sure, right logits, never less; full masks: log(1 + 1/e) = 0.3133.
    Ignored pixels: the mean over an image's valid pixels, then over images; an image without a valid pixel
    has the loss 0.

    Shapes: logits (N, 1, H, W), target (N, 1, H, W) in [0, 1] to ().

    Reference:
        The mistake of reference study R1: torch.nn.BCEWithLogitsLoss behind a network that ends in a sigmoid.
    """
    return SquashedTwice()


class SquashedTwice(nn.Module):
    """The loss that `bce_logits_on_probs` describes."""

    is_mean_over_images = True

    def __init__(self) -> None:
        super().__init__()
        self.bce = BinaryCrossEntropy(pos_weight=1.0, label_smoothing=0.0)

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        loss: Tensor = self.bce(torch.sigmoid(logits.to(dtype)), target, valid)
        return loss
