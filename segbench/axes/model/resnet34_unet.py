"""U-Net with a ResNet34 encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Interval, MinLen
from torch import nn

from segbench.axes.model import variant
from segbench.axes.model.resnet_unet import Parts, ResNetUNet

if TYPE_CHECKING:
    from segbench.axes.model.norms import NormFactory


@variant(
    absent={
        "concat": "skip_first",
        "dropout": 0.0,
        "fit": "refuse",
        "norm_scope": "everywhere",
        "block": "relu_after_sum",
        "shortcut_bias": False,
        "stride_on": "first_block",
        "bottleneck": "double_conv",
        "stem_skip": "before_pooling",
        "decoder": "up_then_concat",
        "decoder_width": "skip",
        "up": "transposed",
        "end": "transposed_norm",
        "end_bias": True,
    },
    size_multiple="1 if fit == 'pad' else 2 ** (1 + len(blocks) + (bottleneck == 'residual'))",
)
def resnet34_unet(
    in_channels: int,
    out_channels: int,
    norm: NormFactory,
    *,
    width: Annotated[int, Ge(1)] = 64,
    # A mutable default is safe: a knob's default is a literal of its type, and nothing writes to it.
    blocks: Annotated[list[Annotated[int, Ge(1)]], MinLen(1)] = [3, 4, 6, 3],  # noqa: B006
    concat: Literal["skip_first", "up_first"] = "skip_first",
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
    fit: Literal["refuse", "pad"] = "refuse",
    norm_scope: Literal["everywhere", "double_convs"] = "everywhere",
    block: Literal["relu_after_sum", "relu_before_sum"] = "relu_after_sum",
    shortcut_bias: bool = False,
    stride_on: Literal["first_block", "every_block"] = "first_block",
    bottleneck: Literal["double_conv", "conv", "residual", "none"] = "double_conv",
    stem_skip: Literal["before_pooling", "after_pooling", "none"] = "before_pooling",
    decoder: Literal["up_then_concat", "concat_then_up"] = "up_then_concat",
    decoder_width: Literal["skip", "halving", "half"] = "skip",
    up: Literal["transposed", "bilinear"] = "transposed",
    end: Literal["transposed_norm", "transposed", "bilinear"] = "transposed_norm",
    end_bias: bool = True,
) -> nn.Module:
    """ResNet34-U-Net: a residual encoder, a double convolution as bottleneck, a U-Net decoder.

    Stem: 7x7 convolution of stride 2, normalisation, ReLU, 3x3 max-pooling of stride 2. Stage k (from 0) has
    `blocks[k]` basic blocks of width * 2^k channels, the first of stride 2 except in stage 0. The decoder's
    skips are the stages above the deepest one and the stem before pooling. The end: a 2x2 transposed
    convolution of stride 2 with bias, normalisation, ReLU, a 1x1 convolution. With batch norm, 3 channels in
    and 1 out the defaults have 29,162,049 parameters. `norm` stands in every slot, stem and shortcuts too.

    The other knobs exchange parts; the presets `resnet34_unet_r0` to `resnet34_unet_r4` are the networks of
    five studies. The end doubles H and W as often as the decoder leaves to be done.

    Shapes: (N, in_channels, H, W) images to (N, out_channels, H, W) logits; H and W are multiples of
    2^(1 + number of stages), 32 by default, of twice that with a residual bottleneck, or with `fit="pad"` any
    numbers.

    Args:
        in_channels: Channels of the images.
        out_channels: Channels of the logits.
        norm: Builds the normalisation layers.
        width: Channels of the stem and the first stage.
        blocks: Basic blocks in each stage; its length is the number of stages.
        concat: Whose channels come first where a skip and the decoder's map are concatenated.
        dropout: Probability with which each channel that leaves the bottleneck is dropped in training.
        fit: `refuse`: H and W must be such multiples. `pad`: the decoder's map is padded with zeros, or
            cropped, to the skip's size, and at the end to the image's.
        norm_scope: `everywhere`: the norm arm stands in every slot. `double_convs`: only behind the two
            convolutions of encoder blocks and of decoder stages; stem, shortcuts, bottleneck and end keep
            batch norm, and their convolutions no bias, whatever the arm is.
        block: `relu_after_sum`: the standard block. `relu_before_sum`: both convolutions have their ReLU, and
            nothing follows the sum with the shortcut.
        shortcut_bias: Whether shortcuts that are convolutions have a bias in any case; False: as the norm arm
            says.
        stride_on: The blocks of a stage that halve H and W, stage 0 apart. With `every_block` a stage of n
            blocks has stride 2^n and a convolution in every shortcut; it needs `fit="pad"`.
        bottleneck: `double_conv`: two convolutions, C to C channels. `conv`: one 3x3 convolution with bias, C
            to C/2. `residual`: one block of stride 2, C to 2C; the decoder then takes the deepest stage as a
            skip too. `none`.
        stem_skip: Where the decoder's last skip is taken from the stem. `after_pooling` it has the size of
            stage 0's, so that the map that was doubled once more is cropped to it: it needs `fit="pad"`.
        decoder: `up_then_concat`: each stage doubles H and W, then concatenates. `concat_then_up`: it
            concatenates the stage of its own size, the deepest included, then doubles; the bottleneck must
            keep H and W, and the stem be no skip.
        decoder_width: Channels of each decoder stage: as many as its `skip`; `halving` from those of the
            deepest encoder stage; or `half` of `width` in all.
        up: What doubles H and W in the decoder: 2x2 transposed convolutions with bias, or bilinear
            up-sampling with aligned corners.
        end: Each doubling after the decoder. `transposed_norm`: transposed convolution, normalisation, ReLU.
            `transposed`: the convolution alone. `bilinear`: bilinear up-sampling, then a double convolution
            to width/2 channels.
        end_bias: Whether the transposed convolutions of the end have a bias.

    Raises:
        ExperimentError: Parts do not fit together, as said above.

    Reference:
        He et al., 2016, arXiv:1512.03385 (encoder, not pretrained); Ronneberger et al., 2015,
        arXiv:1505.04597 (decoder).
    """
    parts = Parts(
        concat=concat,
        dropout=dropout,
        fit=fit,
        norm_scope=norm_scope,
        block=block,
        shortcut_bias=shortcut_bias,
        stride_on=stride_on,
        bottleneck=bottleneck,
        stem_skip=stem_skip,
        decoder=decoder,
        decoder_width=decoder_width,
        up=up,
        end=end,
        end_bias=end_bias,
    )
    parts.check(blocks)
    return ResNetUNet(in_channels, out_channels, norm, width, blocks, parts)
