"""From a decoder's last map to the image's size, without skips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segbench.axes.model.blocks import DoubleConv
from segbench.axes.model.decoder import bilinear_x2

if TYPE_CHECKING:
    from segbench.axes.model.norms import NormFactory


def make_doubling(
    kind: str, in_channels: int, out_channels: int, norm: NormFactory, *, bias: bool
) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Return what doubles H and W, the normalisation after it and the ReLU after that.

    Args:
        kind: `transposed` (a 2x2 transposed convolution of stride 2 alone), `transposed_norm` (the same,
            normalisation, ReLU) or `bilinear` (bilinear up-sampling with aligned corners, a double
            convolution).
        in_channels: Channels before.
        out_channels: Channels after.
        norm: Builds the normalisation layers.
        bias: Whether the transposed convolution has a bias.
    """
    if kind == "bilinear":
        up = nn.Sequential(bilinear_x2(), DoubleConv(in_channels, out_channels, norm))
        return up, nn.Identity(), nn.Identity()
    transposed = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2, bias=bias)
    if kind == "transposed":
        return transposed, nn.Identity(), nn.Identity()
    return transposed, norm(out_channels), nn.ReLU()
