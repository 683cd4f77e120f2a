"""Instance normalisation."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt
from torch import nn

from segbench.axes.norm import variant


@variant
def instance(channels: int, *, affine: bool = True, eps: Annotated[float, Gt(0)] = 1e-5) -> nn.Module:
    """Normalise each channel of each image by itself.

    y = gamma * (x - mean) / sqrt(var + eps) + beta, with mean and (biased) variance over H and W, in training
    and in evaluation alike; gamma and beta per channel, starting at 1 and 0. Maps of 1x1 have no variance and
    are refused in training.

    Args:
        channels: Feature channels C of the (N, C, H, W) input.
        affine: Whether gamma and beta exist.
        eps: Added to the variance.

    Reference:
        Ulyanov et al., 2016, arXiv:1607.08022.
    """
    return nn.InstanceNorm2d(channels, affine=affine, eps=eps)
