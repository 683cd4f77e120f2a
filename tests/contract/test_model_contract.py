"""Networks: the contract, and the sizes that the reference studies state."""

from __future__ import annotations

import pytest
import torch

from segbench import registry
from segbench.api import build_model
from segbench.axes import model
from segbench.config.trial import Choice
from segbench.contract import Check, Subject
from segbench.errors import ExperimentError
from segbench.sizes import size_multiple

AXIS = "model"
SETTINGS = {
    "unet": [{"up": "bilinear"}, {"depth": 2, "width": 5}, {"depth": 1, "up": "bilinear", "width": 5}],
    "resnet34_unet": [{"blocks": [1, 2]}, {"blocks": [1], "width": 3}],
}

PARAMETERS = {
    ("unet", "batch"): 31_037_633,
    ("unet", "none"): 31_025_857,
    ("unet", "none with bias"): 31_031_745,
    ("unet", "dyt"): 31_043_521,
    ("unet bilinear", "batch"): 17_262_977,
    ("resnet34_unet", "batch"): 29_162_049,
}
MODELS = {
    "unet": Choice.of("model", "unet"),
    "unet bilinear": Choice.of("model", "unet", up="bilinear"),
    "resnet34_unet": Choice.of("model", "resnet34_unet"),
}
NORMS = {
    "batch": Choice.of("norm", "batch"),
    "none": Choice.of("norm", "none"),
    "none with bias": Choice.of("norm", "none", conv_bias=True),
    "dyt": Choice.of("norm", "dyt"),
}
MULTIPLES = {"unet": 16, "resnet34_unet": 32}


def test_keeps_the_contract(subject: Subject, check: Check) -> None:
    check.function(subject)


def test_every_model_has_a_known_size() -> None:
    known = set(registry.variants(AXIS))
    assert {choice.name for choice in MODELS.values()} == known
    assert set(MULTIPLES) == known


@pytest.mark.parametrize(("name", "norm"), PARAMETERS)
def test_parameters(name: str, norm: str) -> None:
    with torch.device("meta"):
        network = model.build(MODELS[name], NORMS[norm])
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[name, norm]


@pytest.mark.parametrize("name", MULTIPLES)
def test_size_multiple(name: str) -> None:
    assert size_multiple(name, {}) == MULTIPLES[name]
    with torch.device("meta"):
        assert model.build(MODELS[name], NORMS["none"]).size_multiple == MULTIPLES[name]


def test_size_multiple_follows_the_depth() -> None:
    assert size_multiple("unet", {"depth": 2}) == 4
    assert size_multiple("resnet34_unet", {"blocks": [1, 1]}) == 8


@pytest.mark.parametrize("name", MULTIPLES)
@pytest.mark.parametrize("norm", sorted(registry.variants("norm")))
def test_every_model_trains_with_every_norm(name: str, norm: str) -> None:
    torch.manual_seed(0)
    network = model.build(Choice.of("model", name, width=8), Choice.of("norm", norm))
    side = 2 * network.size_multiple
    logits = network(torch.randn(2, 3, side, side))
    assert logits.shape == (2, 1, side, side)
    logits.square().mean().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name


@pytest.mark.parametrize("name", MULTIPLES)
def test_a_size_it_cannot_take(name: str) -> None:
    network = model.build(Choice.of("model", name, width=2), NORMS["none"])
    multiple = MULTIPLES[name]
    with pytest.raises(
        ValueError, match=rf"multiples of {multiple}, got {3 * multiple + 1}\. The nearest are"
    ):
        network(torch.zeros(1, 3, 2 * multiple, 3 * multiple + 1))


def test_unet_halves_and_doubles_as_the_standard_network() -> None:
    with torch.device("meta"):
        network = model.build(MODELS["unet"], NORMS["batch"])
    widths = [m.out_channels for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    down, up = [64, 128, 256, 512, 1024], [512, 256, 128, 64]
    assert widths == [w for width in down + up for w in (width, width)] + [1]
    transposed = [m for m in network.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    assert [(m.in_channels, m.out_channels) for m in transposed] == [
        (1024, 512),
        (512, 256),
        (256, 128),
        (128, 64),
    ]
    assert all(m.bias is not None and m.kernel_size == (2, 2) and m.stride == (2, 2) for m in transposed)


def test_the_resnet_encoder_is_torchvisions() -> None:
    torchvision = pytest.importorskip("torchvision")
    with torch.device("meta"):
        ours = model.build(MODELS["resnet34_unet"], NORMS["batch"])
        theirs = torchvision.models.resnet34()
    shapes = [p.shape for p in [*ours.stem.parameters(), *ours.stages.parameters()]]
    expected = [p.shape for name, p in theirs.named_parameters() if not name.startswith("fc")]
    assert sorted(map(tuple, shapes)) == sorted(map(tuple, expected))


def test_the_resnet_encoder_computes_what_torchvisions_does() -> None:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    ours = model.build(MODELS["resnet34_unet"], NORMS["batch"]).eval()
    theirs = torchvision.models.resnet34().eval()
    theirs.conv1.weight.data.copy_(ours.stem.conv.weight)
    for mine, block in zip(
        [b for stage in ours.stages for b in stage],
        [*theirs.layer1, *theirs.layer2, *theirs.layer3, *theirs.layer4],
        strict=True,
    ):
        block.conv1.weight.data.copy_(mine.first.conv.weight)
        block.conv2.weight.data.copy_(mine.second.conv.weight)
        if block.downsample is not None:
            block.downsample[0].weight.data.copy_(mine.shortcut.conv.weight)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        features = ours.pool(ours.stem(images))
        expected = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images))))
        for stage, layer in zip(
            ours.stages, [theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4], strict=True
        ):
            features, expected = stage(features), layer(expected)
            torch.testing.assert_close(features, expected)


def test_no_stages() -> None:
    with pytest.raises(ExperimentError) as error:
        build_model({"resnet34_unet": {"blocks": []}})
    assert str(error.value) == "spec: blocks must not be empty, got []."


def test_groups_that_do_not_divide() -> None:
    with pytest.raises(ExperimentError) as error:
        model.build(Choice.of("model", "unet", width=12), Choice.of("norm", "group", groups=8))
    assert str(error.value) == (
        "norm.groups: the groups must divide the 12 channels of every layer, got 8. "
        "Divisors: 1, 2, 3, 4, 6, 12."
    )
