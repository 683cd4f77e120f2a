"""Out of memory: parts of batches where that is exact, else the batch size that would fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from sweep_fakes import DOCUMENT, FINGERPRINT, FakeEngine

from segbench.config.experiment import Experiment
from segbench.engine.splitting import TEST_VARIABLE
from segbench.plan.plan import plan_trials
from segbench.records import FailureKind, State, TrialRecord
from segbench.store import trials
from segbench.store.layout import ExperimentFolder
from segbench.store.queue import QueuedTrial
from segbench.trial.run import Resources, run_trial

DESIGN = DOCUMENT.replace("batch_size: 2", "batch_size: 4").replace("epochs: 4", "epochs: 2")


@pytest.fixture
def run(make_experiment: Callable[..., Experiment]) -> Callable[..., TrialRecord]:
    def run(norm: str, name: str = "oom", **changes: str) -> TrialRecord:
        text = DESIGN.replace("norm: batch", f"norm: {norm}")
        for before, after in changes.items():
            text = text.replace(f"{before}: ", f"{before}: {after} # ")
        experiment = make_experiment(text, name)
        folder = ExperimentFolder(experiment.project.results / name)
        trial = QueuedTrial.of(plan_trials(experiment).entries[0].trial)
        record = run_trial(trial, experiment.project, folder, Resources(device="cpu", threads=1))
        assert record is not None
        written = trials.read_trial(folder.trial(trial.hash))
        assert replace(written, train_time_s=None) == replace(record, train_time_s=None)
        return record

    return run


def test_a_batch_goes_through_in_parts_where_that_changes_nothing(
    run: Callable[..., TrialRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run("none", "whole")
    monkeypatch.setenv(TEST_VARIABLE, "1")
    record = run("none", "parts")
    assert (record.state, record.micro_batch, record.attempts) == (State.COMPLETE, 1, 1)
    assert record.notes == tuple(
        f"out of memory with {k} images at a time: from epoch 1 on a batch of 4 went through in parts of "
        f"{k // 2}, their gradients added up, which equals the whole batch to rounding only"
        for k in (4, 2)
    )
    assert record.identity == whole.identity, "how it ran is no part of what it is"
    assert record.objective == pytest.approx(whole.objective, rel=1e-4)
    assert record.test["dice"] == pytest.approx(whole.test["dice"], rel=1e-3, abs=1e-3)


def test_a_trial_goes_on_in_parts_from_its_last_epoch(
    run: Callable[..., TrialRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    from segbench.engine import training

    calls: list[int] = []

    def full_in_epoch_2(num_images: int) -> None:
        calls.append(num_images)
        if len(calls) > 1 and num_images > 2:
            raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(training, "heed_test", full_in_epoch_2)
    record = run("none")
    assert (record.state, record.micro_batch, record.epochs_done) == (State.COMPLETE, 2, 2)
    assert "from epoch 2 on a batch of 4 went through in parts of 2" in record.notes[0]
    assert calls == [4, 4, 2, 2]


def test_batch_norm_is_not_split_and_the_reason_says_what_fits(
    run: Callable[..., TrialRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TEST_VARIABLE, "1")
    record = run("batch")
    assert (record.state, record.failure) == (State.FAILED, FailureKind.OOM)
    assert (record.micro_batch, record.notes, record.fitting_batch_size) == (None, (), 1)
    assert record.reason == (
        "OutOfMemoryError: out of memory by SEGBENCH_TEST_OOM=1, 4 images; a batch of 4 does not fit and "
        "cannot be split (batch norm sees the whole batch); one of 1 fits: with batch_size 1 in the baseline "
        "all arms could hold theirs"
    )
    monkeypatch.setenv(TEST_VARIABLE, "3")
    assert run("batch", "three").fitting_batch_size == 2
    monkeypatch.setenv(TEST_VARIABLE, "0")
    nothing = run("batch", "nothing")
    assert nothing.fitting_batch_size is None
    assert nothing.reason is not None
    assert nothing.reason.endswith(
        "a batch of 4 does not fit, cannot be split (batch norm sees the whole batch), and no smaller one ran"
    )
    alone = run("none", "alone")
    assert (alone.state, alone.failure) == (State.FAILED, FailureKind.OOM)
    assert alone.reason is not None
    assert alone.reason.endswith("1 images; not even one image at a time fits")


def test_a_loss_over_the_batch_is_not_split(
    run: Callable[..., TrialRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TEST_VARIABLE, "2")
    record = run("none", loss="{dice: 1}")
    assert (record.failure, record.fitting_batch_size) == (FailureKind.OOM, 2)
    assert "(the loss of a batch is not the mean of its images' losses)" in (record.reason or "")


def test_a_user_s_loop_is_left_alone(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    fake_engine.raise_at = {3: torch.OutOfMemoryError("CUDA out of memory")}
    record: Any = run_trial(queued[0], experiment.project, folder, Resources(device="cpu", threads=1))
    assert (record.state, record.failure, record.epochs_done) == (State.FAILED, FailureKind.OOM, 2)
    assert record.reason.startswith("OutOfMemoryError: CUDA out of memory; a batch of 2 does not fit")
    assert "(its loop is the user's own)" in record.reason
    written = json.loads(folder.trial(queued[0].hash).record.read_text())
    assert (written["micro_batch"], written["notes"]) == (None, [])
    assert queued[0].data_fingerprint == FINGERPRINT


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_full_gpu_is_survived(make_experiment: Callable[..., Experiment]) -> None:
    """A real device is filled until one batch cannot be held any more."""
    text = DESIGN.replace("norm: batch", "norm: none").replace("width: 4, depth: 2", "width: 64, depth: 4")
    text = text.replace("num_train: 4", "num_train: 64").replace("size_px: 32", "size_px: 256")
    text = text.replace("batch_size: 4", "batch_size: 64").replace("epochs: 2", "epochs: 1")
    experiment = make_experiment(text, "full")
    folder = ExperimentFolder(experiment.project.results / "full")
    trial = QueuedTrial.of(plan_trials(experiment).entries[0].trial)
    free, _ = torch.cuda.mem_get_info()
    ballast = torch.empty(max(0, free - 4 * 2**30), dtype=torch.uint8, device="cuda")
    record = run_trial(trial, experiment.project, folder, Resources(device="cuda", threads=1))
    del ballast
    assert record is not None
    assert record.state is State.COMPLETE
    assert record.micro_batch is not None
    assert record.notes
