"""Batches in parts: exact where nothing sees the batch as a whole, and refused where something does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from blobs import blob_data, tiny_config
from torch import nn

from segbench.config.trial import Choice, TrialConfig
from segbench.engine.run import Run
from segbench.engine.splitting import TEST_VARIABLE, effect_of_batch, heed_test


def plain(**changes: Any) -> TrialConfig:
    """Nothing sees a batch as a whole."""
    norm, loss = Choice.of("norm", "group", groups=2), (Choice.of("loss", "bce"),)
    return tiny_config(**{"norm": norm, "loss": loss, **changes})


def images() -> torch.Tensor:
    return torch.randn((3, 2, 8, 8), generator=torch.Generator().manual_seed(0))


class CentredOnItsBatch(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images - images.mean(0, keepdim=True)


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (nn.Identity(), None),
        (nn.GroupNorm(2, 4), None),
        (nn.InstanceNorm2d(4), None),
        (nn.BatchNorm2d(4), "batch norm sees the whole batch"),
        (nn.InstanceNorm2d(4, track_running_stats=True), "the network keeps statistics of batches"),
        (
            nn.Dropout(0.5),
            "the network draws at random in training (dropout)",
        ),
        (CentredOnItsBatch(), "what the network says of an image depends on its batch"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_sees_a_batch_is_found(layer: nn.Module, why: str | None) -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), layer, nn.Conv2d(4, 1, 1)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = effect_of_batch(model, images())
    assert found == why
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"norm": Choice.of("norm", "batch")}, "batch norm sees the whole batch"),
        ({"mix": Choice.of("mix", "mixup")}, "mixup mixes the images of a batch"),
        ({"loss": (Choice.of("loss", "dice"),)}, "the loss of a batch is not the mean of its images' losses"),
    ],
)
def test_a_run_says_why_its_batches_stay_whole(changes: dict[str, object], why: str | None) -> None:
    run = Run(plain(batch_size=4, **changes), blob_data(), seed=0, threads=1)
    assert run.why_whole() == why


@pytest.mark.parametrize("micro_batch", [1, 2, 3])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_parts_equal_the_whole_to_rounding(micro_batch: int, accumulate: int) -> None:
    config = plain(batch_size=4, accumulate=accumulate, grad_clip=0.5, epochs=2)
    data = blob_data(num_train=7)
    whole = list(Run(config, data, seed=0, threads=1))
    parts = list(Run(config, data, seed=0, threads=1, micro_batch=micro_batch))
    for one, other in zip(whole, parts, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=1e-4)
        assert other.val["loss"] == pytest.approx(one.val["loss"], rel=1e-4)
    again = list(Run(config, data, seed=0, threads=1, micro_batch=4))
    assert [r.train_loss for r in again] == [r.train_loss for r in whole], "a whole batch is bit-identical"


def test_the_test_s_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TEST_VARIABLE, raising=False)
    heed_test(10**6)
    monkeypatch.setenv(TEST_VARIABLE, "2")
    heed_test(2)
    with pytest.raises(torch.OutOfMemoryError, match="out of memory by SEGBENCH_TEST_OOM=2, 3 images"):
        heed_test(3)
    run = Run(plain(batch_size=4), blob_data(), seed=0, threads=1)
    with pytest.raises(torch.OutOfMemoryError):
        run.try_step()
    Run(plain(batch_size=2), blob_data(), seed=0, threads=1).try_step()
    assert len(list(Run(plain(batch_size=4, epochs=1), blob_data(), seed=0, threads=1, micro_batch=2))) == 1


def test_an_evaluation_shows_that_it_goes_on() -> None:
    run = Run(plain(batch_size=2, epochs=1), blob_data(), seed=0, threads=1)
    beats: list[int] = []
    run.on_batch = lambda: beats.append(1)
    list(run)
    in_epoch = len(beats)
    run.evaluate("test")
    assert in_epoch >= 1
    assert len(beats) > in_epoch
