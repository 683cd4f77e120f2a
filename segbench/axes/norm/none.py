"""No normalisation."""

from __future__ import annotations

from torch import nn

from segbench.axes.norm import variant


@variant
def none(channels: int, *, conv_bias: bool = False) -> nn.Module:
    """Leave features as they are: y = x, without parameters.

    Args:
        channels: Feature channels C of the (N, C, H, W) input.
        conv_bias: Whether the convolutions before the layer get the bias that a normalisation would have
            brought. False changes nothing but the normalisation itself.
    """
    return nn.Identity()
