"""torchvision's classifiers as a list of stages, each but the first halving H and W."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from segbench.axes.model.adoption import take_channels
from segbench.axes.model.pretrained import check_channels, imagenet_weights, load_part

_VGG = {"vgg13_bn": "B", "vgg16_bn": "D"}


def encoder_stages(where: str, name: str, weights: str, in_channels: int) -> Sequence[nn.Sequential]:
    """Return the stages of a ResNet (strides 2 to 32) or of a VGG (strides 1 to 32, the last a pooling).

    Args:
        where: The place of `weights` in the experiment, for messages.
        name: torchvision's name of the classifier.
        weights: `none` or `imagenet`.
        in_channels: Channels of the images.

    Raises:
        ExperimentError: The weights cannot be had, or do not take the images.
    """
    if weights != "none":
        check_channels(where, in_channels)
    state = imagenet_weights(where, name) if weights != "none" else None
    if name in _VGG:
        # Without the classifier, which holds nine in ten of VGG's parameters and would be drawn in vain.
        from torchvision.models.vgg import cfgs, make_layers

        features = make_layers(cfgs[_VGG[name]], batch_norm=True)
        if state is not None:
            load_part(features, state, prefix="features.", left_out="classifier.")
        take_channels(features, in_channels)
        return _cut_before_pooling(features)
    from torchvision import models

    resnet = models.get_model(name, weights=None)
    del resnet.fc
    if state is not None:
        load_part(resnet, state, left_out="fc.")
    take_channels(resnet, in_channels)
    return [
        nn.Sequential(resnet.conv1, resnet.bn1, resnet.relu),
        nn.Sequential(resnet.maxpool, resnet.layer1),
        *(nn.Sequential(layer) for layer in (resnet.layer2, resnet.layer3, resnet.layer4)),
    ]


def stage_channels(stages: Sequence[nn.Sequential]) -> list[int]:
    """Return the channels that each stage gives; one without convolutions gives what it gets."""
    channels: list[int] = []
    for stage in stages:
        norms = [m.num_features for m in stage.modules() if isinstance(m, nn.BatchNorm2d)]
        channels.append(norms[-1] if norms else channels[-1])
    return channels


def _cut_before_pooling(layers: nn.Sequential) -> list[nn.Sequential]:
    stages: list[list[nn.Module]] = [[]]
    for layer in layers:
        if isinstance(layer, nn.MaxPool2d):
            stages.append([])
        stages[-1].append(layer)
    return [nn.Sequential(*stage) for stage in stages]
