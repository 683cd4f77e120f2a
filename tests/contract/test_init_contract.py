"""Initialisations: the contract, and the distributions they state."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from segbench import registry
from segbench.api import build_model
from segbench.contract import Check, Subject

AXIS = "init"
SETTINGS = {
    "he": [{"mode": "fan_in"}, {"transposed": False}],
    "xavier": [{"gain": 2.0}],  # `within: residual_blocks` asks for a network: see below
    "orthogonal": [{"gain": 2.0}],
}

# A 3x3 convolution of 32 to 64 channels: fan_in 288, fan_out 576. Standard deviations:
SPREADS = [
    ("default", {}, 1 / math.sqrt(288) / math.sqrt(3)),
    ("he", {}, math.sqrt(2 / 576)),
    ("he", {"mode": "fan_in"}, math.sqrt(2 / 288)),
    ("xavier", {}, math.sqrt(2 / (288 + 576))),
    ("xavier", {"gain": 2.0}, 2 * math.sqrt(2 / (288 + 576))),
    ("orthogonal", {}, math.sqrt(1 / 288)),
    ("orthogonal", {"gain": 2.0}, 2 * math.sqrt(1 / 288)),
]


def test_keeps_the_contract(subject: Subject, check: Check) -> None:
    check.function(subject)


def test_every_init_has_a_spread() -> None:
    assert {name for name, _, _ in SPREADS} == set(registry.variants(AXIS))


@pytest.mark.parametrize(("name", "knobs", "expected"), SPREADS)
def test_spread(name: str, knobs: dict[str, object], expected: float) -> None:
    layer = initialised(nn.Conv2d(32, 64, 3), name, **knobs)
    assert layer.weight.std().item() == pytest.approx(expected, rel=0.02)  # of 18,432 draws
    assert layer.weight.mean().item() == pytest.approx(0, abs=0.03 * expected)
    if name == "default":
        assert layer.bias.abs().max().item() <= 1 / math.sqrt(288)
        assert layer.bias.std() > 0
    else:
        assert not layer.bias.any()


def test_he_is_normal_and_xavier_uniform() -> None:
    he = initialised(nn.Conv2d(32, 64, 3), "he").weight
    assert kurtosis(he) == pytest.approx(3, abs=0.2)
    xavier = initialised(nn.Conv2d(32, 64, 3), "xavier").weight
    assert kurtosis(xavier) == pytest.approx(1.8, abs=0.05)
    assert xavier.abs().max().item() <= math.sqrt(6 / (288 + 576))


@pytest.mark.parametrize(
    "network",
    [
        {"resnet34_unet_r4": {"width": 4, "blocks": [1, 1]}},
        {"resnet34_unet_r3": {"width": 4, "blocks": [1, 1]}},
        {"encoder_unet": {"encoder": "resnet18"}},
    ],
)
def test_xavier_can_be_kept_to_residual_blocks(network: dict[str, dict[str, object]]) -> None:
    """R4 draws so in its residual blocks alone: stem, decoder, end and head start as by default."""
    modules = dict(build_model(network).named_modules())
    blocks = [f"{name}." for name, module in modules.items() if type(module).__name__ == "BasicBlock"]
    is_drawn = {}
    for name, layer in modules.items():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            weight, default, xavier = (
                initialised(layer, axis, **knobs).weight.detach().clone()
                for axis, knobs in [
                    ("xavier", {"within": "residual_blocks"}),
                    ("default", {}),
                    ("xavier", {}),
                ]
            )
            assert not torch.equal(default, xavier)
            is_drawn[name] = torch.equal(weight, xavier)
            assert is_drawn[name] or torch.equal(weight, default)
    assert {name for name, drawn in is_drawn.items() if drawn} == {
        name for name in is_drawn if name.startswith(tuple(blocks))
    }
    assert 0 < sum(is_drawn.values()) < len(is_drawn)


def test_xavier_in_residual_blocks_leaves_a_network_without_them() -> None:
    layer = nn.Conv2d(3, 8, 3)
    left = initialised(layer, "xavier", within="residual_blocks").weight.detach().clone()
    assert torch.equal(left, initialised(layer, "default").weight)


def test_he_can_leave_transposed_convolutions() -> None:
    drawn = initialised(nn.ConvTranspose2d(64, 32, 2, stride=2), "he")
    assert drawn.weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 4)), rel=0.05)
    left = initialised(nn.ConvTranspose2d(64, 32, 2, stride=2), "he", transposed=False)
    default = initialised(nn.ConvTranspose2d(64, 32, 2, stride=2), "default")
    assert torch.equal(left.weight, default.weight)


@pytest.mark.parametrize(
    ("layer", "is_wide"),
    [
        (nn.Conv2d(32, 64, 3), True),
        (nn.Conv2d(2, 64, 3), False),
        (nn.Linear(8, 4), True),
        (nn.ConvTranspose2d(64, 32, 2, stride=2), True),
        (nn.ConvTranspose2d(64, 4, 2, stride=2), False),
    ],
)
def test_orthogonal_is(layer: nn.Module, is_wide: bool) -> None:
    matrix = initialised(layer, "orthogonal", gain=3.0).weight.detach().flatten(1).double()
    product = matrix @ matrix.T if is_wide else matrix.T @ matrix
    torch.testing.assert_close(product, 9 * torch.eye(len(product)).double(), rtol=0, atol=1e-5)


def test_orthogonal_up_sampling_keeps_the_length_of_features() -> None:
    up = initialised(nn.ConvTranspose2d(64, 32, 2, stride=2), "orthogonal")
    features = torch.randn(2, 64, 5, 5, generator=torch.Generator().manual_seed(0))
    assert up(features).norm().item() == pytest.approx(features.norm().item(), rel=1e-5)


def test_default_is_what_the_constructor_draws() -> None:
    seed = int(torch.randint(2**63 - 1, (), generator=torch.Generator().manual_seed(7)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        expected = nn.Conv2d(32, 64, 3)
    layer = initialised(nn.Conv2d(32, 64, 3), "default", seed=7)
    assert torch.equal(layer.weight, expected.weight)
    assert torch.equal(layer.bias, expected.bias)


@pytest.mark.parametrize("name", sorted(registry.variants(AXIS)))
@pytest.mark.parametrize("norm", sorted(registry.variants("norm")))
def test_norms_keep_their_start(name: str, norm: str) -> None:
    knobs = {"start": 0.5} if norm == "dyt" else {}
    layer = registry.build("norm", norm, 8, **knobs)
    for parameter_name, parameter in initialised(layer, name).named_parameters():
        expected = {"weight": 1.0, "bias": 0.0, "alpha": 0.5}[parameter_name]
        assert set(parameter.tolist()) == {expected}, parameter_name


def test_a_module_that_cannot_be_reset_is_left() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(1e-6))

    assert initialised(Scale(), "he").scale.item() == pytest.approx(1e-6)


def initialised(module: nn.Module, name: str, *, seed: int = 0, **knobs: object) -> nn.Module:
    registry.build(AXIS, name, module, torch.Generator().manual_seed(seed), **knobs)
    return module


def kurtosis(weight: Tensor) -> float:
    centred = weight.detach() - weight.mean().detach()
    return (centred.pow(4).mean() / centred.square().mean().square()).item()
