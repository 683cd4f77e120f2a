"""The contract of an optimiser."""

from __future__ import annotations

import io

import torch
from torch import Tensor, nn, optim

from segbench.contract import Broken, Subject
from segbench.contract.tensors import expect_same, normal

STEPS = 200


def has_the_knob_lr(subject: Subject) -> None:
    """It has the knob `lr`, and the learning rate of its groups is that."""
    if "lr" not in subject.variant.knobs:
        raise Broken("there is no knob lr, which schedules and searches need")
    for group in _optimizer(subject, _weights()).param_groups:
        if float(group["lr"]) != float(subject.knobs["lr"]):
            raise Broken(f"lr is {subject.knobs['lr']:g}, the group's learning rate {float(group['lr']):g}")


def takes_any_iterable(subject: Subject) -> None:
    """Parameters may come as a generator and are all held."""
    layer = nn.Linear(3, 2)
    held = {id(p) for g in _optimizer(subject, layer.parameters()).param_groups for p in g["params"]}
    if held != {id(p) for p in layer.parameters()}:
        raise Broken("it does not hold every parameter it was given")


def descends(subject: Subject) -> None:
    """It lowers a quadratic at its default learning rate."""
    weights = _weights()
    optimizer = _optimizer(subject, weights)
    before = float(_quadratic(weights).detach())
    for _ in range(STEPS):
        _step(optimizer, weights)
    after = float(_quadratic(weights).detach())
    if not after < before:
        raise Broken(f"after {STEPS} steps the quadratic rose from {before:.4g} to {after:.4g}")


def moves_by_its_learning_rate(subject: Subject) -> None:
    """A learning rate of 0 in its groups stops it, so schedules have their way."""
    weights = _weights()
    optimizer = _optimizer(subject, weights)
    _step(optimizer, weights)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    held = [w.detach().clone() for w in weights]
    _step(optimizer, weights)
    for before, after in zip(held, weights, strict=True):
        expect_same(before, after.detach(), "weights after a step at learning rate 0")


def resumes_exactly(subject: Subject) -> None:
    """With its saved state a fresh optimiser goes on bit-identically."""
    weights = _weights()
    optimizer = _optimizer(subject, weights)
    for _ in range(3):
        _step(optimizer, weights)
    copies = [w.detach().clone().requires_grad_() for w in weights]
    resumed = _optimizer(subject, copies)
    buffer = io.BytesIO()
    torch.save(optimizer.state_dict(), buffer)
    buffer.seek(0)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    for _ in range(3):
        _step(optimizer, weights)
        _step(resumed, copies)
    for first, second in zip(weights, copies, strict=True):
        expect_same(first.detach(), second.detach(), "weights three steps after resuming")


def _weights() -> list[Tensor]:
    return [normal(4, 3).requires_grad_(), normal(3, seed=1).requires_grad_()]


def _quadratic(weights: list[Tensor]) -> Tensor:
    return torch.stack([(w - 2).square().sum() for w in weights]).sum()


def _step(optimizer: optim.Optimizer, weights: list[Tensor]) -> None:
    optimizer.zero_grad()
    _quadratic(weights).backward()
    optimizer.step()


def _optimizer(subject: Subject, parameters: object) -> optim.Optimizer:
    optimizer = subject.build(parameters)
    if not isinstance(optimizer, optim.Optimizer):
        raise Broken(f"the factory must return a torch.optim.Optimizer, got {type(optimizer).__name__}")
    return optimizer
