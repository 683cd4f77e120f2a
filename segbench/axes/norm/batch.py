"""Batch normalisation."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt, Interval
from torch import nn

from segbench.axes.norm import variant


@variant
def batch(
    channels: int,
    *,
    momentum: Annotated[float, Interval(gt=0, le=1)] = 0.1,
    eps: Annotated[float, Gt(0)] = 1e-5,
) -> nn.Module:
    """Normalise each channel with the statistics of the batch.

    y = gamma * (x - mean) / sqrt(var + eps) + beta, with mean and (biased) variance over N, H and W in
    training and their running averages in evaluation; gamma and beta per channel, starting at 1 and 0.

    Args:
        channels: Feature channels C of the (N, C, H, W) input.
        momentum: Weight of the newest batch in the running averages.
        eps: Added to the variance.

    Reference:
        Ioffe & Szegedy, 2015, arXiv:1502.03167.
    """
    return nn.BatchNorm2d(channels, momentum=momentum, eps=eps)
