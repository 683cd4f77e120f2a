"""Losses and counts are gathered exactly, and a broken loss is found at its own step."""

from __future__ import annotations

import math

import pytest
import torch

from segbench.engine.counting import CHECK_EVERY, Measured, Tally
from segbench.engine.divergence import Diverged


def batch(num_images: int) -> tuple[torch.Tensor, torch.Tensor]:
    logits = torch.full((num_images, 1, 2, 2), -1.0)
    logits[:, :, 0] = 1.0
    return logits, (logits > 0).float()


def test_the_mean_is_over_images() -> None:
    tally = Tally(epoch=1, what="val_loss")
    for loss, num_images in ((1.0, 4), (6.0, 1)):
        tally.add(Measured.of(torch.tensor(loss), *batch(num_images)))
    mean, counts = tally.read()
    assert mean == (1.0 * 4 + 6.0 * 1) / 5
    assert counts.tp.tolist() == [2] * 5
    assert counts.tn.tolist() == [2] * 5


def test_nothing_gathered_is_no_number() -> None:
    mean, counts = Tally(epoch=1, what="val_loss").read()
    assert math.isnan(mean)
    assert counts.tp.shape == (0,)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("broken_step", [3, CHECK_EVERY, CHECK_EVERY + 1])
def test_the_first_broken_step_is_named_and_the_epoch_ends_soon(value, broken_step) -> None:
    tally = Tally(epoch=7, what="train_loss")
    losses = iter([1.0] * (broken_step - 1) + [value] * CHECK_EVERY)

    def gather() -> None:
        for loss in losses:
            tally.add(Measured.of(torch.tensor(loss), *batch(1)))

    with pytest.raises(Diverged) as caught:
        gather()
    assert (caught.value.epoch, caught.value.step, caught.value.what) == (7, broken_step, "train_loss")


def test_a_broken_last_step_is_found_when_read() -> None:
    tally = Tally(epoch=1, what="val_loss")
    tally.add(Measured.of(torch.tensor(1.0), *batch(1)))
    tally.add(Measured.of(torch.tensor(float("inf")), *batch(1)))
    with pytest.raises(Diverged, match=r"epoch 1, step 2: val_loss is not finite, got inf\."):
        tally.read()
