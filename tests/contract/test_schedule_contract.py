"""Schedules: the contract, and factors computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from segbench import registry
from segbench.contract import Check, Subject

AXIS = "schedule"

FACTORS = {
    "constant": [1.0, 1.0, 1.0, 1.0],
    "cosine": [1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2],
}
"""Of four epochs."""


def test_keeps_the_contract(subject: Subject, check: Check) -> None:
    check.function(subject)


def test_every_schedule_has_factors() -> None:
    assert set(FACTORS) == set(registry.variants(AXIS))


@pytest.mark.parametrize("name", FACTORS)
def test_factors(name: str) -> None:
    factor = registry.build(AXIS, name)
    assert [factor(epoch, 4) for epoch in (1, 2, 3, 4)] == pytest.approx(FACTORS[name])


def test_cosine_steps_as_pytorch() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7)
    factor = registry.build(AXIS, "cosine")
    for epoch in range(1, 8):
        assert factor(epoch, 7) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        theirs.step()
