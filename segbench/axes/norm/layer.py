"""Layer normalisation over channels."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt
from torch import Tensor, nn

from segbench.axes.norm import variant


@variant
def layer(channels: int, *, eps: Annotated[float, Gt(0)] = 1e-6) -> nn.Module:
    """Normalise over the channels at each pixel.

    y = gamma * (x - mean) / sqrt(var + eps) + beta, with mean and (biased) variance over C at each of the N *
    H * W positions; gamma and beta per channel, starting at 1 and 0. It is no group norm with one group,
    whose statistics also run over H and W.

    Args:
        channels: Feature channels C of the (N, C, H, W) input.
        eps: Added to the variance.

    Reference:
        Ba et al., 2016, arXiv:1607.06450, applied to images as in ConvNeXt (Liu et al., 2022,
        arXiv:2201.03545).
    """
    return ChannelLayerNorm(channels, eps=eps)


class ChannelLayerNorm(nn.LayerNorm):
    """`nn.LayerNorm` on (N, C, H, W) input, over C."""

    def forward(self, input: Tensor) -> Tensor:
        # Without a copy where the memory format is channels_last.
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
