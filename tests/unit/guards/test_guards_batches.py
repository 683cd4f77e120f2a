"""Batches of one image, and arms that are trained for different lengths."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from segbench.guards.data import Arms, arms_end_together, arms_train_equally_long, batch_norm_has_batches
from segbench.guards.finding import Finding
from segbench.plan.plan import Plan

MakePlan = Callable[..., Plan]


def texts(found: list[Finding]) -> list[str]:
    return [finding.text for finding in found]


def test_batch_norm_at_one_image_a_batch(make_plan: MakePlan) -> None:
    found = batch_norm_has_batches(Arms.of(make_plan(batch_size="1")))
    assert texts(found) == [
        "exp: batch_size (batch): batch normalisation at one image a batch trains by that image's own "
        "statistics and is evaluated by running averages, got 1. Take `norm: group` or `norm: instance`, or "
        "a larger batch_size."
    ]


def test_a_last_batch_of_one_image(make_plan: MakePlan) -> None:
    found = batch_norm_has_batches(Arms.of(make_plan(batch_size="7")))
    assert texts(found) == [
        "exp: batch_size (batch): the last batch of an epoch holds one of 8 training images, which batch "
        "normalisation then takes for the whole batch, got 7. Take batch_size: 6."
    ]


def test_the_place_names_no_cell_where_all_are_meant(make_plan: MakePlan) -> None:
    (found,) = batch_norm_has_batches(Arms.of(make_plan("axes: {augment: [none, flips]}\n", batch_size="1")))
    assert found.text.startswith("exp: batch_size: batch normalisation at one image")


@pytest.mark.parametrize(
    ("more", "batch_size"),
    [
        ("axes: {norm: [batch, none]}\n", "2"),
        ("axes: {norm: [batch, none]}\n", "3"),
        ("axes: {norm: [batch, none]}\n", "8"),
        ("axes: {norm: {levels: [none, group], baseline: none}}\n", "1"),
    ],
)
def test_batches_that_hold_enough(make_plan: MakePlan, more: str, batch_size: str) -> None:
    changes = {"model": "{unet: {width: 8, depth: 2}}", "batch_size": batch_size}
    assert batch_norm_has_batches(Arms.of(make_plan(more, **changes))) == []


def test_a_batch_of_one_in_some_fold(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan("", dataset="{shapes: {size_px: 16, num_train: 10, num_val: 1, num_test: 1}}")
    monkeypatch.setattr(Arms, "num_train", dict.fromkeys(Arms.of(plan).num_train, (8, 9)))
    (found,) = batch_norm_has_batches(Arms.of(plan))
    assert "one of 9 training images" in found.text


def test_levels_of_batch_size_take_other_numbers_of_steps(make_plan: MakePlan) -> None:
    found = arms_train_equally_long(Arms.of(make_plan("axes: {batch_size: [2, 4]}\n")))
    assert texts(found) == [
        "exp: batch_size: 4 trains for 10 epochs of 2 steps, 2 trains for 10 epochs of 4 steps: the "
        "effect of batch_size is mixed with that of the training's length. With `epochs: 20` the level "
        "takes as many steps."
    ]


def test_a_patch_that_changes_epochs_beside_something_else(make_plan: MakePlan) -> None:
    more = "axes: {kind: {levels: {a: {norm: batch, epochs: 10}, b: {norm: none, epochs: 15}}}}\n"
    (found,) = arms_train_equally_long(Arms.of(make_plan(more)))
    assert found.text.startswith("exp: kind: b trains for 15 epochs of 4 steps, a trains for 10 epochs of 4 ")
    assert found.text.endswith("With `epochs: 10` the level takes as many steps.")


@pytest.mark.parametrize(
    "more",
    [
        "axes: {epochs: [10, 20]}\n",
        "axes: {norm: [batch, none]}\n",
        "axes: {size: {levels: {a: {batch_size: 2, epochs: 10}, b: {batch_size: 4, epochs: 20}}}}\n",
        "axes: {parts: {levels: {a: {batch_size: 2, accumulate: 1}, b: {batch_size: 1, accumulate: 2}}}}\n",
    ],
)
def test_arms_of_equal_length(make_plan: MakePlan, more: str) -> None:
    assert arms_train_equally_long(Arms.of(make_plan(more))) == []


def test_early_stopping_is_noted_where_arms_are_compared(make_plan: MakePlan) -> None:
    more = "axes: {stop: {levels: {off: {early_stopping: null}, on: {early_stopping: {patience: 3}}}}}\n"
    (found,) = arms_end_together(Arms.of(make_plan(more)))
    assert found.text.startswith("exp: early_stopping (on): arms may end at different epochs")
    assert arms_end_together(Arms.of(make_plan())) == []


def test_the_ends_of_a_search_are_named_by_what_they_set(make_plan: MakePlan) -> None:
    space = "search: {trials: 2, space: {batch_size: {low: 1, high: 8}}}\n"
    (found,) = batch_norm_has_batches(Arms.of(make_plan(space)))
    assert found.text.startswith("exp: batch_size (batch_size = 1): batch normalisation at one image a batch")
