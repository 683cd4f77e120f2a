"""The path that optimiser, clipping and schedule take on given gradients, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor, nn

from segbench import registry
from segbench.config.trial import TrialConfig
from segbench.sweep.checks.probe import quiet

_RTOL: Final = 1e-9
_STEPS_AN_EPOCH: Final = 4
_EPOCHS_STEPPED: Final = 3
_OBJECTIVES: Final = (
    lambda epoch: 0.01 * epoch,  # keeps improving
    lambda epoch: 0.5,  # stands still
    lambda epoch: 0.5 - abs(epoch - 4) / 100,  # turns
)
"""Courses of the objective that a schedule may answer to."""


def take_equal_steps(one: TrialConfig, other: TrialConfig) -> bool:
    """Whether two configurations change weights alike wherever their gradients are the same."""
    if (one.optimizer, one.schedule, one.grad_clip) == (other.optimizer, other.schedule, other.grad_clip):
        return True
    lrs = one.optimizer.knobs.get("lr"), other.optimizer.knobs.get("lr")
    if one.optimizer.name == other.optimizer.name and one.schedule == other.schedule and lrs[0] != lrs[1]:
        return False  # known without a step, which would import the compiler
    with quiet():
        rates, others = list(_rates(one)), list(_rates(other))
        first, second = _path(one, rates), _path(other, others)
    pairs = [*zip(rates, others, strict=True), *zip(first, second, strict=True)]
    return all(_agree(torch.as_tensor(a).double(), torch.as_tensor(b).double()) for a, b in pairs)


def _rates(config: TrialConfig) -> Iterator[float]:
    """Yield the schedule's factor over all epochs, a few steps each, for every course of the objective."""
    factor = registry.build("schedule", config.schedule.name, **config.schedule.knobs)
    courses = _OBJECTIVES if getattr(factor, "is_adaptive", False) else _OBJECTIVES[:1]
    for course in _OBJECTIVES:
        done: list[float] = []
        for epoch in range(1, config.epochs + 1):
            for step in range(_STEPS_AN_EPOCH):
                at = epoch + step / _STEPS_AN_EPOCH if getattr(factor, "is_per_step", False) else epoch
                yield factor(at, config.epochs, done) if len(courses) > 1 else factor(at, config.epochs)
            done = [*done, course(epoch)]


def _path(config: TrialConfig, rates: list[float]) -> Iterator[Tensor]:
    """Return the parameters after each of a few steps; gradients are small, middling and large in turn."""
    draw = torch.Generator().manual_seed(0)
    parameters = [
        nn.Parameter(torch.randn(shape, generator=draw, dtype=torch.float64))
        for shape in ((4, 3, 3, 3), (4,))
    ]
    optimizer = registry.build("optimizer", config.optimizer.name, parameters, **config.optimizer.knobs)
    bases = [float(group["lr"]) for group in optimizer.param_groups]
    path = []
    for step in range(_EPOCHS_STEPPED * _STEPS_AN_EPOCH):
        for group, base in zip(optimizer.param_groups, bases, strict=True):
            group["lr"] = base * rates[step % len(rates)]
        for parameter in parameters:
            noise = torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
            parameter.grad = noise * 10.0 ** (step % 4 - 2)
        if config.grad_clip is not None:
            nn.utils.clip_grad_norm_(parameters, config.grad_clip)
        before = [parameter.detach().clone() for parameter in parameters]
        optimizer.step()
        path += [parameter.detach() - old for parameter, old in zip(parameters, before, strict=True)]
    return iter(path)


def _agree(one: Tensor, other: Tensor) -> bool:
    size = max(float(one.abs().max()), float(other.abs().max()))
    return float((one - other).abs().max()) <= _RTOL * size
