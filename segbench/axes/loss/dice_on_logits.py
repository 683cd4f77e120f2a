"""Soft Dice loss fed with logits."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn

from segbench.axes.loss import variant


@variant(flawed="it takes logits for probabilities, so neither its value nor its denominator has a bound")
def dice_on_logits(*, smooth: Annotated[float, Gt(0)] = 1e-8) -> nn.Module:
    """Soft Dice loss fed with logits in place of probabilities, over all pixels of the batch.

    1 - 2 sum(z * t) / (sum(z) + sum(t) + smooth) with z = logits, in float32. Where a network gives negative
    logits to the background, as it must, sum(z) is negative: the loss has no bound on either side, has a
    pole where the denominator is 0, and its minimum is no right mask. Being a ratio over the batch, it
    depends on the batch size.

    Empty masks: 1, whatever is predicted. Ignored pixels are in no sum.

    Shapes: logits (N, 1, H, W), target (N, 1, H, W) in [0, 1] to ().

    Args:
        smooth: Added below alone, as reference study R1 did.

    Reference:
        The mistake of reference study R1 where its network ends in logits: its Dice term takes what the
        network puts out.
    """
    return DiceOnLogits(smooth)


class DiceOnLogits(nn.Module):
    """The loss that `dice_on_logits` describes."""

    is_mean_over_images = False

    def __init__(self, smooth: float) -> None:
        super().__init__()
        self.smooth = smooth

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        logits, target = logits.to(dtype), target.to(dtype)
        if valid is not None:
            logits, target = logits.masked_fill(~valid, 0), target.masked_fill(~valid, 0)
        overlap = (logits * target).sum()
        return 1 - 2 * overlap / (logits.sum() + target.sum() + self.smooth)
