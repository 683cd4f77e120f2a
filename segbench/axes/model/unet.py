"""U-Net."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge
from torch import Tensor, nn

from segbench.axes.model import variant
from segbench.axes.model.blocks import DoubleConv, UpBilinear, UpTransposed, check_size

if TYPE_CHECKING:
    from segbench.axes.model.norms import NormFactory


@variant(size_multiple="2 ** depth")
def unet(
    in_channels: int,
    out_channels: int,
    norm: NormFactory,
    *,
    width: Annotated[int, Ge(1)] = 64,
    depth: Annotated[int, Ge(1)] = 4,
    up: Literal["transposed", "bilinear"] = "transposed",
) -> nn.Module:
    """U-Net: double convolutions, an encoder by max-pooling and a decoder with concatenated skips.

    Level k (0 to `depth`) works at stride 2^k with width * 2^k channels; the head is a 1x1 convolution. With
    batch norm, 3 channels in and 1 out the defaults have 31,037,633 parameters, and 17,262,977 with
    `up="bilinear"`.

    Shapes: (N, in_channels, H, W) images to (N, out_channels, H, W) logits; H and W are multiples of 2^depth.

    Args:
        in_channels: Channels of the images.
        out_channels: Channels of the logits.
        norm: Builds the normalisation layers.
        width: Channels of the first level.
        depth: How often H and W are halved.
        up: `transposed`: 2x2 transposed convolutions that halve the channels. `bilinear`: bilinear
            up-sampling with aligned corners; the channels of the deepest level and of each decoder level but
            the last are halved instead.

    Reference:
        Ronneberger et al., 2015, arXiv:1505.04597. Differs as is usual now: convolutions keep H and W
        (padding 1), are followed by normalisation and have no bias where it would be redundant; no dropout.
    """
    return UNet(in_channels, out_channels, norm, width, depth, up)


class UNet(nn.Module):
    """The network that `unet` describes."""

    def __init__(
        self, in_channels: int, out_channels: int, norm: NormFactory, width: int, depth: int, up: str
    ) -> None:
        super().__init__()
        self.size_multiple = 2**depth
        skips = [width * 2**level for level in range(depth)]
        # Bilinear up-sampling keeps the channels, so what comes from below has been halved there.
        below = 1 if up == "transposed" else 2
        deepest = width * 2**depth // below
        self.stem = DoubleConv(in_channels, width, norm)
        self.pool = nn.MaxPool2d(2)
        self.down = nn.ModuleList(DoubleConv(i, o, norm) for i, o in pairwise([*skips, deepest]))
        stage = UpTransposed if up == "transposed" else UpBilinear
        outs = [*(skip // below for skip in skips[:0:-1]), width]
        self.up = nn.ModuleList(
            stage(i, skip, o, norm)
            for i, skip, o in zip([deepest, *outs[:-1]], reversed(skips), outs, strict=True)
        )
        self.head = nn.Conv2d(width, out_channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        check_size(images, self.size_multiple)
        x = self.stem(images)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(self.pool(x))
        for up in self.up:
            x = up(x, skips.pop())
        return self.head(x)
