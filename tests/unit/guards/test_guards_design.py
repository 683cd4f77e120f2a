"""Axes that cannot be told apart, curves of two estimators, flaws without consent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from segbench import registry
from segbench.guards.design import (
    axes_vary_apart,
    consents_to_flaws,
    curves_have_one_estimator,
    levels_are_compared_alone,
)
from segbench.plan.plan import Plan
from segbench.signature import Variant

MakePlan = Callable[..., Plan]
AXES = (
    "axes:\n  norm: [batch, none]\n"
    "  augment: {levels: {none: none, flips: flips, turns: [{Rotate: {limit: 30}}]}, baseline: none}\n"
)


def cells(*pairs: str) -> str:
    named = (pair.split() for pair in pairs)
    listed = ", ".join(f"{{norm: {norm}, augment: {augment}}}" for norm, augment in named)
    return f"{AXES}design: {{cells: [{listed}]}}\n"


def test_two_axes_that_change_only_together(make_plan: MakePlan) -> None:
    plan = make_plan(cells("batch none", "none flips"))
    assert [f.text for f in axes_vary_apart(plan)] == [
        "exp: norm and augment: the axes change only together (batch with none, none with flips): no cell "
        "tells the effect of one from the other's. Add cells in which one changes alone, or write them as "
        "one axis whose levels set both."
    ]
    assert levels_are_compared_alone(plan) == []


def test_a_level_that_comes_only_with_another_axis(make_plan: MakePlan) -> None:
    plan = make_plan(cells("batch none", "batch flips", "none turns"))
    assert axes_vary_apart(plan) == []
    assert [f.text for f in levels_are_compared_alone(plan)] == [
        "exp: norm: no two cells differ in norm alone, none against batch: its effect cannot be told from "
        "that of augment. Add a cell with norm: none and all else as in a cell with batch.",
        "exp: augment: no two cells differ in augment alone, turns against none: its effect cannot be told "
        "from that of norm. Add a cell with augment: turns and all else as in a cell with none.",
    ]


def test_main_effects_without_a_pair_are_not_what_a_report_compares(make_plan: MakePlan) -> None:
    plan = make_plan(cells("batch none", "batch flips", "none flips", "none turns"))
    assert [f.text for f in levels_are_compared_alone(plan)] == [
        "exp: augment: no two cells differ in augment alone, turns against none: the report compares cells "
        "that are alike otherwise, and has no such pair. Add a cell with augment: turns and all else as in a "
        "cell with none."
    ]


@pytest.mark.parametrize(
    "more",
    [
        AXES,
        cells("batch none", "none none", "batch flips", "batch turns"),
        AXES + "exclude: [{norm: none, augment: turns}]\n",
        "axes: {norm: [batch, none]}\n",
        "",
    ],
)
def test_axes_that_can_be_told_apart(make_plan: MakePlan, more: str) -> None:
    plan = make_plan(more)
    assert axes_vary_apart(plan) == levels_are_compared_alone(plan) == []


@pytest.mark.parametrize(
    "more",
    [
        "axes: {norm: [batch, none], epochs: [10, 2], batch_size: [2, 4]}\ndesign: {zip: [norm, epochs]}\n",
        "axes: {norm: [batch, none], epochs: [10, 2], batch_size: [2, 4], precision: [fp32, tf32]}\n"
        "design: fractional\n",
        "axes:\n  optimizer: [adam, sgd]\n"
        "  momentum: {path: optimizer.momentum, levels: [0.9, 0], when: {optimizer: sgd}}\n",
        "axes: {norm: [batch, none], epochs: [10, 2]}\ndesign: one_at_a_time\n",
    ],
)
def test_designs_that_pair_their_cells_in_other_ways(make_plan: MakePlan, more: str) -> None:
    plan = make_plan(more)
    assert axes_vary_apart(plan) == levels_are_compared_alone(plan) == []


def test_a_conditional_level_without_its_baseline(make_plan: MakePlan) -> None:
    plan = make_plan(
        "axes:\n  optimizer: [adam, sgd]\n"
        "  momentum: {path: optimizer.momentum, levels: [0.9, 0], when: {optimizer: sgd}}\n"
        "design: {cells: [{optimizer: adam}, {optimizer: sgd, momentum: 0}]}\n"
    )
    found, _ = levels_are_compared_alone(plan)
    assert found.text.startswith("exp: optimizer: no two cells differ in optimizer alone, sgd against adam")


def test_curves_of_two_estimators_are_noted_with_what_makes_them_so(make_plan: MakePlan) -> None:
    plan = make_plan("axes: {augment: {levels: [none, flips], baseline: none}}\n")
    (found,) = curves_have_one_estimator(plan)
    assert found.text == (
        "exp: curves (flips): train_dice is a running mean while weights change, here with augmentation; "
        "val_dice is measured after the epoch in evaluation mode, on unchanged images. Their gap alone is no "
        "sign of over-fitting: compare val_dice; the report labels both."
    )
    assert curves_have_one_estimator(make_plan()) == []


@pytest.fixture
def flawed_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `norm: none` be a mistake made on purpose."""
    from dataclasses import replace

    find = registry.find

    def found(axis: str, name: str) -> Variant:
        variant = find(axis, name)
        return (
            replace(variant, flawed="it forgets to normalise")
            if (axis, name) == ("norm", "none")
            else variant
        )

    monkeypatch.setattr(registry, "find", found)


def test_a_flaw_needs_consent(make_plan: MakePlan, flawed_norm: None) -> None:
    assert [f.text for f in consents_to_flaws(make_plan())] == [
        "exp: norm: the variant is flawed on purpose: it forgets to normalise, got 'none'. Write "
        "`allow_flawed: true` into the file to measure what the mistake costs."
    ]
    assert consents_to_flaws(make_plan("axes: {norm: [batch, none]}\nallow_flawed: true\n")) == []
    assert consents_to_flaws(make_plan("axes: {norm: [batch, group]}\n")) == []


def test_a_flaw_in_a_search_space_needs_consent(make_plan: MakePlan, flawed_norm: None) -> None:
    space = "search: {trials: 2, space: {norm: {levels: [batch, none]}}}\n"
    assert [f.code for f in consents_to_flaws(make_plan(space))] == ["SB120"]
    assert consents_to_flaws(make_plan(space + "allow_flawed: true\n")) == []
