"""Segmentation networks of torchvision as ours: logits alone, any channels, the norm axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from segbench.axes.model.adoption import take_channels, take_norm
from segbench.axes.model.pretrained import check_channels, imagenet_weights, load_part

if TYPE_CHECKING:
    from segbench.axes.model.norms import NormFactory


def segmentation_network(
    arch: str, backbone: str, weights: str, in_channels: int, out_channels: int, norm: NormFactory
) -> nn.Module:
    """Build `torchvision.models.segmentation.<arch>_<backbone>` without its auxiliary head.

    Args:
        arch: `deeplabv3` or `fcn`.
        backbone: torchvision's name of the backbone's classifier.
        weights: `none`, or `imagenet` for the backbone.
        in_channels: Channels of the images.
        out_channels: Channels of the logits.
        norm: Builds the normalisation layers.

    Raises:
        ExperimentError: The weights cannot be had, or do not take the images.
    """
    from torchvision import models

    network = models.get_model(
        f"{arch}_{backbone}", weights=None, weights_backbone=None, num_classes=out_channels, aux_loss=False
    )
    if weights != "none":
        where = f"model.{arch}.weights"
        check_channels(where, in_channels)
        state = imagenet_weights(where, backbone)
        is_mobilenet = backbone.startswith("mobilenet")
        prefix, left_out = ("features.", "classifier.") if is_mobilenet else ("", "fc.")
        load_part(network.backbone, state, prefix=prefix, left_out=left_out)
    take_channels(network, in_channels)
    take_norm(network, norm)
    return LogitsOnly(network)


class LogitsOnly(nn.Module):
    """A network of torchvision whose forward gives {"out": logits at the images' size}."""

    size_multiple = 1

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.backbone = network.backbone
        self.classifier = network.classifier

    def forward(self, images: Tensor) -> Tensor:
        logits = self.classifier(self.backbone(images)["out"])
        return nn.functional.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False)
