"""Parts that the networks share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from segbench.sizes import size_problem

if TYPE_CHECKING:
    from segbench.axes.model.norms import NormFactory


class ConvNormReLU(nn.Sequential):
    """A convolution that keeps H and W at stride 1, normalisation, ReLU (`relu=False`: without)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm: NormFactory,
        *,
        kernel: int = 3,
        stride: int = 1,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=norm.conv_bias
        )
        self.norm = norm(out_channels)
        if relu:
            # Not in place: a user's norm may need its own output in the backward pass.
            self.relu = nn.ReLU()


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each with normalisation and ReLU: (N, in, H, W) to (N, out, H, W)."""

    def __init__(
        self, in_channels: int, out_channels: int, norm: NormFactory, mid_channels: int | None = None
    ) -> None:
        super().__init__()
        mid_channels = mid_channels or out_channels
        self.first = ConvNormReLU(in_channels, mid_channels, norm)
        self.second = ConvNormReLU(mid_channels, out_channels, norm)


class BasicBlock(nn.Module):
    """A residual block: ReLU(norm(conv(ReLU(norm(conv(x))))) + shortcut(x)).

    The shortcut is the identity, or a 1x1 convolution with normalisation where width or stride change.

    Reference:
        He et al., 2016, arXiv:1512.03385, figure 5 (left) with shortcuts of option B.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: NormFactory, *, stride: int = 1) -> None:
        super().__init__()
        self.first = ConvNormReLU(in_channels, out_channels, norm, stride=stride)
        self.second = ConvNormReLU(out_channels, out_channels, norm, relu=False)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = ConvNormReLU(in_channels, out_channels, norm, kernel=1, stride=stride, relu=False)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.second(self.first(x)) + self.shortcut(x))


class UpTransposed(nn.Module):
    """Double H and W with a 2x2 transposed convolution of stride 2, append to the skip, then a double
    convolution.

    Shapes: (N, in, H, W) and skip (N, skip, 2H, 2W) to (N, out, 2H, 2W). The transposed convolution has a
    bias and `out` channels; the skip's channels come first.
    """

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int, norm: NormFactory) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)
        self.conv = DoubleConv(skip_channels + out_channels, out_channels, norm)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.conv(torch.cat([skip, self.up(x)], dim=1))


class UpBilinear(nn.Module):
    """Double H and W bilinearly (corners aligned), append to the skip, then a double convolution.

    Shapes: (N, in, H, W) and skip (N, skip, 2H, 2W) to (N, out, 2H, 2W). The first convolution has half as
    many outputs as inputs; the skip's channels come first.
    """

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int, norm: NormFactory) -> None:
        super().__init__()
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        joined = skip_channels + in_channels
        self.conv = DoubleConv(joined, out_channels, norm, mid_channels=joined // 2)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.conv(torch.cat([skip, self.up(x)], dim=1))


def check_size(images: Tensor, multiple: int) -> None:
    """Refuse images (N, C, H, W) whose H or W is no multiple of `multiple`.

    Raises:
        ValueError: Names the nearest sizes.
    """
    for side in images.shape[-2:]:
        problem = size_problem("images", side, multiple)
        if problem:
            raise ValueError(problem)
