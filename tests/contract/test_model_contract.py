"""Networks: the contract, and the sizes that the reference studies state."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import torch

from segbench import contract, registry
from segbench.api import build_model
from segbench.axes import model
from segbench.config.resolve import type_of
from segbench.config.trial import Choice
from segbench.contract import Check, Subject
from segbench.engine.instruments import parameters_without_gradient
from segbench.errors import ExperimentError
from segbench.sizes import size_multiple

AXIS = "model"
FAMILIES = ("unet", "resnet34_unet", "attention_unet", "encoder_unet", "deeplabv3", "fcn", "smp")
# Under tests of their own: PSPNet keeps unused stages, PAN has layers of one channel behind a ReLU, which are
# dead at some starts.
SMP_ARCHS = get_args(type_of(registry.find(AXIS, "smp").knobs["arch"].annotation))

NARROW_RESNET = {"blocks": [1, 1, 1, 1]}
DEFAULTS = {
    "encoder_unet": {"encoder": "resnet18"},
    "deeplabv3": {"backbone": "mobilenet_v3_large"},
    "smp": {"encoder": "mobilenet_v2"},
    **{
        name: NARROW_RESNET
        for name, variant in registry.variants(AXIS).items()
        if variant.preset_of == "resnet34_unet"
    },
}
"""A preset is tested on shallow stages: the depth is that of `resnet34_unet` itself."""

SETTINGS = {
    "unet": [
        {"up": "bilinear"},
        {"depth": 2, "width": 5},
        {"depth": 1, "up": "bilinear", "width": 5},
        {"depth": 2, "fit": "pad", "skips": "attention", "dropout": 0.5},
        {"depth": 2, "up": "bilinear", "skips": "attention", "concat": "up_first"},
    ],
    "resnet34_unet": [
        {"blocks": [1, 2]},
        {"blocks": [1], "width": 3},
        {
            "blocks": [1, 1],
            "width": 6,
            "decoder": "concat_then_up",
            "bottleneck": "conv",
            "stem_skip": "none",
        },
        {
            "blocks": [1, 2],
            "decoder": "concat_then_up",
            "stem_skip": "none",
            "up": "bilinear",
            "decoder_width": "half",
            "end": "transposed",
            "fit": "pad",
        },
        {
            "blocks": [1, 2],
            "width": 16,
            "bottleneck": "residual",
            "decoder_width": "halving",
            "shortcut_bias": True,
        },
        {"blocks": [1], "stem_skip": "none", "bottleneck": "none", "end": "bilinear"},
        {"blocks": [2, 2], "stride_on": "every_block", "fit": "pad", "norm_scope": "double_convs"},
    ],
    "resnet34_unet_r4": [{"blocks": [1, 2, 1, 1], "stride_on": "every_block"}],
}
FULL = {
    **{
        name: [{"width": variant.knobs["width"].default}]
        for name, variant in registry.variants(AXIS).items()
        if "width" in variant.knobs
    },
    "encoder_unet": [{"encoder": name} for name in ("resnet34", "resnet50", "vgg13_bn", "vgg16_bn")],
    "deeplabv3": [{"backbone": name} for name in ("resnet50", "resnet101")],
    "fcn": [{"backbone": "resnet101"}],
    "smp": [
        *({"arch": arch, "encoder": "resnet18"} for arch in SMP_ARCHS if arch not in ("pspnet", "pan")),
        {"arch": "segformer", "encoder": "mit_b0"},
        {"encoder": "densenet121"},
        {"encoder": "tu-resnet10t"},
    ],
}
ONCE = dict.fromkeys(("compiles", "exports"), FAMILIES)

NORMS = {
    "batch": Choice.of("norm", "batch"),
    "none": Choice.of("norm", "none"),
    "none with bias": Choice.of("norm", "none", conv_bias=True),
    "dyt": Choice.of("norm", "dyt"),
}
UNET = {"batch": 31_037_633, "none": 31_025_857, "none with bias": 31_031_745, "dyt": 31_043_521}
PARAMETERS = [
    ("unet", {}, UNET),
    ("unet", {"up": "bilinear"}, {"batch": 17_262_977}),
    ("unet_r0", {}, UNET),
    ("unet_r1", {}, {"batch": 31_037_633}),
    ("unet_r2", {}, {"batch": 31_037_633}),
    ("unet_r3", {}, {"batch": 31_037_633}),
    ("unet_r4", {}, {"batch": 31_037_633}),
    ("unet_r4", {"up": "bilinear"}, {"batch": 17_262_977}),
    ("attention_unet", {}, {"batch": 31_554_628}),
    ("resnet34_unet", {}, {"batch": 29_162_049}),
    (
        "resnet34_unet_r0",
        {},
        {"batch": 17_991_809, "none": 17_978_241, "none with bias": 17_985_025, "dyt": 17_998_593},
    ),
    ("resnet34_unet_r1", {}, {"batch": 48_194_369}),
    ("resnet34_unet_r2", {}, {"batch": 29_162_049}),
    ("resnet34_unet_r3", {}, {"batch": 48_194_497}),
    ("resnet34_unet_r4", {}, {"batch": 29_961_057}),
    ("resnet34_unet_r4", {"stride_on": "every_block"}, {"batch": 30_867_553}),
    ("resnet34_unet_r4", {"stem_skip": "before_pooling"}, {"batch": 29_942_497}),
    ("encoder_unet", {"encoder": "resnet18"}, {"batch": 18_957_281}),
    (
        "encoder_unet",
        {},
        {"batch": 29_065_441, "none": 29_044_417, "none with bias": 29_054_913, "dyt": 29_075_953},
    ),
    ("encoder_unet", {"encoder": "resnet50"}, {"batch": 40_689_121}),
    ("encoder_unet", {"encoder": "vgg13_bn"}, {"batch": 18_366_721}),
    ("encoder_unet", {"encoder": "vgg16_bn"}, {"batch": 23_678_977}),
    ("deeplabv3", {}, {"batch": 39_633_729, "none": 39_577_025, "none with bias": 39_605_377}),
    ("deeplabv3", {"backbone": "resnet101"}, {"batch": 58_625_857}),
    ("deeplabv3", {"backbone": "mobilenet_v3_large"}, {"batch": 11_020_337}),
    ("fcn", {}, {"batch": 32_946_753}),
    ("fcn", {"backbone": "resnet101"}, {"batch": 51_938_881}),
    ("smp", {}, {"batch": 24_436_369}),
]
"""Variant, knobs, norm -> parameters for 3 channels in and 1 out; the presets' are what the reference studies
state."""

MULTIPLES = {
    "unet": 16,
    "unet_r0": 16,
    "unet_r1": 16,
    "unet_r2": 16,
    "unet_r3": 16,
    "unet_r4": 1,
    "attention_unet": 16,
    "resnet34_unet": 32,
    "resnet34_unet_r0": 32,
    "resnet34_unet_r1": 64,
    "resnet34_unet_r2": 32,
    "resnet34_unet_r3": 64,
    "resnet34_unet_r4": 1,
    "encoder_unet": 32,
    "deeplabv3": 1,
    "fcn": 1,
    "smp": 1,
}

POOLED = {"deeplabv3": "instance"}
"""Networks that average an image to one pixel, which an instance norm cannot train on."""


def build(name: str, norm: str = "none", **knobs: Any) -> torch.nn.Module:
    return model.build(Choice.of("model", name, **knobs), NORMS.get(norm) or Choice.of("norm", norm))


def narrow(name: str, norm: str = "none", **knobs: Any) -> torch.nn.Module:
    widths = {"width": 16} if "width" in registry.find(AXIS, name).knobs else {}
    return build(name, norm, **{**widths, **DEFAULTS.get(name, {}), **knobs})


def side_of(network: torch.nn.Module) -> int:
    """Return a side that leaves maps of 2x2 or more at the deepest level."""
    multiple: int = network.size_multiple  # type: ignore[assignment]
    return 2 * multiple if multiple > 1 else 64


def test_keeps_the_contract(subject: Subject, check: Check) -> None:
    check.function(subject)


def test_every_model_has_a_known_size() -> None:
    known = set(registry.variants(AXIS))
    assert {name for name, _, _ in PARAMETERS} == known
    assert set(MULTIPLES) == known


@pytest.mark.parametrize("name", ["unet", "resnet34_unet"])
def test_every_value_of_every_knob_is_tested(name: str) -> None:
    presets = [v for v in registry.variants(AXIS).values() if name in (v.name, v.preset_of)]
    subjects = [
        Subject.of(v, **knobs)
        for v in presets
        for knobs in [DEFAULTS.get(v.name, {}), *SETTINGS.get(v.name, [])]
    ]
    for knob in registry.find(AXIS, name).knobs.values():
        kind = type_of(knob.annotation)
        values = (
            {True, False} if kind is bool else set(get_args(kind)) if get_origin(kind) is Literal else set()
        )
        assert values <= {s.knobs[knob.name] for s in subjects if not isinstance(s.knobs[knob.name], list)}, (
            knob.name
        )


@pytest.mark.parametrize(
    ("name", "knobs", "norm", "expected"),
    [
        pytest.param(
            name, knobs, norm, count, id="-".join([name, *(f"{k}={v}" for k, v in knobs.items()), norm])
        )
        for name, knobs, counts in PARAMETERS
        for norm, count in counts.items()
    ],
)
def test_parameters(name: str, knobs: dict[str, Any], norm: str, expected: int) -> None:
    with torch.device("meta"):
        network = build(name, norm, **knobs)
    assert sum(p.numel() for p in network.parameters()) == expected


@pytest.mark.parametrize(("name", "counts"), [(name, counts) for name, _, counts in PARAMETERS])
def test_the_documentation_states_the_count(name: str, counts: dict[str, int]) -> None:
    assert f"{counts['batch']:,}" in registry.find(AXIS, name).doc


@pytest.mark.parametrize("name", MULTIPLES)
def test_size_multiple(name: str) -> None:
    assert size_multiple(name, {}) == MULTIPLES[name]
    with torch.device("meta"):
        assert build(name).size_multiple == MULTIPLES[name]


def test_size_multiple_follows_the_depth() -> None:
    assert size_multiple("unet", {"depth": 2}) == 4
    assert size_multiple("resnet34_unet", {"blocks": [1, 1]}) == 8


@pytest.mark.parametrize("name", MULTIPLES)
@pytest.mark.parametrize("norm", sorted(registry.variants("norm")))
def test_every_model_trains_with_every_norm(name: str, norm: str) -> None:
    if POOLED.get(name) == norm:
        with pytest.raises(ValueError, match="Expected more than 1 spatial element when training"):
            narrow(name, norm)(torch.zeros(2, 3, 64, 64))
        return
    torch.manual_seed(0)
    network = narrow(name, norm)
    side = side_of(network)
    logits = network(torch.randn(2, 3, side, side))
    assert logits.shape == (2, 1, side, side)
    logits.square().mean().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name


@pytest.mark.parametrize("name", [name for name, multiple in MULTIPLES.items() if multiple > 1])
def test_a_size_it_cannot_take(name: str) -> None:
    network = narrow(name)
    multiple = MULTIPLES[name]
    with pytest.raises(
        ValueError, match=rf"multiples of {multiple}, got {3 * multiple + 1}\. The nearest are"
    ):
        network(torch.zeros(1, 3, 2 * multiple, 3 * multiple + 1))


def test_batch_norm_on_one_pixel_needs_two_images() -> None:
    network = build("deeplabv3", "batch", backbone="mobilenet_v3_large")
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        network(torch.zeros(1, 3, 64, 64))
    assert network.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 1, 64, 64)


@pytest.mark.full
@pytest.mark.parametrize(
    ("arch", "encoder", "unused"),
    [
        ("pspnet", "resnet18", ("encoder.layer3.", "encoder.layer4.")),
        ("fpn", "efficientnet-b0", ("encoder._conv_head.", "encoder._bn1.")),
    ],
)
def test_what_the_library_keeps_unused_is_all_that_breaks_the_contract(
    arch: str, encoder: str, unused: tuple[str, ...]
) -> None:
    subject = Subject.of(registry.find(AXIS, "smp"), arch=arch, encoder=encoder)
    broken = [outcome.check.name for outcome in contract.run(subject) if not outcome.is_ok]
    assert broken == ["reaches_every_parameter"]
    network = build("smp", "batch", arch=arch, encoder=encoder)
    names = {name for name, _ in network.named_parameters() if name.startswith(unused)}
    assert set(parameters_without_gradient(network, torch.randn(2, 3, 64, 64))) == names


@pytest.mark.full
def test_pan_breaks_the_contract_in_its_dead_layers_alone() -> None:
    subject = Subject.of(registry.find(AXIS, "smp"), arch="pan", encoder="resnet18")
    (reason,) = (outcome.reason for outcome in contract.run(subject) if not outcome.is_ok)
    assert reason.startswith("decoder.fpa.")


@pytest.mark.full
@pytest.mark.parametrize("name", FAMILIES)
def test_the_compiler_generates_code_for_one_graph(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not the machine's cache: a run that was killed leaves files in it that are cut short.
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.manual_seed(0)
    network = narrow(name, "batch").eval()
    images = torch.randn(2, 3, side_of(network), 2 * side_of(network))
    compiled = torch.compile(network, fullgraph=True, backend="inductor")
    with torch.no_grad():
        torch.testing.assert_close(compiled(images), network(images), rtol=1e-3, atol=1e-4)
    torch.compiler.reset()


def test_unet_halves_and_doubles_as_the_standard_network() -> None:
    with torch.device("meta"):
        network = build("unet", "batch")
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
        ours = build("resnet34_unet", "batch")
        theirs = torchvision.models.resnet34()
    shapes = [p.shape for p in [*ours.stem.parameters(), *ours.stages.parameters()]]
    expected = [p.shape for name, p in theirs.named_parameters() if not name.startswith("fc")]
    assert sorted(map(tuple, shapes)) == sorted(map(tuple, expected))


def test_the_resnet_encoder_computes_what_torchvisions_does() -> None:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    ours = build("resnet34_unet", "batch").eval()
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
