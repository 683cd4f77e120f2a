"""Stages of a decoder: up-sampling, a skip, a double convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from segbench.axes.model.blocks import DoubleConv
from segbench.axes.model.skips import AttentionGate, Join

if TYPE_CHECKING:
    from segbench.axes.model.norms import NormFactory


class _UpThenConcat(nn.Module):
    """Double H and W, join the skip, convolve; subclasses make `up` and `conv`."""

    up: nn.Module
    conv: nn.Module

    def __init__(self, concat: str, fit: str, gate: AttentionGate | None) -> None:
        super().__init__()
        self.join = Join(concat=concat, fit=fit)
        self.gate = gate

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        if self.gate is not None:
            skip = self.gate(skip, x)
        return self.conv(self.join(self.up(x), skip))


class UpTransposed(_UpThenConcat):
    """Double H and W with a 2x2 transposed convolution of stride 2, append to the skip, then a double
    convolution.

    Shapes: (N, in, H, W) and skip (N, skip, 2H, 2W) to (N, out, 2H, 2W). The transposed convolution has a
    bias and `out` channels; `Join` says what `concat` and `fit` do. A gate weights the skip before.
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        norm: NormFactory,
        *,
        concat: str = "skip_first",
        fit: str = "refuse",
        gate: AttentionGate | None = None,
    ) -> None:
        super().__init__(concat, fit, gate)
        self.up = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)
        self.conv = DoubleConv(skip_channels + out_channels, out_channels, norm)


class UpBilinear(_UpThenConcat):
    """Double H and W bilinearly (corners aligned), append to the skip, then a double convolution.

    Shapes: (N, in, H, W) and skip (N, skip, 2H, 2W) to (N, out, 2H, 2W). The first convolution has
    `mid_channels` outputs, by default half as many as inputs; `Join` says what `concat` and `fit` do. A gate
    weights the skip before.
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        norm: NormFactory,
        *,
        mid_channels: int | None = None,
        concat: str = "skip_first",
        fit: str = "refuse",
        gate: AttentionGate | None = None,
    ) -> None:
        super().__init__(concat, fit, gate)
        joined = skip_channels + in_channels
        self.up = bilinear_x2()
        self.conv = DoubleConv(joined, out_channels, norm, mid_channels=mid_channels or joined // 2)


class ConcatThenUp(nn.Module):
    """Append to a skip of the same size, double H and W, then a double convolution.

    Shapes: (N, in, H, W) and skip (N, skip, H, W) to (N, out, 2H, 2W). `up` is a 2x2 transposed convolution
    of stride 2 with bias to `out` channels, or bilinear; `Join` says what `concat` and `fit` do.
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        norm: NormFactory,
        *,
        up: str = "transposed",
        concat: str = "skip_first",
        fit: str = "refuse",
    ) -> None:
        super().__init__()
        joined = skip_channels + in_channels
        self.join = Join(concat=concat, fit=fit)
        is_transposed = up == "transposed"
        self.up = nn.ConvTranspose2d(joined, out_channels, 2, stride=2) if is_transposed else bilinear_x2()
        self.conv = DoubleConv(out_channels if is_transposed else joined, out_channels, norm)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.conv(self.up(self.join(x, skip)))


def bilinear_x2() -> nn.Upsample:
    """Return the layer that doubles H and W bilinearly, corners aligned."""
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
