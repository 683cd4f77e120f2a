"""Binary cross-entropy."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn
from torch.nn import functional

from segbench.axes.loss import variant


@variant
def bce(*, pos_weight: Annotated[float, Gt(0)] = 1.0) -> nn.Module:
    """Binary cross-entropy of logits, mean over all pixels of the batch.

    mean(-pos_weight * t * log(p) - (1 - t) * log(1 - p)) with p = sigmoid(logits), computed from the logits
    in float32 without forming p. Takes logits: on probabilities it would squash twice. Being a mean over
    pixels, it is also the mean of its images' losses.

    Shapes: logits (N, 1, H, W), target (N, 1, H, W) in [0, 1] to ().

    Args:
        pos_weight: Weight of the foreground's pixels; 1 weighs all alike.
    """
    return BinaryCrossEntropy(pos_weight)


class BinaryCrossEntropy(nn.Module):
    """The loss that `bce` describes."""

    is_mean_over_images = True

    def __init__(self, pos_weight: float) -> None:
        super().__init__()
        # None where it changes nothing: PyTorch then takes a shorter path.
        weight = None if pos_weight == 1 else torch.tensor(pos_weight)
        self.register_buffer("pos_weight", weight, persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        return functional.binary_cross_entropy_with_logits(
            logits.to(dtype), target.to(dtype), pos_weight=self.pos_weight
        )
