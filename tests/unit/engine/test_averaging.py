"""The running average of weights: its formula, what is measured with it, and its place in the state."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from blobs import blob_data, tiny_config
from torch import nn

from segbench.config.trial import Objective
from segbench.engine import Run
from segbench.engine.state import WeightAverage
from segbench.errors import ResultsError
from segbench.store.layout import ExperimentFolder
from segbench.store.weights import read_best, restore_run, save_run


def test_an_average_by_hand() -> None:
    norm = nn.BatchNorm1d(1)
    average = WeightAverage(norm, 0.3)
    expected = 0.0
    for step, value in enumerate([5.0, 7.0, 4.0, 9.0, 1.0]):
        with torch.no_grad():
            norm.weight.fill_(value)
            norm.running_mean.fill_(10 * value)
            norm.num_batches_tracked.fill_(step + 1)
        average.update()
        decay = 0.0 if step == 0 else min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
        assert average.weights["weight"].item() == pytest.approx(expected, rel=1e-6)
        assert average.weights["running_mean"].item() == pytest.approx(10 * expected, rel=1e-6)
        assert average.weights["num_batches_tracked"].item() == step + 1
        assert norm.weight.item() == value


def test_the_average_is_what_is_measured_and_kept() -> None:
    data = blob_data()
    plain = Run(tiny_config(epochs=3), data, seed=0, threads=1)
    averaged = Run(tiny_config(epochs=3, ema=0.9), data, seed=0, threads=1)
    for ours, theirs in zip(averaged, plain, strict=True):
        assert (ours.train_loss, ours.train_dice, ours.lr) == (
            theirs.train_loss,
            theirs.train_dice,
            theirs.lr,
        )
        assert ours.val != theirs.val
    moved, kept = averaged.state_dict()["model"], averaged.weights("last")
    assert all(torch.equal(moved[name], value) for name, value in plain.weights("last").items())
    assert any(not torch.equal(moved[name], kept[name]) for name in kept)
    state = averaged.state_dict()["average"]
    assert state["num_updates"] == 3 * 2
    assert all(torch.equal(state["weights"][name], value) for name, value in kept.items())
    last = averaged.history[-1].val
    assert averaged.evaluate("val", "last").loss == pytest.approx(last["loss"], rel=1e-8)


def test_without_a_decay_the_state_is_as_it_was() -> None:
    run = Run(tiny_config(epochs=1), blob_data(), seed=0, threads=1)
    list(run)
    saved = run.state_dict()
    assert set(saved) == {
        "format",
        "epochs_done",
        "selected_epoch",
        "history",
        "model",
        "criterion",
        "optimizer",
    }
    with pytest.raises(ResultsError, match=r"the training state does not fit this trial \('average'\)"):
        Run(tiny_config(epochs=1, ema=0.9), blob_data(), seed=0).load_state_dict(saved)


def test_saved_files_bring_the_average_back(tmp_path: Path) -> None:
    """Also where a crash kept `best.pt` from being written after `last.pt`."""
    config = tiny_config(epochs=2, ema=0.9, objective=Objective("train_loss", "minimize"))
    run = Run(config, blob_data(), seed=0, threads=1)
    list(run)
    folder = ExperimentFolder(tmp_path).trial("0" * 12)
    folder.path.mkdir(parents=True)
    save_run(folder, run)
    kept = run.weights()
    for is_lost in (False, True):
        if is_lost:
            folder.best.unlink()
        resumed = Run(config, blob_data(), seed=0, threads=1)
        assert restore_run(folder, resumed)
        assert resumed.selected_epoch == 2
        for weights in (resumed.weights(), resumed.weights("last"), read_best(folder, epoch=2).weights):
            assert all(torch.equal(weights[name], value) for name, value in kept.items())
