"""A library's network under the norm axis."""

from __future__ import annotations

import sys

import pytest
import torch
from messages import said
from torch import nn

from segbench.axes import model
from segbench.axes.model.adoption import take_channels, take_norm
from segbench.axes.model.norms import NormFactory
from segbench.axes.norm.batch import batch
from segbench.axes.norm.dyt import DynamicTanh, dyt
from segbench.axes.norm.none import none
from segbench.config.trial import Choice
from segbench.errors import ExperimentError


class Sample(nn.Module):
    """What libraries do: a convolution before its norm, a norm before its convolution, other norms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.bn = nn.BatchNorm2d(8, eps=0.1, momentum=0.5)
        self.relu = nn.ReLU(inplace=True)
        self.wide = nn.Conv2d(8, 16, 1, bias=False)
        self.pre = nn.BatchNorm2d(24)
        self.tokens = nn.LayerNorm(16)
        self.groups = nn.GroupNorm(2, 16)


def smp(**knobs: object) -> nn.Module:
    return model.build(Choice.of("model", "smp", **knobs), Choice.of("norm", "none"))


def test_batch_norms_are_exchanged_and_nothing_else() -> None:
    network = Sample()
    names = {name for name, _ in network.named_modules()}
    take_norm(network, NormFactory(dyt))
    assert isinstance(network.bn, DynamicTanh)
    assert isinstance(network.pre, DynamicTanh)
    assert len(network.pre.weight) == 24
    assert isinstance(network.tokens, nn.LayerNorm)
    assert isinstance(network.groups, nn.GroupNorm)
    assert not network.relu.inplace
    assert {name for name, _ in network.named_modules()} == names
    assert network.conv.bias is None


def test_batch_norm_takes_over_the_statistics_under_its_own_knobs() -> None:
    network = Sample()
    network.bn.running_mean.fill_(3.0)
    network.bn.weight.data.fill_(2.0)
    take_norm(network, NormFactory(batch, {"momentum": 0.2, "eps": 0.01}))
    assert set(network.bn.running_mean.tolist()) == {3.0}
    assert set(network.bn.weight.tolist()) == {2.0}
    assert (network.bn.momentum, network.bn.eps) == (0.2, 0.01)


def test_conv_bias_reaches_the_convolution_in_front() -> None:
    network = Sample()
    take_norm(network, NormFactory(none, conv_bias=True))
    assert network.conv.bias.shape == (8,)
    assert network.wide.bias is None  # 16 outputs in front of 24 channels: that norm stands before its own


def test_a_fused_batch_norm_keeps_its_activation() -> None:
    timm = pytest.importorskip("timm.layers")
    network = nn.Sequential(nn.Conv2d(3, 4, 1), timm.BatchNormAct2d(4))
    take_norm(network, NormFactory(none))
    features = torch.randn(2, 3, 5, 5)
    assert torch.equal(network(features), network[0](features).relu())


def test_the_first_convolution_takes_the_images() -> None:
    network = Sample()
    take_channels(network, 3)
    same = network.conv
    take_channels(network, 5)
    assert same.weight.shape == (8, 3, 3, 3)
    assert network.conv.weight.shape == (8, 5, 3, 3)
    assert network.conv.bias is None


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("encoder_unet", {"encoder": "resnet18"}),
        ("deeplabv3", {"backbone": "mobilenet_v3_large"}),
        ("fcn", {}),
    ],
)
def test_no_batch_norm_is_left(name: str, knobs: dict[str, str]) -> None:
    network = model.build(Choice.of("model", name, **knobs), Choice.of("norm", "group"))
    kinds = {type(module) for module in network.modules()}
    assert nn.BatchNorm2d not in kinds
    assert nn.GroupNorm in kinds


def test_every_architecture_of_the_library_is_known() -> None:
    library = pytest.importorskip("segmentation_models_pytorch")
    from typing import get_args

    from segbench import registry
    from segbench.config.resolve import type_of

    known = get_args(type_of(registry.find("model", "smp").knobs["arch"].annotation))
    # DPT takes vision transformers alone, whose position weights no init can draw.
    assert {*known, "dpt"} == set(library.MODEL_ARCHITECTURES_MAPPING)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(ExperimentError) as error:
        smp()
    assert said(error.value) == (
        "model.smp: segmentation_models.pytorch cannot be imported (import of segmentation_models_pytorch "
        "halted; None in sys.modules). pip install 'segbench[smp]'."
    )


def test_an_unknown_encoder() -> None:
    with pytest.raises(ExperimentError) as error:
        smp(encoder="resnet81")
    assert str(error.value).startswith(
        "model.smp.encoder: there is no encoder of this name, got 'resnet81'. Did you mean 'resnet18'?"
    )


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        (
            "resnet18",
            "resnet18 has no such weights, got 'imagnet'. Did you mean 'imagenet'?",
        ),
        (
            "tu-resnet18",
            "timm's encoders have one set of weights each, got 'imagnet'. Did you mean 'imagenet'?",
        ),
    ],
)
def test_unknown_weights(encoder: str, words: str) -> None:
    with pytest.raises(ExperimentError) as error:
        smp(encoder=encoder, weights="imagnet")
    assert str(error.value).startswith(f"model.smp.weights: {words}")


def test_what_does_not_go_together() -> None:
    with pytest.raises(ExperimentError) as error:
        smp(arch="unetplusplus", encoder="mit_b0")
    assert said(error.value) == (
        "model.smp: the library builds no unetplusplus on mit_b0 (UnetPlusPlus is not support "
        "encoder_name=mit_b0). Take another encoder, such as resnet34."
    )


def test_weights_of_the_library_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("segmentation_models_pytorch")
    from huggingface_hub.constants import HF_HUB_CACHE

    def refuse(*given: object, **named: object) -> None:
        raise OSError("no\nnetwork")

    monkeypatch.setattr(library.encoders, "hf_hub_download", refuse)
    with pytest.raises(ExperimentError) as error:
        smp(encoder="resnet18", weights="imagenet")
    assert said(error.value) == (
        f"model.smp.weights: model.safetensors of smp-hub/resnet18.imagenet is not in {HF_HUB_CACHE} "
        "and could not be downloaded (no network). Build the network once where there is a network, and copy "
        "that folder; HF_HUB_CACHE moves it."
    )
