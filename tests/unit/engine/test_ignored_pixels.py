"""Pixels of value 255 in masks: they count neither in the loss nor in a metric."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from blobs import blob_data, tiny_config

from segbench.config.project import Project
from segbench.config.trial import Choice
from segbench.data import prepare
from segbench.data.batches import TrainBatches, eval_batches
from segbench.data.prepared import PreparedData
from segbench.engine import Run
from segbench.engine.numerics import Numerics
from segbench.engine.passes import Evaluation, evaluate_batches
from segbench.quantities import METRICS
from segbench.records import TIMING_COLUMNS


def banded(data: PreparedData) -> PreparedData:
    """Ignore a band through every ellipse."""
    masks = data.masks.copy()
    masks[:, 10:14] = 255
    return replace(data, masks=masks)


def oracle(data: PreparedData, split: str = "test") -> Evaluation:
    """Evaluate a network that is right wherever pixels count, and wrong elsewhere."""
    masks = iter(data.masks[data.split[split]])

    def forward(images: torch.Tensor) -> torch.Tensor:
        chosen = torch.from_numpy(np.stack([next(masks) for _ in images]))[:, None]
        return torch.where(chosen == 0, -40.0, 40.0)

    numerics = Numerics(torch.device("cpu"), "fp32", 1)
    return evaluate_batches(
        forward,
        lambda logits, target, valid=None: logits.mean(),
        eval_batches(data, split, 3),
        epoch=1,
        what="test_loss",
        numerics=numerics,
        with_masks=True,
        surface_tolerance_px=2.0,
    )


def expect_perfect(evaluation: Evaluation) -> None:
    values = evaluation.means()
    for spec in METRICS.values():
        assert values[spec.name] == pytest.approx(spec.best, abs=1e-12), spec.name


def test_batches_say_which_pixels_count() -> None:
    data = banded(blob_data())
    for batch in (next(eval_batches(data, "test", 5)), next(TrainBatches(data, tiny_config(), 0).epoch(1))):
        assert batch.valid is not None
        assert batch.valid.dtype == torch.bool
        assert batch.valid.shape == batch.target.shape
        assert int((~batch.valid).sum()) == len(batch) * 4 * 32
        assert set(batch.target.unique().tolist()) <= {0.0, 1.0}
        assert not batch.target[~batch.valid].any()


def test_without_ignored_pixels_there_is_no_mask_of_them() -> None:
    assert not blob_data().has_ignored
    assert next(eval_batches(blob_data(), "test", 5)).valid is None
    assert next(TrainBatches(blob_data(), tiny_config(), 0).epoch(1)).valid is None


def test_one_image_with_ignored_pixels_gives_every_batch_the_mask() -> None:
    data = blob_data()
    masks = data.masks.copy()
    masks[-1, 0, 0] = 255
    assert all(b.valid is not None for b in eval_batches(replace(data, masks=masks), "val", 2))


def test_an_oracle_is_perfect_whatever_it_says_of_ignored_pixels() -> None:
    evaluation = oracle(banded(blob_data()))
    expect_perfect(evaluation)
    assert evaluation.masks is not None
    assert evaluation.masks[:, 10:14].all()  # predictions are kept as they are


def test_what_is_under_ignored_pixels_changes_no_number() -> None:
    """The same band over other truth below it: training and evaluation are bit for bit the same."""
    data = blob_data()
    turned = replace(data, masks=np.where(np.arange(32)[None, :, None] // 4 == 3, 1 - data.masks, data.masks))
    rows = []
    for each in (data, turned):
        masks = each.masks.copy()
        masks[:, 12:16] = 255
        run = Run(tiny_config(epochs=2), replace(each, masks=masks), seed=0, threads=1)
        rows.append([list(record.row().values())[: -len(TIMING_COLUMNS)] for record in run])
    assert rows[0] == rows[1]
    assert np.isfinite(rows[0]).all()


@pytest.mark.shared
def test_real_photographs_with_an_ignored_border(small_pets, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGBENCH_DATA", str(small_pets))
    config = tiny_config(
        dataset=Choice.of("dataset", "oxford_pet", size_px=32, border="ignore"),
        split=Choice.of("split", "course"),
        epochs=1,
        max_images=12,
    )
    data = prepare(config, Project(tmp_path))
    assert set(np.unique(data.masks)) == {0, 1, 255}
    expect_perfect(oracle(data))
    run = Run(config, data, seed=0, threads=1)
    (record,) = list(run)
    assert np.isfinite(list(record.row().values())).all()
    found = run.evaluate("test").means()
    assert list(found) == [
        "loss",
        *(name for name, metric in METRICS.items() if metric.is_per_image),
        *(name for name, metric in METRICS.items() if not metric.is_per_image),
    ]
    assert 0 < found["accuracy"] < 1
