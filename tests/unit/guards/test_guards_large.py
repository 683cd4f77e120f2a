"""Large designs: what is built, written and compared follows the levels, not the cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from segbench.config.trial import Keys
from segbench.engine import network
from segbench.guards import levels, probes
from segbench.guards.data import Arms
from segbench.guards.levels import check_levels
from segbench.plan.costs import Hasher, kinds_of
from segbench.plan.plan import Plan

MakePlan = Callable[..., Plan]


def axes(num_levels: int, second: str) -> str:
    """Write an axis of learning rates and one of another path, each of so many levels."""
    rates = ", ".join(f"{(1 + k) / 1000:g}" for k in range(num_levels))
    others = ", ".join(f"{1 + k}" for k in range(num_levels))
    lr, other = f"{{path: optimizer.lr, levels: [{rates}]}}", f"{{path: {second}, levels: [{others}]}}"
    return f"axes:\n  lr: {lr}\n  other: {other}\n"


@pytest.fixture
def count(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str], Counter[str]]:
    """Return what the guards do on a design of so many levels squared."""
    counts: Counter[str] = Counter()

    def counted(owner: object, name: str) -> None:
        real = getattr(owner, name)

        def call(*given: object, **named: object) -> object:
            counts[name] += 1
            return real(*given, **named)

        monkeypatch.setattr(owner, name, call)

    monkeypatch.setattr(
        levels, "_MOST_PAIRS", 1
    )  # of every pair of levels one pair of cells, as of 100 levels
    counted(network, "_build")
    counted(probes, "measure")
    counted(levels, "_path")
    counted(levels, "compare")
    written = Keys._text

    def text(keys: Keys, value: object) -> str:
        before = len(keys.written)
        found = written(keys, value)
        counts["keys"] += len(keys.written) - before
        return found

    monkeypatch.setattr(Keys, "_text", text)

    def count(num_levels: int, second: str) -> Counter[str]:
        plan = make_plan(axes(num_levels, second), optimizer="{adam: {lr: 1e-3, weight_decay: 1}}")
        arms = Arms.of(plan)
        assert len(arms.cells) == num_levels**2
        counts.clear()
        check_levels(plan.experiment, arms.cells)
        return Counter(counts)

    return count


def test_losses_share_one_network(count: Callable[[int, str], Counter[str]]) -> None:
    few, many = count(3, "loss.bce.weight"), count(6, "loss.bce.weight")
    assert many["_build"] == few["_build"]
    assert (few["measure"], many["measure"]) == (3, 6)  # one per loss
    assert (few["compare"], many["compare"]) == (3, 15)  # one per pair of losses: rates are told apart unrun
    assert many["_path"] == 0
    assert many["keys"] - few["keys"] <= 3 * 3  # a loss, its one term and that term's weight
    assert many["keys"] < 36


def test_optimisers_share_one_network(count: Callable[[int, str], Counter[str]]) -> None:
    few, many = count(3, "optimizer.weight_decay"), count(6, "optimizer.weight_decay")
    assert many["_build"] == few["_build"]
    assert (few["measure"], many["measure"]) == (1, 1)
    assert (few["_path"], many["_path"]) == (3, 6)  # one per decay
    assert many["compare"] == 0
    assert many["keys"] - few["keys"] <= 6 * 6 - 3 * 3


def test_cells_that_cost_the_same_are_one_kind(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(axes(6, "optimizer.weight_decay"), optimizer="{adam: {lr: 1e-3, weight_decay: 1}}")
    made: list[Hasher] = []
    monkeypatch.setattr("segbench.plan.costs.Hasher", lambda: made.append(Hasher()) or made[-1])
    assert [len(cells) for cells in kinds_of(plan).values()] == [36]
    assert len(made) == 1
