"""U-Net with a ResNet34 encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, MinLen
from torch import Tensor, nn

from segbench.axes.model import variant
from segbench.axes.model.blocks import BasicBlock, ConvNormReLU, DoubleConv, UpTransposed, check_size

if TYPE_CHECKING:
    from segbench.axes.model.norms import NormFactory


@variant(size_multiple="2 ** (1 + len(blocks))")
def resnet34_unet(
    in_channels: int,
    out_channels: int,
    norm: NormFactory,
    *,
    width: Annotated[int, Ge(1)] = 64,
    # A mutable default is safe: a knob's default is a literal of its type, and nothing writes to it.
    blocks: Annotated[list[Annotated[int, Ge(1)]], MinLen(1)] = [3, 4, 6, 3],  # noqa: B006
) -> nn.Module:
    """ResNet34-U-Net: a residual encoder, a double convolution as bottleneck, a U-Net decoder.

    Stem: 7x7 convolution of stride 2, normalisation, ReLU, 3x3 max-pooling of stride 2. Stage k (from 0) has
    `blocks[k]` basic blocks of width * 2^k channels, the first of stride 2 except in stage 0. The decoder's
    skips are the stages above the deepest one and the stem before pooling. The end: a 2x2 transposed
    convolution of stride 2 with bias, normalisation, ReLU, a 1x1 convolution. With batch norm, 3 channels in
    and 1 out the defaults have 29,162,049 parameters. `norm` stands in every slot, stem and shortcuts too.

    Shapes: (N, in_channels, H, W) images to (N, out_channels, H, W) logits; H and W are multiples of
    2^(1 + number of stages), 32 by default.

    Args:
        in_channels: Channels of the images.
        out_channels: Channels of the logits.
        norm: Builds the normalisation layers.
        width: Channels of the stem and the first stage.
        blocks: Basic blocks in each stage; its length is the number of stages.

    Reference:
        He et al., 2016, arXiv:1512.03385 (encoder, not pretrained); Ronneberger et al., 2015,
        arXiv:1505.04597 (decoder).
    """
    return ResNetUNet(in_channels, out_channels, norm, width, blocks)


class ResNetUNet(nn.Module):
    """The network that `resnet34_unet` describes."""

    def __init__(
        self, in_channels: int, out_channels: int, norm: NormFactory, width: int, blocks: list[int]
    ) -> None:
        super().__init__()
        self.size_multiple = 2 ** (1 + len(blocks))
        widths = [width * 2**stage for stage in range(len(blocks))]
        self.stem = ConvNormReLU(in_channels, width, norm, kernel=7, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = nn.ModuleList()
        channels = width
        for number, (out, count) in enumerate(zip(widths, blocks, strict=True)):
            first = BasicBlock(channels, out, norm, stride=1 if number == 0 else 2)
            self.stages.append(nn.Sequential(first, *(BasicBlock(out, out, norm) for _ in range(count - 1))))
            channels = out
        self.bottleneck = DoubleConv(channels, channels, norm)
        self.up = nn.ModuleList()
        for skip in [*widths[-2::-1], width]:
            self.up.append(UpTransposed(channels, skip, skip, norm))
            channels = skip
        self.last_up = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.last_norm = norm(width)
        self.relu = nn.ReLU()
        self.head = nn.Conv2d(width, out_channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        check_size(images, self.size_multiple)
        x = self.stem(images)
        skips = [x]
        x = self.pool(x)
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        x = self.bottleneck(skips.pop())
        for up in self.up:
            x = up(x, skips.pop())
        return self.head(self.relu(self.last_norm(self.last_up(x))))
