"""Training: it learns, selects, stops, clips, and says when it diverged."""

from __future__ import annotations

import math
import pickle
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from blobs import blob_data, tiny_config

from segbench.config.trial import Choice, EarlyStopping, Objective
from segbench.engine import Diverged, Run
from segbench.errors import ExperimentError, TrialError
from segbench.quantities import VAL_METRICS
from segbench.records import TIMING_COLUMNS


def test_overfits_a_few_images() -> None:
    config = tiny_config(
        epochs=30, augment=Choice("none"), schedule=Choice("constant"), objective=Objective("train_dice")
    )
    run = Run(config, blob_data(), seed=0, threads=1)
    records = list(run)
    assert [r.epoch for r in records] == list(range(1, 31))
    assert records[-1].train_dice > 0.9
    assert records[-1].train_loss < 0.7 * records[0].train_loss
    assert run.evaluate("train", "last").metrics["dice"].mean() > 0.9


def test_a_record_has_its_columns_in_order_and_nine_digits() -> None:
    (record,) = list(Run(tiny_config(epochs=1), blob_data(), seed=0, threads=1))
    row = record.row()
    columns = ["epoch", "lr", "train_loss", "train_dice", *VAL_METRICS, *TIMING_COLUMNS]
    assert list(row) == columns
    first = ["val_loss", "val_dice", "val_iou", "val_precision", "val_recall", "val_accuracy"]
    assert columns[4:10] == first  # the columns of the first release, whose places readers may know
    assert all(value == float(f"{value:.9g}") for value in row.values())
    assert row["lr"] == 0.01
    assert row["epoch_time_s"] > 0
    assert row["images_per_s"] > 0
    assert 50 < row["peak_memory_mib"] < 20_000
    assert 0 < row["data_wait_s"] < row["epoch_time_s"]


def test_no_thread_outlives_an_epoch_however_it_ends() -> None:
    def names() -> set[str]:
        return {thread.name for thread in threading.enumerate()}

    before = names()
    run = Run(tiny_config(epochs=2), blob_data(), seed=0, threads=1)
    next(iter(run))
    assert names() == before
    high = Choice.of("optimizer", "sgd", lr=1e30)
    with pytest.raises(Diverged):
        list(Run(tiny_config(optimizer=high), blob_data(), seed=0, threads=1))
    assert names() == before

    def interrupt(step: int, num_steps: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        list(Run(tiny_config(), blob_data(), seed=0, threads=1, on_step=interrupt))
    assert caught.traceback  # what was on its way when it came is still held
    assert names() == before


def test_a_state_of_an_older_version_goes_on_without_its_waits() -> None:
    run = Run(tiny_config(epochs=2), blob_data(), seed=0, threads=1)
    first, second = list(run)
    half = Run(tiny_config(epochs=2), blob_data(), seed=0, threads=1)
    next(iter(half))
    state = half.state_dict()
    for epoch in state["history"]:
        del epoch["data_wait_s"]
    resumed = Run(tiny_config(epochs=2), blob_data(), seed=0, threads=1)
    resumed.load_state_dict(state)
    list(resumed)
    rows = [record.row() for record in resumed.history]
    assert list(rows[0]) == list(rows[1]) == list(first.row())
    assert math.isnan(rows[0]["data_wait_s"])
    assert rows[1]["data_wait_s"] > 0
    assert rows[1]["val_loss"] == second.row()["val_loss"]


def test_the_schedule_sets_the_learning_rate_of_each_epoch() -> None:
    records = list(Run(tiny_config(epochs=4), blob_data(), seed=0, threads=1))
    expected = [0.01 * (1 + math.cos(math.pi * done / 4)) / 2 for done in range(4)]
    assert [r.lr for r in records] == pytest.approx(expected, rel=1e-8)


def test_selected_and_last_weights_are_those_of_their_epochs() -> None:
    run = Run(
        tiny_config(epochs=6, objective=Objective("val_dice", "minimize")), blob_data(), seed=0, threads=1
    )
    for record in run:
        if record.epoch == 1:
            first = run.weights("last")
    assert run.selected_epoch == 1  # minimising dice: an untrained network stays the best
    selected, last = run.weights("selected"), run.weights("last")
    assert all(torch.equal(selected[name], first[name]) for name in first)
    assert any(not torch.equal(selected[name], last[name]) for name in first)
    by_epoch = {r.epoch: r.val for r in run.history}
    for which, epoch in (("selected", 1), ("last", 6)):
        measured = run.evaluate("val", which)
        assert measured.loss == pytest.approx(by_epoch[epoch]["loss"], rel=1e-8)
        assert measured.metrics["dice"].mean() == pytest.approx(by_epoch[epoch]["dice"], rel=1e-8)


def test_evaluation_covers_the_split_in_order_whatever_the_batch_size() -> None:
    data = blob_data(num_test=5)
    run = Run(tiny_config(), data, seed=0, threads=1)
    next(iter(run))
    saved = run.state_dict()
    found = {}
    for batch_size in (1, 2, 5):
        other = Run(
            tiny_config(batch_size=batch_size, loss=(Choice.of("loss", "bce"),)), data, seed=0, threads=1
        )
        other.load_state_dict(saved)
        found[batch_size] = other.evaluate("test", "last", with_masks=True)
    for evaluation in found.values():
        assert evaluation.sample_numbers.tolist() == data.split["test"].tolist()
        assert evaluation.masks.shape == (5, 32, 32)
        assert evaluation.masks.dtype == bool
        assert evaluation.loss == pytest.approx(found[1].loss, rel=1e-6)  # image-weighted: 2 + 2 + 1 images
        for name, values in evaluation.metrics.items():
            if name == "soft_dice":  # the network's own outputs differ in their last bits
                np.testing.assert_allclose(values, found[1].metrics[name], rtol=1e-6)
            else:
                assert np.array_equal(values, found[1].metrics[name])
        assert evaluation.pooled == found[1].pooled
    truth = data.masks[data.split["test"]].astype(bool)
    masks = found[1].masks
    expected = [
        1.0 if not (m.any() or t.any()) else 2 * (m & t).sum() / (m.sum() + t.sum())
        for m, t in zip(masks, truth, strict=True)
    ]
    assert found[1].metrics["dice"] == pytest.approx(expected, abs=1e-15)


def test_the_training_loss_is_weighted_by_images() -> None:
    config = tiny_config(
        optimizer=Choice.of("optimizer", "sgd", lr=1e-30), norm=Choice.of("norm", "none"), epochs=1
    )
    config = replace(config, loss=(Choice.of("loss", "bce"),), augment=Choice("none"))
    data = blob_data(num_train=5)  # batches of 4 and 1
    run = Run(config, data, seed=0, threads=1)
    (record,) = list(run)
    assert record.train_loss == pytest.approx(run.evaluate("train", "last").loss, rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_odd_batches_train(batch_size) -> None:
    steps = []
    config = tiny_config(batch_size=batch_size, epochs=1)
    run = Run(config, blob_data(num_train=7), seed=0, threads=1, on_step=lambda *at: steps.append(at))
    (record,) = list(run)
    num_steps = -(-7 // batch_size)
    assert steps == [(step, num_steps) for step in range(1, num_steps + 1)]
    assert math.isfinite(record.train_loss)


def test_clipping_bounds_the_gradient() -> None:
    norms = {}
    for clip in (None, 1e-3):
        config = tiny_config(
            grad_clip=clip, epochs=1, optimizer=Choice.of("optimizer", "sgd", lr=0.1, momentum=0.0)
        )
        run = Run(config, blob_data(), seed=0, threads=1)
        list(run)
        gradients = [p.grad for p in run._model.parameters()]
        norms[clip] = float(
            torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
        )
    assert norms[None] > 2e-3
    assert norms[1e-3] == pytest.approx(1e-3, rel=1e-3)


def test_early_stopping_ends_the_run() -> None:
    config = tiny_config(
        epochs=20,
        optimizer=Choice.of("optimizer", "sgd", lr=1e-30),
        norm=Choice.of("norm", "none"),
        early_stopping=EarlyStopping(patience=2),
    )
    run = Run(config, blob_data(), seed=0, threads=1)
    assert [r.epoch for r in run] == [1, 2, 3]
    assert run.is_finished
    assert run.selected_epoch == 1


def test_iterating_goes_on_where_it_stopped() -> None:
    run = Run(tiny_config(epochs=3), blob_data(), seed=0, threads=1)
    assert next(iter(run)).epoch == 1
    assert [r.epoch for r in run] == [2, 3]
    assert list(run) == []


def test_divergence_is_raised_and_leaves_the_history() -> None:
    config = tiny_config(
        epochs=40,
        optimizer=Choice.of("optimizer", "sgd", lr=1e30),
        norm=Choice.of("norm", "none"),
        grad_clip=None,
    )
    runs = [Run(config, blob_data(), seed=0, threads=1) for _ in range(2)]
    moments = []
    for run in runs:
        with pytest.raises(Diverged) as caught:
            list(run)
        error = caught.value
        moments.append((error.epoch, error.step, error.what, repr(error.value)))
        assert len(run.history) == error.epoch - 1
        assert (
            str(error)
            == f"epoch {error.epoch}, step {error.step}: {error.what} is not finite, got {error.value!r}."
        )
        with pytest.raises(Diverged):
            list(run)  # it does not go on with broken weights
        assert pickle.loads(pickle.dumps(error)).step == error.step
    assert moments[0] == moments[1]


def test_bf16_trains_beside_fp32() -> None:
    losses = {}
    for precision in ("fp32", "bf16", "tf32"):
        run = Run(tiny_config(precision=precision, epochs=2), blob_data(), seed=0, threads=1)
        losses[precision] = [r.train_loss for r in run]
        assert all(value.dtype in (torch.float32, torch.int64) for value in run.weights("last").values())
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)
    assert losses["tf32"] == losses["fp32"]  # a CPU has no TF32


def test_a_size_that_the_network_cannot_take_is_refused() -> None:
    config = tiny_config(model=Choice.of("model", "unet", width=4, depth=4))
    with pytest.raises(
        ExperimentError, match=r"unet takes sizes that are multiples of 16, got 40. The nearest are 32"
    ):
        Run(config, blob_data(size_px=40), seed=0)


def test_there_are_no_selected_weights_before_the_first_epoch() -> None:
    run = Run(tiny_config(), blob_data(), seed=0, threads=1)
    with pytest.raises(TrialError, match=r"weights: no epoch was selected. `last` weights are there."):
        run.weights()
    with pytest.raises(TrialError, match=r"there are no such weights, got 'lats'. Did you mean 'last'"):
        run.weights("lats")


def test_what_a_network_costs() -> None:
    """dropout_net at 32x32: 3x3 convolutions 3 -> 8 and 8 -> 1, two operations a multiply-add."""
    config = tiny_config(model=Choice("blobs:dropout_net", {"rate": 0.1}))
    run = Run(config, blob_data(), seed=0, threads=1)
    assert run.parameters == (3 * 8 * 9 + 8) + (8 + 8) + (8 * 9 + 1)
    assert run.trainable_parameters == run.parameters
    before = torch.get_rng_state()
    assert run.flops == 2 * 32 * 32 * (3 * 8 * 9 + 8 * 9)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_the_network_expects_of_an_image() -> None:
    run = Run(tiny_config(), blob_data(), seed=0, threads=1)
    assert run.input_spec == {"size_px": [32, 32], "channels": 3, "mean": [127.5], "std": [127.5]}
    assert len(run.device_name) > 2


def test_a_resume_of_an_older_history_has_nan_where_metrics_were_added() -> None:
    run = Run(tiny_config(epochs=2), blob_data(), seed=0, threads=1)
    next(iter(run))
    saved = run.state_dict()
    saved["history"][0]["val"] = {name: saved["history"][0]["val"][name] for name in ("loss", "dice")}
    resumed = Run(tiny_config(epochs=2), blob_data(), seed=0, threads=1)
    resumed.load_state_dict(saved)
    rows = [record.row() for record in [*resumed.history, *resumed]][:2]
    assert list(rows[0]) == list(rows[1])
    assert np.isnan(rows[0]["val_soft_dice"])
    assert np.isfinite(rows[1]["val_soft_dice"])
