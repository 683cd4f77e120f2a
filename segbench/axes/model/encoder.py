"""The residual encoder and what follows its deepest stage."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

from segbench.axes.model.blocks import BasicBlock, ConvNormReLU, DoubleConv

if TYPE_CHECKING:
    from segbench.axes.model.norms import NormFactory


def residual_stages(
    widths: list[int],
    blocks: list[int],
    norm: NormFactory,
    *,
    relu: str,
    stride_on: str,
    shortcut_norm: NormFactory,
    shortcut_bias: bool | None,
) -> nn.ModuleList:
    """Return stages of basic blocks; every stage but the first halves H and W.

    Args:
        widths: Channels of each stage; the first has as many inputs.
        blocks: Basic blocks in each stage.
        norm: Builds the normalisation of the blocks' two convolutions.
        relu: `after_sum` or `before_sum`.
        stride_on: `first_block`, or `every_block`: each block of a stage halves H and W once more.
        shortcut_norm: Builds the shortcuts' normalisation.
        shortcut_bias: Whether shortcuts that are convolutions have a bias; None: as their norm arm says.
    """
    stages = nn.ModuleList()
    for number, ((before, width), count) in enumerate(
        zip(pairwise([widths[0], *widths]), blocks, strict=True)
    ):
        strides = [
            2 if number > 0 and (block == 0 or stride_on == "every_block") else 1 for block in range(count)
        ]
        stages.append(
            nn.Sequential(
                *(
                    BasicBlock(
                        before if block == 0 else width,
                        width,
                        norm,
                        stride=stride,
                        relu=relu,
                        shortcut_norm=shortcut_norm,
                        shortcut_bias=shortcut_bias,
                    )
                    for block, stride in enumerate(strides)
                )
            )
        )
    return stages


def make_bottleneck(
    kind: str, channels: int, norm: NormFactory, *, relu: str, shortcut_bias: bool | None
) -> tuple[nn.Module, int]:
    """Return what stands between encoder and decoder, and how many channels leave it.

    Args:
        kind: `double_conv` (C to C), `conv` (one 3x3 convolution with bias, C to C/2), `residual` (one block
            of stride 2, C to 2C) or `none`.
        channels: Channels C of the deepest stage.
        norm: Builds the normalisation layers.
        relu: Where a residual block has its last ReLU.
        shortcut_bias: Whether a residual block's shortcut has a bias; None: as its norm arm says.
    """
    if kind == "double_conv":
        return DoubleConv(channels, channels, norm), channels
    if kind == "conv":
        half = max(channels // 2, 1)
        return ConvNormReLU(channels, half, norm, bias=True), half
    if kind == "residual":
        block = BasicBlock(channels, 2 * channels, norm, stride=2, relu=relu, shortcut_bias=shortcut_bias)
        return block, 2 * channels
    return nn.Identity(), channels
