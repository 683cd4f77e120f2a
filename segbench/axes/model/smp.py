"""Networks of segmentation_models.pytorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import nn

from segbench.axes.model import variant

if TYPE_CHECKING:
    from segbench.axes.model.norms import NormFactory


@variant(
    size_multiple="{'unet': 1, 'pspnet': 8, 'deeplabv3': 8, 'deeplabv3plus': 16, 'pan': 16}.get(arch, 32)"
)
def smp(
    in_channels: int,
    out_channels: int,
    norm: NormFactory,
    *,
    arch: Literal[
        "unet",
        "unetplusplus",
        "manet",
        "linknet",
        "fpn",
        "pspnet",
        "deeplabv3",
        "deeplabv3plus",
        "pan",
        "upernet",
        "segformer",
    ] = "unet",
    encoder: str = "resnet34",
    weights: str = "none",
) -> nn.Module:
    """A network of segmentation_models.pytorch: U-Net++, DeepLabV3+, PSPNet, FPN, SegFormer and others.

    The library's architecture on one of its encoders, all else at the library's defaults, without auxiliary
    head or final activation. It comes with the extra `smp`: `pip install 'segbench[smp]'`. With
    batch norm, 3 channels in and 1 out the default (U-Net on resnet34) has 24,436,369 parameters.

    Shapes: (N, in_channels, H, W) images to (N, out_channels, H, W) logits; H and W are multiples of 32, of
    16 (`deeplabv3plus`, `pan` from 128), of 8 (`deeplabv3`, `pspnet`) or any numbers (`unet`). The two
    DeepLabs and `pan` average a whole image to a 1x1 map: with `norm: batch` they cannot train on a batch of
    one image, and with `norm: instance` not at all (guard SB107). Some encoders keep layers that the network
    does not use (the deep stages under `pspnet`, the last convolution of EfficientNets): they count as
    parameters and are never trained (guard SB106).

    Args:
        in_channels: Channels of the images; 3 with learnt weights.
        out_channels: Channels of the logits.
        norm: Builds the normalisation layers that stand for the library's `BatchNorm2d`; its group and layer
            norms stay (docs/design.md, "Networks"; guard SB123 names them).
        arch: The library's name of the architecture.
        encoder: The library's name of the encoder, or `tu-NAME` for one of timm's.
        weights: `none`, or the library's name of a set of weights for the encoder, such as `imagenet`; for
            timm's encoders `imagenet` stands for the weights that the encoder's own name says. The library
            states a revision for each, timm's may change without a change of the name.

    Raises:
        ExperimentError: The library is not installed, there is no such encoder or set of weights, they do not
            go together, or the weights cannot be had.

    Reference:
        Iakubovskii, 2019, segmentation_models.pytorch (MIT). Not rewritten here; a figure of a network names
        the library's version, which trial.json records.
    """
    from segbench.axes.model.smp_library import library_network

    return library_network(arch, encoder, weights, in_channels, out_channels, norm)
