"""Schedules: the contract, factors computed by hand, and PyTorch's own where they define the same thing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from segbench import registry
from segbench.contract import Check, Subject

AXIS = "schedule"
SETTINGS = {
    "constant": [{"warmup_epochs": 2.0}],
    "cosine": [{"warmup_epochs": 2.5}],
    "poly": [{"power": 2.0, "warmup_epochs": 0.5}],
    "one_cycle": [{"anneal": "linear"}, {"warmup_epochs": 1.0}],
    "plateau": [{"patience": 0, "cooldown": 1}, {"patience": 1, "warmup_epochs": 1.5}],
}

HALF = math.sqrt(0.5)
FACTORS = {
    "constant": [1.0, 1.0, 1.0, 1.0],
    "cosine": [1.0, (1 + HALF) / 2, 0.5, (1 - HALF) / 2],
    "poly": [1.0, 0.75**0.9, 0.5**0.9, 0.25**0.9],
    "one_cycle": [
        0.04,
        1 + (0.04 - 1) * (1 + math.cos(math.pi * 0.25 / 0.3)) / 2,
        4e-6 + (1 - 4e-6) * (1 + math.cos(math.pi * 0.2 / 0.7)) / 2,
        4e-6 + (1 - 4e-6) * (1 + math.cos(math.pi * 0.45 / 0.7)) / 2,
    ],
    "plateau": [1.0, 1.0, 1.0, 1.0],
}
"""At the start of each of four epochs, while the objective stands still."""

TORCH = 1e-12


def ask(factor: Any, epoch: float, epochs: int, objective: Sequence[float] = ()) -> float:
    return (
        factor(epoch, epochs, objective) if getattr(factor, "is_adaptive", False) else factor(epoch, epochs)
    )


def by_step(factor: Any, epochs: int, steps: int) -> list[float]:
    return [factor(epoch + step / steps, epochs) for epoch in range(1, epochs + 1) for step in range(steps)]


def theirs(make: Any, count: int) -> list[float]:
    """Return the first rates of a scheduler of PyTorch over an optimiser whose own rate is 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, rates = make(optimizer), []
    for _ in range(count):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


def test_keeps_the_contract(subject: Subject, check: Check) -> None:
    check.function(subject)


def test_every_schedule_has_factors() -> None:
    assert set(FACTORS) == set(registry.variants(AXIS))


@pytest.mark.parametrize("name", FACTORS)
def test_factors(name: str) -> None:
    factor = registry.build(AXIS, name)
    found = [ask(factor, epoch, 4, [0.5] * (epoch - 1)) for epoch in (1, 2, 3, 4)]
    assert found == pytest.approx(FACTORS[name], rel=1e-12)


def test_what_is_asked_of_each() -> None:
    marks = {
        name: {a for a in ("is_per_step", "is_adaptive") if getattr(registry.build(AXIS, name), a, False)}
        for name in registry.variants(AXIS)
    }
    assert marks == {
        "constant": set(),
        "cosine": set(),
        "poly": {"is_per_step"},
        "one_cycle": {"is_per_step"},
        "plateau": {"is_adaptive"},
    }
    for name in marks:
        warm = registry.build(AXIS, name, warmup_epochs=1.0)
        assert warm.is_per_step
        assert warm.is_adaptive == (name == "plateau")


def test_cosine_steps_as_pytorch() -> None:
    expected = theirs(lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=7), 7)
    factor = registry.build(AXIS, "cosine")
    assert [factor(epoch, 7) for epoch in range(1, 8)] == pytest.approx(expected, abs=TORCH)


@pytest.mark.parametrize("power", [0.9, 1.0, 2.0])
def test_poly_steps_as_pytorch(power: float) -> None:
    expected = theirs(lambda optimizer: lr_scheduler.PolynomialLR(optimizer, total_iters=35, power=power), 35)
    found = by_step(registry.build(AXIS, "poly", power=power), 7, 5)
    assert found == pytest.approx(expected, abs=TORCH)


@pytest.mark.parametrize("anneal", ["cos", "linear"])
def test_one_cycle_steps_as_pytorch_that_ends_one_step_later(anneal: str) -> None:
    total = 40
    expected = theirs(
        lambda optimizer: lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=1.0,
            total_steps=total + 1,
            pct_start=(0.25 * total + 1) / (total + 1),
            div_factor=10,
            final_div_factor=100,
            anneal_strategy=anneal,
            cycle_momentum=False,
        ),
        total,
    )
    knobs = {"pct_start": 0.25, "div_factor": 10.0, "final_div_factor": 100.0, "anneal": anneal}
    found = by_step(registry.build(AXIS, "one_cycle", **knobs), 8, 5)
    assert found == pytest.approx(expected, abs=TORCH)
    assert max(found) == found[10] == 1.0


OBJECTIVES = {
    "rises and stands": [min(epoch, 6) / 10 for epoch in range(30)],
    "swings": [0.5 + 0.1 * math.sin(3 * epoch) + epoch / 1000 for epoch in range(30)],
    "misses values": [math.nan if epoch % 4 == 0 else epoch / (epoch + 9) for epoch in range(30)],
    "is never there": [math.nan] * 30,
    "creeps": [0.5 + 2e-5 * epoch for epoch in range(30)],
}


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    "knobs",
    [
        {"factor": 0.5, "patience": 2},
        {"factor": 0.5, "patience": 0, "cooldown": 3, "threshold": 0.05},
        {"factor": 0.5, "patience": 1, "threshold": 0.01, "threshold_mode": "abs"},
        {"factor": 0.5, "patience": 0, "min_factor": 0.2},
    ],
)
def test_plateau_drops_as_pytorch(mode: str, objective: str, knobs: dict[str, Any]) -> None:
    values = OBJECTIVES[objective] if mode == "max" else [1 - value for value in OBJECTIVES[objective]]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    renamed = {{"min_factor": "min_lr"}.get(name, name): value for name, value in knobs.items()}
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, mode=mode, eps=0.0, **renamed)
    factor = registry.build(AXIS, "plateau", **knobs)
    oriented = values if mode == "max" else [-value for value in values]
    for done, value in enumerate(values):
        assert factor(done + 1, 30, oriented[:done]) == pytest.approx(
            optimizer.param_groups[0]["lr"], abs=TORCH
        )
        scheduler.step(value)


@pytest.mark.parametrize("name", ["constant", "poly"])
def test_a_warm_up_steps_as_pytorch(name: str) -> None:
    """LinearLR, then the schedule over the steps that are left; poly is a plain line here."""
    steps, warmup, epochs = 5, 2, 8

    def chained(optimizer: torch.optim.Optimizer) -> Any:
        left = (epochs - warmup) * steps
        second = {
            "constant": lambda: lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=0),
            "poly": lambda: lr_scheduler.PolynomialLR(optimizer, total_iters=left, power=1.0),
        }[name]()
        first = lr_scheduler.LinearLR(optimizer, start_factor=0.25, total_iters=warmup * steps)
        return lr_scheduler.SequentialLR(optimizer, [first, second], milestones=[warmup * steps])

    knobs = {"power": 1.0} if name == "poly" else {}
    factor = registry.build(AXIS, name, warmup_epochs=2.0, warmup_start=0.25, **knobs)
    assert by_step(factor, epochs, steps) == pytest.approx(theirs(chained, epochs * steps), abs=TORCH)


def test_after_a_warm_up_a_schedule_by_epoch_changes_at_epochs() -> None:
    cold, warm = registry.build(AXIS, "cosine"), registry.build(AXIS, "cosine", warmup_epochs=1.5)
    assert [warm(epoch, 4) for epoch in (1, 1.75, 2.25)] == pytest.approx([0.01, 0.505, 0.835])
    assert [warm(epoch, 4) for epoch in (2.5, 2.75)] == [1.0, 1.0]
    assert [warm(epoch, 4) for epoch in (3, 3.25, 3.75)] == [cold(1.5, 2.5)] * 3
    assert warm(4.5, 4) == cold(2.5, 2.5)


def test_a_warm_up_rises_to_where_the_schedule_starts() -> None:
    factor = registry.build(AXIS, "one_cycle", warmup_epochs=2.0, warmup_start=0.5)
    assert [factor(epoch, 6) for epoch in (1, 2, 3)] == pytest.approx([0.02, 0.03, 0.04])


def test_plateau_does_not_count_the_warm_up() -> None:
    factor = registry.build(AXIS, "plateau", patience=1, warmup_epochs=1.5, warmup_start=1.0)
    falling = [0.9, 0.8, 0.3, 0.3, 0.3]
    assert [factor(done + 1, 9, falling[:done]) for done in range(6)] == [1, 1, 1, 1, 1, 0.1]
