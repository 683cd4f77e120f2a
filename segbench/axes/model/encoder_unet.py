"""U-Net on one of torchvision's classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge
from torch import Tensor, nn

from segbench.axes.model import variant
from segbench.axes.model.adoption import take_norm
from segbench.axes.model.blocks import DoubleConv, check_size
from segbench.axes.model.decoder import UpTransposed
from segbench.axes.model.ends import make_doubling
from segbench.axes.model.stages import encoder_stages, stage_channels

if TYPE_CHECKING:
    from segbench.axes.model.norms import NormFactory


@variant(size_multiple=32)
def encoder_unet(
    in_channels: int,
    out_channels: int,
    norm: NormFactory,
    *,
    encoder: Literal["resnet18", "resnet34", "resnet50", "vgg13_bn", "vgg16_bn"] = "resnet34",
    weights: Literal["none", "imagenet"] = "none",
    width: Annotated[int, Ge(1)] = 16,
) -> nn.Module:
    """U-Net decoder on an encoder of torchvision, from scratch or learnt on ImageNet.

    The encoder is the classifier without its head, down to stride 32: for ResNets the stem and four stages
    (skips at strides 2 to 16), for VGGs the five blocks and the last pooling (skips at strides 1 to 16). A
    double convolution of width * 32 channels is the bottleneck; each decoder stage, a 2x2 transposed
    convolution and a double convolution, has width * stride channels; for ResNets a transposed convolution,
    normalisation and ReLU lead from stride 2 to the images' size. The head is a 1x1 convolution.
    Parameters with batch norm, 3 channels in and 1 out: 29,065,441, on resnet18 18,957,281, resnet50
    40,689,121, vgg13_bn 18,366,721, vgg16_bn 23,678,977.

    Shapes: (N, in_channels, H, W) images to (N, out_channels, H, W) logits; H and W are multiples of 32.

    Args:
        in_channels: Channels of the images; 3 with `weights="imagenet"`.
        out_channels: Channels of the logits.
        norm: Builds the normalisation layers, those of the encoder too (docs/design.md, "Networks").
        encoder: Name of the classifier in torchvision.
        weights: `imagenet`: torchvision's IMAGENET1K_V1, by the hash in its file's name; it wants
            `input: imagenet`, and the encoder is trained on with all the rest. `none`: drawn by `init`.
        width: Channels of the decoder at the images' size.

    Raises:
        ExperimentError: The weights cannot be had, or the images have not 3 channels.

    Reference:
        Ronneberger et al., 2015, arXiv:1505.04597 (decoder); He et al., 2016, arXiv:1512.03385 and Simonyan
        & Zisserman, 2015, arXiv:1409.1556 (encoders), as torchvision (BSD 3-Clause) builds them. VGG's
        convolutions have a bias in every norm arm.
    """
    return EncoderUNet(in_channels, out_channels, norm, encoder, weights, width)


class EncoderUNet(nn.Module):
    """The network that `encoder_unet` describes."""

    size_multiple = 32

    def __init__(
        self, in_channels: int, out_channels: int, norm: NormFactory, encoder: str, weights: str, width: int
    ) -> None:
        super().__init__()
        stages = encoder_stages("model.encoder_unet.weights", encoder, weights, in_channels)
        *skips, channels = stage_channels(stages)
        self.encoder = nn.ModuleList(stages)
        take_norm(self.encoder, norm)
        self.bottleneck = DoubleConv(channels, width * 32, norm)
        strides = [32 // 2**step for step in range(len(skips) + 1)]
        self.up = nn.ModuleList(
            UpTransposed(width * stride, skip, width * stride // 2, norm)
            for stride, skip in zip(strides, reversed(skips), strict=False)
        )
        self.last_up: nn.Module = nn.Identity()
        if strides[-1] == 2:
            doubling = make_doubling("transposed_norm", width * 2, width, norm, bias=True)
            self.last_up = nn.Sequential(*doubling)
        self.head = nn.Conv2d(width, out_channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        check_size(images, self.size_multiple)
        skips = []
        x = images
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        x = self.bottleneck(skips.pop())
        for up in self.up:
            x = up(x, skips.pop())
        return self.head(self.last_up(x))
