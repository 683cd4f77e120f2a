"""FCN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import nn

from segbench.axes.model import variant
from segbench.axes.model.torchvision_segmentation import segmentation_network

if TYPE_CHECKING:
    from segbench.axes.model.norms import NormFactory


@variant(size_multiple=1)
def fcn(
    in_channels: int,
    out_channels: int,
    norm: NormFactory,
    *,
    backbone: Literal["resnet50", "resnet101"] = "resnet50",
    weights: Literal["none", "imagenet"] = "none",
) -> nn.Module:
    """FCN: a dilated ResNet, two convolutions, logits enlarged bilinearly from stride 8.

    torchvision's network without its auxiliary head; the logits are enlarged to the images' size without
    aligned corners. Parameters with batch norm, 3 channels in and 1 out: 32,946,753, on resnet101 51,938,881.

    Shapes: (N, in_channels, H, W) images to (N, out_channels, H, W) logits, any H and W.

    Args:
        in_channels: Channels of the images; 3 with `weights="imagenet"`.
        out_channels: Channels of the logits.
        norm: Builds the normalisation layers, those of the backbone too (docs/design.md, "Networks").
        backbone: Name of the backbone's classifier in torchvision.
        weights: `imagenet`: the backbone starts from torchvision's IMAGENET1K_V1, by the hash in its file's
            name; the two convolutions are drawn by `init`. `none`: all is drawn.

    Raises:
        ExperimentError: The weights cannot be had, or the images have not 3 channels.

    Reference:
        Long et al., 2015, arXiv:1411.4038, as torchvision (BSD 3-Clause) builds it: dilated instead of the
        paper's skips.
    """
    return segmentation_network("fcn", backbone, weights, in_channels, out_channels, norm)
