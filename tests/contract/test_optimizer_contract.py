"""Optimisers: the contract, and steps computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from segbench import registry
from segbench.contract import Check, Subject
from segbench.errors import ExperimentError

AXIS = "optimizer"
SETTINGS = {
    "adam": [{"weight_decay": 0.01}],
    "adamw": [{"weight_decay": 0.0}],
    "rmsprop": [{"momentum": 0.9, "centered": True}, {"weight_decay": 0.01}],
    "sgd": [{"momentum": 0.0}, {"nesterov": True}, {"weight_decay": 0.01}],
}

# One weight, w = 2, loss w^2 / 2, so its gradient is w. Two steps at learning rate 0.1.


def adam_by_hand(decay: float = 0.0, decoupled: float = 0.0) -> float:
    w = 2.0
    m = v = 0.0
    for step in (1, 2):
        g = w + decay * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w *= 1 - 0.1 * decoupled
        w -= 0.1 * (m / (1 - 0.9**step)) / (math.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return w


def sgd_by_hand(momentum: float = 0.9, decay: float = 0.0, *, nesterov: bool = False) -> float:
    w, v = 2.0, 0.0
    for _ in (1, 2):
        g = w + decay * w
        v = momentum * v + g
        w -= 0.1 * (g + momentum * v if nesterov else v)
    return w


def rmsprop_by_hand(momentum: float = 0.0, decay: float = 0.0, *, centered: bool = False) -> float:
    w = 2.0
    v = mean = b = 0.0
    for _ in (1, 2):
        g = w + decay * w
        v = 0.99 * v + 0.01 * g * g
        mean = 0.99 * mean + 0.01 * g
        b = momentum * b + g / (math.sqrt(v - centered * mean**2) + 1e-8)
        w -= 0.1 * b
    return w


STEPS = [
    ("adam", {}, adam_by_hand()),
    ("adam", {"weight_decay": 0.5}, adam_by_hand(decay=0.5)),
    ("adamw", {}, adam_by_hand(decoupled=0.01)),
    ("adamw", {"weight_decay": 0.5}, adam_by_hand(decoupled=0.5)),
    ("rmsprop", {}, rmsprop_by_hand()),
    ("rmsprop", {"momentum": 0.5, "weight_decay": 0.5}, rmsprop_by_hand(0.5, 0.5)),
    ("rmsprop", {"centered": True}, rmsprop_by_hand(centered=True)),
    ("sgd", {}, sgd_by_hand()),
    ("sgd", {"momentum": 0.0, "weight_decay": 0.5}, sgd_by_hand(0.0, 0.5)),
    ("sgd", {"nesterov": True}, sgd_by_hand(nesterov=True)),
]


def test_keeps_the_contract(subject: Subject, check: Check) -> None:
    check.function(subject)


def test_every_optimizer_has_steps() -> None:
    assert {name for name, _, _ in STEPS} == set(registry.variants(AXIS))


@pytest.mark.parametrize(("name", "knobs", "expected"), STEPS)
def test_two_steps(name: str, knobs: dict[str, object], expected: float) -> None:
    weight = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    optimizer = registry.build(AXIS, name, [weight], lr=0.1, **knobs)
    for _ in range(2):
        optimizer.zero_grad()
        (weight.square() / 2).sum().backward()
        optimizer.step()
    assert weight.item() == pytest.approx(expected, rel=1e-9)


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(ExperimentError) as error:
        registry.build(AXIS, "sgd", [torch.zeros(1)], momentum=0.0, nesterov=True)
    assert str(error.value) == "optimizer.nesterov: it needs a momentum above 0, got 0.0."


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", sorted(registry.variants(AXIS)))
def test_on_a_gpu_the_step_is_one_kernel_a_graph_can_hold(name: str) -> None:
    """Fused, apart from RMSprop, for which PyTorch has no fused kernel."""
    weight = torch.ones(3, device="cuda", requires_grad=True)
    optimizer = registry.build(AXIS, name, [weight])
    assert all(group["foreach" if name == "rmsprop" else "fused"] for group in optimizer.param_groups)
    assert all(group.get("capturable", True) for group in optimizer.param_groups)
    weight.square().sum().backward()
    optimizer.step()
    assert (weight < 1).all()
