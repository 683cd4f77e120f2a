"""U-Net."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Interval
from torch import Tensor, nn

from segbench.axes.model import variant
from segbench.axes.model.blocks import DoubleConv, check_size, dropout_2d
from segbench.axes.model.decoder import UpBilinear, UpTransposed
from segbench.axes.model.skips import AttentionGate

if TYPE_CHECKING:
    from segbench.axes.model.norms import NormFactory


@variant(
    absent={"concat": "skip_first", "dropout": 0.0, "fit": "refuse", "skips": "plain"},
    size_multiple="1 if fit == 'pad' else 2 ** depth",
)
def unet(
    in_channels: int,
    out_channels: int,
    norm: NormFactory,
    *,
    width: Annotated[int, Ge(1)] = 64,
    depth: Annotated[int, Ge(1)] = 4,
    up: Literal["transposed", "bilinear"] = "transposed",
    concat: Literal["skip_first", "up_first"] = "skip_first",
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
    fit: Literal["refuse", "pad"] = "refuse",
    skips: Literal["plain", "attention"] = "plain",
) -> nn.Module:
    """U-Net: double convolutions, an encoder by max-pooling and a decoder with concatenated skips.

    Level k (0 to `depth`) works at stride 2^k with width * 2^k channels; the head is a 1x1 convolution. With
    batch norm, 3 channels in and 1 out the defaults have 31,037,633 parameters, and 17,262,977 with
    `up="bilinear"`.

    Shapes: (N, in_channels, H, W) images to (N, out_channels, H, W) logits; H and W are multiples of 2^depth,
    or with `fit="pad"` any numbers from 2^depth.

    Args:
        in_channels: Channels of the images.
        out_channels: Channels of the logits.
        norm: Builds the normalisation layers.
        width: Channels of the first level.
        depth: How often H and W are halved.
        up: `transposed`: 2x2 transposed convolutions that halve the channels. `bilinear`: bilinear
            up-sampling with aligned corners; the channels of the deepest level and of each decoder level but
            the last are halved instead.
        concat: Whose channels come first where a skip and an up-sampled map are concatenated.
        dropout: Probability with which each channel of the deepest level is dropped in training.
        fit: `refuse`: H and W must be multiples of 2^depth. `pad`: odd maps lose a row or column in pooling,
            and the up-sampled map is padded with zeros to the skip's size.
        skips: `plain`, or `attention`: every skip but the first level's is weighted pixel by pixel by a gate
            that sees the decoder's map below it.

    Reference:
        Ronneberger et al., 2015, arXiv:1505.04597. Differs as is usual now: convolutions keep H and W
        (padding 1), are followed by normalisation and have no bias where it would be redundant. `attention`:
        Oktay et al., 2018, arXiv:1804.03999, in 2D, without deep supervision; gates are drawn by `init`,
        where the paper starts with gates that let everything pass.
    """
    return UNet(in_channels, out_channels, norm, width, depth, up, concat, dropout, fit, skips)


class UNet(nn.Module):
    """The network that `unet` describes."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm: NormFactory,
        width: int,
        depth: int,
        up: str,
        concat: str,
        dropout: float,
        fit: str,
        skips: str,
    ) -> None:
        super().__init__()
        self.size_multiple = 1 if fit == "pad" else 2**depth
        self.least = 2**depth
        widths = [width * 2**level for level in range(depth)]
        # Bilinear up-sampling keeps the channels, so what comes from below has been halved there.
        below = 1 if up == "transposed" else 2
        deepest = width * 2**depth // below
        self.stem = DoubleConv(in_channels, width, norm)
        self.pool = nn.MaxPool2d(2)
        self.down = nn.ModuleList(DoubleConv(i, o, norm) for i, o in pairwise([*widths, deepest]))
        self.dropout = dropout_2d(dropout)
        stage = UpTransposed if up == "transposed" else UpBilinear
        outs = [*(skip // below for skip in widths[:0:-1]), width]
        self.up = nn.ModuleList()
        for level, i, o in zip(reversed(range(depth)), [deepest, *outs[:-1]], outs, strict=True):
            gate = AttentionGate(widths[level], i) if skips == "attention" and level > 0 else None
            self.up.append(stage(i, widths[level], o, norm, concat=concat, fit=fit, gate=gate))
        self.head = nn.Conv2d(width, out_channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        check_size(images, self.size_multiple, self.least)
        x = self.stem(images)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(self.pool(x))
        x = self.dropout(x)
        for up in self.up:
            x = up(x, skips.pop())
        return self.head(x)
