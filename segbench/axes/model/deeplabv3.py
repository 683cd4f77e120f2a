"""DeepLabV3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import nn

from segbench.axes.model import variant
from segbench.axes.model.torchvision_segmentation import segmentation_network

if TYPE_CHECKING:
    from segbench.axes.model.norms import NormFactory


@variant(size_multiple=1)
def deeplabv3(
    in_channels: int,
    out_channels: int,
    norm: NormFactory,
    *,
    backbone: Literal["resnet50", "resnet101", "mobilenet_v3_large"] = "resnet50",
    weights: Literal["none", "imagenet"] = "none",
) -> nn.Module:
    """DeepLabV3: a dilated backbone, atrous spatial pyramid pooling, logits enlarged bilinearly.

    torchvision's network without its auxiliary head. Features at stride 8 (ResNets, dilations 12, 24, 36 in
    the pyramid) or 16 (MobileNetV3); the logits are enlarged to the images' size without aligned corners.
    Parameters with batch norm, 3 channels in and 1 out: 39,633,729, on resnet101 58,625,857, on
    mobilenet_v3_large 11,020,337.

    Shapes: (N, in_channels, H, W) images to (N, out_channels, H, W) logits, any H and W. The pyramid's last
    branch averages a whole image to a 1x1 map: with `norm: batch` it cannot train on a batch of one image,
    and with `norm: instance` not at all (guard SB107); in evaluation both work.

    Args:
        in_channels: Channels of the images; 3 with `weights="imagenet"`.
        out_channels: Channels of the logits.
        norm: Builds the normalisation layers, those of the backbone too (docs/design.md, "Networks").
        backbone: Name of the backbone's classifier in torchvision.
        weights: `imagenet`: the backbone starts from torchvision's IMAGENET1K_V1, by the hash in its file's
            name; the pyramid is drawn by `init`. MobileNetV3 was learnt with
            `norm: {batch: {eps: 1e-3, momentum: 0.01}}`, ResNets with the default. `none`: all is drawn.

    Raises:
        ExperimentError: The weights cannot be had, or the images have not 3 channels.

    Reference:
        Chen et al., 2017, arXiv:1706.05587, as torchvision (BSD 3-Clause) builds it.
    """
    return segmentation_network("deeplabv3", backbone, weights, in_channels, out_channels, norm)
