"""Batches that are augmented where they are trained on: on a CPU here, as on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from blobs import blob_data, tiny_config

from segbench.config.trial import Choice, TrialConfig, identity
from segbench.data.batched import DeviceBatches, device_steps
from segbench.data.batched import augmentation as module
from segbench.data.batches import Batch, TrainBatches
from segbench.engine import Run
from segbench.errors import ExperimentError
from segbench.records import TIMING_COLUMNS

CPU = torch.device("cpu")
NOISY = [{"GaussNoise": {"p": 0.5}}, {"Rotate": {"limit": 30, "p": 0.5}}, {"ElasticTransform": {"p": 0.5}}]


def config_of(augment: str = "r0", **changes: object) -> TrialConfig:
    return tiny_config(augment=Choice.of("augment", augment), augment_backend="device", **changes)


def listed(steps: list[object], **changes: object) -> TrialConfig:
    return replace(config_of(**changes), augment=Choice("transforms", {"steps": steps}))


def made(config: TrialConfig, epoch: int = 1, seed: int = 0, num_train: int = 11) -> list[Batch]:
    return list(DeviceBatches(blob_data(num_train=num_train), config, seed, device=CPU).epoch(epoch))


def tensors(batches: list[Batch]) -> Iterator[torch.Tensor]:
    for batch in batches:
        yield from (batch.images, batch.target, batch.index)


def test_without_augmentation_they_are_the_images_in_the_order_of_the_cpu() -> None:
    config, data = config_of("none"), blob_data(num_train=11)
    ours = list(DeviceBatches(data, config, 5, device=CPU).epoch(2))
    theirs = list(TrainBatches(data, replace(config, augment_backend="cpu"), 5).epoch(2))
    assert [len(batch) for batch in ours] == [4, 4, 3]
    assert all(torch.equal(a, b) for a, b in zip(tensors(ours), tensors(theirs), strict=True))


@pytest.mark.parametrize("augment", ["flips", "d4", "r0", "r1", "r2", "r3", "elastic", "photometric"])
def test_every_recipe_makes_batches_that_change_with_the_epoch_alone(augment: str) -> None:
    config = config_of(augment)
    once, again, later = made(config), made(config), made(config, epoch=2)
    assert all(torch.equal(a, b) for a, b in zip(tensors(once), tensors(again), strict=True))
    assert any(not torch.equal(a.images, b.images) for a, b in zip(once, later, strict=True))
    for batch in once:
        assert batch.images.shape == (len(batch), 3, 32, 32)
        assert torch.isfinite(batch.images).all()
        assert set(batch.target.unique().tolist()) <= {0.0, 1.0}


def test_several_batches_are_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of("r0")
    together = made(config)
    monkeypatch.setattr(module, "_PIXELS_AT_ONCE", 1)
    alone = made(config)
    assert [len(batch) for batch in alone] == [len(batch) for batch in together]
    for a, b in zip(together, alone, strict=True):
        assert torch.equal(a.target, b.target)
        assert torch.allclose(a.images, b.images, atol=2 / 127.5)  # a level may be rounded the other way


def test_ignored_pixels_stay_with_the_image() -> None:
    data = blob_data(num_train=6)
    masks = np.array(data.masks)
    masks[:, :6] = 255
    config = listed([{"HorizontalFlip": {"p": 0.0}}, {"VerticalFlip": {"p": 1.0}}], batch_size=6)
    (batch,) = DeviceBatches(replace(data, masks=masks), config, 0, device=CPU).epoch(1)
    assert batch.valid is not None
    assert not batch.valid[:, :, -6:].any()
    assert batch.valid[:, :, :-6].all()


@pytest.mark.parametrize("steps", [NOISY, ["HorizontalFlip"]])
def test_a_resumed_run_is_bit_identical(steps: list[object]) -> None:
    config, data = listed(steps, epochs=3), blob_data(num_train=7)
    whole = list(Run(config, data, seed=3, threads=1))
    first = Run(config, data, seed=3, threads=1)
    next(iter(first))
    second = Run(config, data, seed=3, threads=1)
    second.load_state_dict(first.state_dict())
    second.load_selected(second.weights("last"))
    expected, resumed = (
        [{k: v for k, v in record.row().items() if k not in TIMING_COLUMNS} for record in records]
        for records in (whole[1:], list(second))
    )
    assert resumed == expected


def test_the_backend_is_part_of_a_trial_where_it_is_the_device() -> None:
    plain = tiny_config()
    known = {"seed": 0, "fold": 0, "data_fingerprint": "0" * 64}
    assert identity(replace(plain, augment_backend="cpu"), **known) == identity(plain, **known)
    assert identity(replace(plain, augment_backend="device"), **known) != identity(plain, **known)


def test_an_augmentation_without_steps_is_for_the_cpu() -> None:
    with pytest.raises(ExperimentError, match=r"has no `steps`.*got 'flips_unsynchronised'"):
        device_steps(config_of("flips_unsynchronised"))
