"""The network that `resnet34_unet` describes, assembled from parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from segbench.axes.model.blocks import ConvNormReLU, check_size, dropout_2d
from segbench.axes.model.decoder import ConcatThenUp, UpBilinear, UpTransposed
from segbench.axes.model.encoder import make_bottleneck, residual_stages
from segbench.axes.model.ends import make_doubling
from segbench.axes.model.norms import NormFactory
from segbench.axes.model.skips import pad_to
from segbench.errors import ExperimentError, message

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The knobs of `resnet34_unet` that choose parts; its docstring says what each value does."""

    concat: str
    dropout: float
    fit: str
    norm_scope: str
    block: str
    shortcut_bias: bool
    stride_on: str
    bottleneck: str
    stem_skip: str
    decoder: str
    decoder_width: str
    up: str
    end: str
    end_bias: bool

    def check(self, blocks: list[int]) -> None:
        """Refuse parts that do not fit together.

        Raises:
            ExperimentError: With everything that does not.
        """
        problems = list(self._problems(blocks))
        if problems:
            raise ExperimentError(problems)

    def _problems(self, blocks: list[int]) -> Iterator[str]:
        where = "model resnet34_unet"
        if self.decoder == "concat_then_up":
            if self.bottleneck not in ("double_conv", "conv"):
                rule = "decoder concat_then_up takes the deepest stage as a skip beside the bottleneck"
                yield message(where, rule, got=self.bottleneck, see="Set bottleneck to double_conv or conv")
            if self.stem_skip != "none":
                rule = "decoder concat_then_up has no stage for a skip from the stem"
                yield message(where, rule, got=self.stem_skip, see="Set stem_skip to none")
        elif self.stem_skip == "after_pooling" and self.fit != "pad":
            rule = "the skip after pooling is half as large as the decoder's map"
            yield message(where, rule, got=self.stem_skip, see="Set fit to pad, which crops the map")
        if self.stride_on == "every_block" and max(blocks[1:], default=1) > 1 and self.fit != "pad":
            rule = "with a stride on every block the decoder's maps are smaller than the skips"
            yield message(where, rule, got=self.stride_on, see="Set fit to pad")


class ResNetUNet(nn.Module):
    """The network that `resnet34_unet` describes."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm: NormFactory,
        width: int,
        blocks: list[int],
        parts: Parts,
    ) -> None:
        super().__init__()
        is_deeper = parts.bottleneck == "residual"
        self.size_multiple = 1 if parts.fit == "pad" else 2 ** (1 + len(blocks) + is_deeper)
        self.fit = parts.fit
        self.stem_skip = parts.stem_skip
        self.has_deepest_skip = is_deeper or parts.decoder == "concat_then_up"
        outer_norm = norm if parts.norm_scope == "everywhere" else NormFactory(nn.BatchNorm2d)
        relu = parts.block.removeprefix("relu_")
        shortcut_bias = True if parts.shortcut_bias else None

        self.stem = ConvNormReLU(in_channels, width, outer_norm, kernel=7, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        widths = [width * 2**stage for stage in range(len(blocks))]
        self.stages = residual_stages(
            widths,
            blocks,
            norm,
            relu=relu,
            stride_on=parts.stride_on,
            shortcut_norm=outer_norm,
            shortcut_bias=shortcut_bias,
        )
        self.bottleneck, channels = make_bottleneck(
            parts.bottleneck, widths[-1], outer_norm, relu=relu, shortcut_bias=shortcut_bias
        )
        self.dropout = dropout_2d(parts.dropout)
        skips = widths[::-1] if self.has_deepest_skip else widths[-2::-1]
        if parts.stem_skip != "none":
            skips.append(width)
        self.up = nn.ModuleList()
        for number, skip in enumerate(skips):
            out = _decoder_width(parts.decoder_width, width, widths[-1], skip, number)
            self.up.append(_decoder_stage(parts, channels, skip, out, norm))
            channels = out
        is_at_stride_2 = parts.decoder == "concat_then_up" or parts.stem_skip == "before_pooling"
        ends = []
        for _ in range(1 if is_at_stride_2 else 2):
            out = max(width // 2, 1) if parts.end == "bilinear" else channels
            ends.append(make_doubling(parts.end, channels, out, outer_norm, bias=parts.end_bias))
            channels = out
        self.doublings = nn.ModuleList(nn.Sequential(*end) for end in ends[:-1])
        self.last_up, self.last_norm, self.relu = ends[-1]
        self.head = nn.Conv2d(channels, out_channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        check_size(images, self.size_multiple)
        x = self.stem(images)
        skips = [x] if self.stem_skip == "before_pooling" else []
        x = self.pool(x)
        if self.stem_skip == "after_pooling":
            skips.append(x)
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        if not self.has_deepest_skip:
            skips.pop()
        x = self.dropout(self.bottleneck(x))
        for up in self.up:
            x = up(x, skips.pop())
        for doubling in self.doublings:
            x = doubling(x)
        x = self.relu(self.last_norm(self.last_up(x)))
        if self.fit == "pad":
            x = pad_to(x, images)
        return self.head(x)


def _decoder_width(kind: str, width: int, deepest: int, skip: int, number: int) -> int:
    if kind == "skip":
        return skip
    return max(deepest // 2**number if kind == "halving" else width // 2, 1)


def _decoder_stage(
    parts: Parts, in_channels: int, skip_channels: int, out_channels: int, norm: NormFactory
) -> nn.Module:
    channels = (in_channels, skip_channels, out_channels)
    if parts.decoder == "concat_then_up":
        return ConcatThenUp(*channels, norm, up=parts.up, concat=parts.concat, fit=parts.fit)
    if parts.up == "transposed":
        return UpTransposed(*channels, norm, concat=parts.concat, fit=parts.fit)
    return UpBilinear(*channels, norm, mid_channels=out_channels, concat=parts.concat, fit=parts.fit)
