"""Weights learnt on ImageNet: kept by every init and norm arm; the errors around their file."""

from __future__ import annotations

import urllib.error
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from blobs import tiny_config
from imagenet_files import place_weights
from torch import Tensor, nn
from torchvision import models

from segbench.axes import model
from segbench.axes.model.pretrained import is_pretrained
from segbench.config.trial import Choice
from segbench.engine.network import build_network
from segbench.engine.numerics import Numerics
from segbench.errors import ExperimentError

ENCODERS = [
    ("encoder_unet", "encoder", "resnet18", ""),
    ("encoder_unet", "encoder", "vgg13_bn", "features."),
    ("deeplabv3", "backbone", "mobilenet_v3_large", "features."),
    ("fcn", "backbone", "resnet50", ""),
]


def build(name: str = "encoder_unet", norm: str = "batch", in_channels: int = 3, **knobs: Any) -> nn.Module:
    chosen = {"encoder": "resnet18"} if name == "encoder_unet" else {}
    choice = Choice.of("model", name, **{**chosen, "weights": "imagenet", **knobs})
    return model.build(choice, Choice.of("norm", norm), in_channels=in_channels)


def learnt(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of modules that are marked."""
    return {
        f"{prefix}.{name}": value
        for prefix, module in network.named_modules()
        if is_pretrained(module)
        for name, value in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    }


@pytest.mark.parametrize(("name", "knob", "encoder", "prefix"), ENCODERS)
def test_the_encoder_holds_the_files_numbers(
    name: str, knob: str, encoder: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, state = place_weights(encoder, tmp_path, monkeypatch)
    found = learnt(build(name, **{knob: encoder}))
    heads = ("fc.", "classifier.")
    expected = [value for key, value in state.items() if key.startswith(prefix) and not key.startswith(heads)]
    assert len(found) == len(expected)
    for got, value in zip(found.values(), expected, strict=True):
        assert torch.equal(got, value)


def test_the_encoder_computes_what_the_classifier_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, state = place_weights("resnet18", tmp_path, monkeypatch)
    theirs = models.resnet18(num_classes=1)
    theirs.load_state_dict(state)
    network, images = build().eval(), torch.randn(1, 3, 64, 64)
    x, expected = images, theirs.eval().relu(theirs.bn1(theirs.conv1(images)))
    layers = [nn.Identity(), nn.Sequential(theirs.maxpool, theirs.layer1), theirs.layer2, theirs.layer3]
    with torch.no_grad():
        for stage, layer in zip(network.encoder, [*layers, theirs.layer4], strict=True):
            x, expected = stage(x), layer(expected)
            torch.testing.assert_close(x, expected)


@pytest.mark.parametrize("init", ["default", "he", "orthogonal"])
@pytest.mark.parametrize("norm", ["batch", "none", "group", "dyt"])
def test_init_draws_all_but_what_was_learnt(
    init: str, norm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, state = place_weights("resnet18", tmp_path, monkeypatch)
    first, second = (engine_network(init, norm, seed) for seed in (0, 1))
    kept, drawn = learnt(first), dict(first.named_parameters())
    assert torch.equal(kept["encoder.0.0.weight"], state["conv1.weight"])
    assert torch.equal(kept["encoder.4.0.1.conv2.weight"], state["layer4.1.conv2.weight"])
    assert ("encoder.0.1.running_mean" in kept) == (norm == "batch")
    for name, value in learnt(second).items():
        assert torch.equal(value, kept[name]), name
    for name in ("bottleneck.first.conv.weight", "up.0.up.weight", "head.weight"):
        assert not torch.equal(drawn[name], second.get_parameter(name)), name
    if norm in ("group", "dyt"):
        assert set(drawn["encoder.0.1.weight"].tolist()) == {1.0}
    logits = first(torch.randn(2, 3, 64, 64))
    logits.square().mean().backward()
    assert torch.isfinite(logits).all()
    assert all(p.grad is not None for p in first.parameters())


def test_init_of_the_decoder_does_not_depend_on_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_weights("resnet18", tmp_path, monkeypatch)
    scratch, tuned = (engine_network("he", "batch", 0, weights=weights) for weights in ("none", "imagenet"))
    for name, value in scratch.named_parameters():
        if not name.startswith("encoder."):
            assert torch.equal(value, tuned.get_parameter(name)), name


def test_a_bias_given_to_a_learnt_convolution_starts_at_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, state = place_weights("resnet18", tmp_path, monkeypatch)
    network = engine_network("default", "none", 0, conv_bias=True)
    assert not network.encoder[0][0].bias.any()
    assert torch.equal(network.encoder[0][0].weight, state["conv1.weight"])


def test_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, _ = place_weights("resnet18", tmp_path, monkeypatch)
    file.unlink()
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    with pytest.raises(ExperimentError) as error:
        build()
    url = models.ResNet18_Weights.IMAGENET1K_V1.url
    assert str(error.value) == (
        f"model.encoder_unet.weights: {file.name} is not in {file.parent} and could not be downloaded "
        f"(<urlopen error no network>). Fetch {url} where there is a network, and put it there."
    )


@pytest.mark.parametrize("damage", ["cut short", "another"])
def test_a_file_that_is_not_what_its_name_says(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, _ = place_weights("resnet18", tmp_path, monkeypatch)
    if damage == "cut short":
        file.write_bytes(file.read_bytes()[:5000])
    else:
        torch.save(models.resnet34(num_classes=1).state_dict(), file)
    with pytest.raises(ExperimentError) as error:
        build()
    url = models.ResNet18_Weights.IMAGENET1K_V1.url
    assert str(error.value) == (
        f"model.encoder_unet.weights: {file} is cut short or holds other weights: its SHA-256 does not begin "
        f"as its name says. Remove it, and it is downloaded again, or put there what {url} gives."
    )


@pytest.mark.parametrize("name", ["encoder_unet", "deeplabv3", "fcn", "smp"])
def test_images_of_other_channels(name: str) -> None:
    with pytest.raises(ExperimentError) as error:
        build(name, in_channels=1)
    assert str(error.value) == (
        f"model.{name}.weights: weights learnt on ImageNet take images of 3 channels, got 1. "
        "Write weights: none."
    )


def test_all_torchvision_files_tell_their_hash() -> None:
    names = {"resnet18", "resnet34", "resnet50", "resnet101", "vgg13_bn", "vgg16_bn", "mobilenet_v3_large"}
    for name in names:
        stem = Path(models.get_model_weights(name)["IMAGENET1K_V1"].url).stem
        assert len(bytes.fromhex(stem.rpartition("-")[2])) == 4, stem


def engine_network(
    init: str, norm: str, seed: int, weights: str = "imagenet", **norm_knobs: object
) -> nn.Module:
    config = tiny_config(
        model=Choice.of("model", "encoder_unet", encoder="resnet18", weights=weights),
        norm=Choice.of("norm", norm, **norm_knobs),
        init=Choice.of("init", init),
    )
    return build_network(config, in_channels=3, seed=seed, numerics=Numerics(torch.device("cpu"), "fp32", 1))


def refuse(*given: object, **named: Mapping[str, object]) -> None:
    raise urllib.error.URLError("no network")
