"""Normalisation layers: the contract, and their formulas."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from segbench import registry
from segbench.contract import Check, Subject

AXIS = "norm"
SETTINGS = {
    "none": [{"conv_bias": True}],
    "dyt": [{"per_channel": False, "start": 0.5}],
    "group": [{"groups": 1}, {"groups": 4}],
    "instance": [{"affine": False}],
}


def standardised(features: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    mean = features.mean(dims, keepdim=True)
    return (features - mean) / (features.var(dims, unbiased=False, keepdim=True) + eps).sqrt()


def grouped(features: Tensor, groups: int) -> Tensor:
    n, c, h, w = features.shape
    return standardised(features.reshape(n, groups, c // groups, h, w), (2, 3, 4), 1e-5).reshape(n, c, h, w)


FORMULAS: dict[str, Callable[[Tensor], Tensor]] = {
    "batch": lambda x: standardised(x, (0, 2, 3), 1e-5),
    "none": lambda x: x,
    "dyt": torch.tanh,
    "group": lambda x: grouped(x, 8),
    "instance": lambda x: standardised(x, (2, 3), 1e-5),
    "layer": lambda x: standardised(x, (1,), 1e-6),
}


def test_keeps_the_contract(subject: Subject, check: Check) -> None:
    check.function(subject)


def test_every_norm_has_a_formula() -> None:
    assert set(FORMULAS) == set(registry.variants(AXIS))


@pytest.mark.parametrize("name", FORMULAS)
def test_formula(name: str) -> None:
    features = 3 * torch.randn(2, 16, 5, 7, generator=torch.Generator().manual_seed(0)) + 1
    layer = registry.build(AXIS, name, 16, **_defaults(name))
    expected = FORMULAS[name](features)
    torch.testing.assert_close(layer(features), expected, rtol=1e-4, atol=1e-5)
    parameters = dict(layer.named_parameters())
    if "weight" in parameters:
        with torch.no_grad():
            layer.weight.copy_(torch.arange(16) / 8)
            layer.bias.copy_(torch.arange(16) / 4 - 1)
        scaled = expected * layer.weight[:, None, None] + layer.bias[:, None, None]
        torch.testing.assert_close(layer(features), scaled, rtol=1e-4, atol=1e-5)


def test_batch_norm_evaluates_with_running_statistics() -> None:
    layer = registry.build(AXIS, "batch", 2, momentum=0.5)
    features = torch.tensor([1.0, 3.0]).reshape(1, 1, 1, 2).repeat(1, 2, 1, 1)
    layer(features)
    torch.testing.assert_close(layer.running_mean, torch.tensor([1.0, 1.0]))  # half of 2
    torch.testing.assert_close(layer.running_var, torch.tensor([1.5, 1.5]))  # (1 + the unbiased 2) / 2


def test_dyt_has_an_alpha_a_channel_or_one() -> None:
    per_channel = registry.build(AXIS, "dyt", 16)
    scalar = registry.build(AXIS, "dyt", 16, per_channel=False, start=0.5)
    assert per_channel.alpha.tolist() == [1.0] * 16
    assert scalar.alpha.tolist() == [0.5]
    features = torch.randn(2, 16, 3, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(scalar(features), torch.tanh(0.5 * features))


def test_layer_norm_is_no_group_norm_with_one_group() -> None:
    features = torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    out = registry.build(AXIS, "layer", 8)(features)
    torch.testing.assert_close(out.mean(1), torch.zeros(1, 4, 4), rtol=0, atol=1e-6)  # at each pixel
    assert (registry.build(AXIS, "group", 8, groups=1)(features).mean(1).abs() > 1e-3).any()


def test_only_none_can_give_convolutions_a_bias() -> None:
    with_knob = [name for name, variant in registry.variants(AXIS).items() if "conv_bias" in variant.knobs]
    assert with_knob == ["none"]


def _defaults(name: str) -> dict[str, object]:
    return {k.name: k.default for k in registry.find(AXIS, name).knobs.values()}
