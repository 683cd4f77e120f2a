"""Convolutions and blocks that the networks share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from segbench.errors import message
from segbench.sizes import size_problem

if TYPE_CHECKING:
    from segbench.axes.model.norms import NormFactory


class ConvNormReLU(nn.Sequential):
    """A convolution that keeps H and W at stride 1, normalisation, ReLU (`relu=False`: without).

    `bias=None` leaves the convolution's bias to the norm arm.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm: NormFactory,
        *,
        kernel: int = 3,
        stride: int = 1,
        relu: bool = True,
        bias: bool | None = None,
    ) -> None:
        super().__init__()
        bias = norm.conv_bias if bias is None else bias
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=bias)
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

    With `relu="before_sum"` the last ReLU stands inside: ReLU(norm(conv(...))) + shortcut(x). The shortcut is
    the identity, or a 1x1 convolution with normalisation where width or stride change.

    Reference:
        He et al., 2016, arXiv:1512.03385, figure 5 (left) with shortcuts of option B.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm: NormFactory,
        *,
        stride: int = 1,
        relu: str = "after_sum",
        shortcut_norm: NormFactory | None = None,
        shortcut_bias: bool | None = None,
    ) -> None:
        """Build the block.

        Args:
            in_channels: Channels of the input.
            out_channels: Channels of the output.
            norm: Builds the normalisation of the two convolutions.
            stride: Stride of the first convolution and of the shortcut.
            relu: `after_sum` or `before_sum`.
            shortcut_norm: Builds the shortcut's normalisation; None: `norm` does.
            shortcut_bias: Whether the shortcut's convolution has a bias; None: as its norm arm says.
        """
        super().__init__()
        is_after = relu == "after_sum"
        self.first = ConvNormReLU(in_channels, out_channels, norm, stride=stride)
        self.second = ConvNormReLU(out_channels, out_channels, norm, relu=not is_after)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = ConvNormReLU(
                in_channels,
                out_channels,
                shortcut_norm or norm,
                kernel=1,
                stride=stride,
                relu=False,
                bias=shortcut_bias,
            )
        self.relu = nn.ReLU() if is_after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.second(self.first(x)) + self.shortcut(x))


def dropout_2d(p: float) -> nn.Module:
    """Return a layer that drops whole channels; for p = 0 one that draws no random numbers."""
    return nn.Dropout2d(p) if p > 0 else nn.Identity()


def check_size(images: Tensor, multiple: int, least: int = 1) -> None:
    """Refuse images (N, C, H, W) whose H or W is no multiple of `multiple`, or below `least`.

    Raises:
        ValueError: Names the nearest sizes, or the smallest.
    """
    for side in images.shape[-2:]:
        problem = size_problem("images", side, multiple)
        if problem is None and side < least:
            problem = message("images", f"the model takes sizes from {least}", got=side)
        if problem:
            raise ValueError(problem)
