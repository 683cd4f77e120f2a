"""One trial: what it leaves behind, however it ends."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from sweep_fakes import FINGERPRINT, FakeEngine, FakeRun, diverged, fake_data

from segbench.config.experiment import Experiment
from segbench.config.trial import TrialConfig
from segbench.errors import DataError, ResultsError
from segbench.records import FailureKind, State, TrialRecord
from segbench.store import trials, weights
from segbench.store.layout import ExperimentFolder
from segbench.store.lease import Lease
from segbench.store.masks import read_masks
from segbench.store.queue import QueuedTrial
from segbench.trial.events import EpochFinished, EpochProgress, Event, TrialFinished, TrialStarted
from segbench.trial.picking import WarmData
from segbench.trial.run import Resources, run_trial

RESOURCES = Resources(device="cpu", threads=1)


@pytest.fixture
def run(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> Callable[..., TrialRecord | None]:
    def run(**options: Any) -> TrialRecord | None:
        return run_trial(queued[0], experiment.project, folder, RESOURCES, **options)

    return run


def test_the_record_says_how_a_run_computed(
    run: Any, folder: ExperimentFolder, queued: list[QueuedTrial], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = {"layout": "contiguous", "graph": "reused", "compiled": False, "data": "device memory"}
    monkeypatch.setattr(FakeRun, "path", path, raising=False)
    assert run().path == path
    assert trials.read_trial(folder.trial(queued[0].hash)).path == path


def test_an_engine_need_not_say_how_it_computed(run: Any) -> None:
    assert run().path is None


def test_complete_trial_leaves_all_of_its_record(
    run: Any, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    heard: list[Event] = []
    record = run(on_event=heard.append)
    trial = folder.trial(queued[0].hash)
    assert trials.read_trial(trial) == record
    assert record.state is State.COMPLETE
    assert (record.failure, record.reason, record.attempts) == (None, None, 1)
    assert (record.epochs_done, record.selected_epoch, record.objective) == (4, 2, 0.4)
    assert record.test == pytest.approx({"dice": 0.3, "iou": 0.2 / 3, "dice_last": 0.5, "iou_last": 0.4 / 3})
    assert (record.parameters, record.flops, record.train_time_s) == (7, 70, 6.0)
    assert (record.device, record.threads, record.loader_workers) == ("cpu", 1, 0)
    assert record.device_name
    always = {"segbench", "python", "torch", "torchvision", "numpy", "albumentations"}
    assert always <= set(record.versions) <= {*always, "segmentation-models-pytorch", "timm"}
    assert record.started <= record.finished
    assert len(record.host) == 12
    assert record.experiment == "exp"
    assert record.levels == {"norm": "batch"}
    assert record.data_fingerprint == FINGERPRINT

    assert len(trial.epochs.read_text().splitlines()) == 5
    images = gzip.decompress(trial.images.read_bytes()).decode().splitlines()
    assert images[0] == "image,group,split,class,metric,value"
    assert images[1] == "image 0,animal 0,test,foreground,dice,0.2"
    assert [line.split(",")[4] for line in images[1::3]] == ["dice", "iou", "dice_last"]
    assert read_masks(trial.masks)[0] == ("image 0", "image 1", "image 2")
    assert weights.read_best(trial).epoch == 2
    assert float(weights.read_best(trial).weights["w"]) == 2.0
    assert "epoch 4" in trial.log.read_text()
    assert str(folder.root.parent) not in trial.record.read_text(), "no path of this machine"
    assert not list(trial.path.glob("lease*"))

    assert isinstance(heard[0], TrialStarted)
    assert heard[0].label == "batch"
    assert [e.epoch for e in heard if isinstance(e, EpochFinished)] == [1, 2, 3, 4]
    assert [e.fraction for e in heard if isinstance(e, EpochProgress)] == [0.5]  # throttled
    assert isinstance(heard[-1], TrialFinished)
    assert (heard[-1].state, heard[-1].objective) == ("complete", 0.4)

    fake_engine.events.clear()
    assert run() == record  # nothing is done twice
    assert fake_engine.events == []


def test_the_selected_weights_are_evaluated_once_where_they_are_the_last(
    run: Any, fake_engine: FakeEngine
) -> None:
    fake_engine.objective = lambda config, seed, epoch: epoch / 10
    record = run()
    assert [e for e in fake_engine.events if e.startswith("evaluate")] == ["evaluate test selected"]
    assert record.test["dice"] == record.test["dice_last"]


class Killed(BaseException):
    """Stands for the end of the process: nothing after it runs."""


def record_without_times(folder: ExperimentFolder, trial: QueuedTrial) -> dict[str, Any]:
    found = json.loads(folder.trial(trial.hash).record.read_text())
    for key in ("started", "finished", "attempts"):
        del found[key]
    return found


@pytest.mark.parametrize("write", range(13))
def test_killed_before_any_write_it_goes_on_to_the_same_record(
    run: Any,
    write: int,
    folder: ExperimentFolder,
    queued: list[QueuedTrial],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each parameter is the moment before one of the atomic writes or appends of an attempt."""
    count = 0

    def guard(function: Any) -> Any:
        def guarded(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == write + 1:
                raise Killed
            return function(*arguments, **options)

        return guarded

    with monkeypatch.context() as patch:
        patch.setattr(trials, "write_trial", guard(trials.write_trial))
        patch.setattr(trials, "append_epoch", guard(trials.append_epoch))
        patch.setattr(weights, "write_last", guard(weights.write_last))
        patch.setattr(weights, "write_best", guard(weights.write_best))
        patch.setattr("segbench.trial.record.write_images", guard(trials.write_images))
        with pytest.raises(Killed):
            run()
    resumed = run()
    assert resumed.state is State.COMPLETE
    after = record_without_times(folder, queued[0])
    files = folder.trial(queued[0].hash)
    epochs, images = files.epochs.read_bytes(), files.images.read_bytes()
    best = weights.read_best(files)
    assert (best.epoch, float(best.weights["w"])) == (2, 2.0)

    shutil.rmtree(files.path)
    run()
    assert record_without_times(folder, queued[0]) == after
    assert (files.epochs.read_bytes(), files.images.read_bytes()) == (epochs, images)


def test_stop_leaves_the_trial_interrupted_and_resumable(run: Any, fake_engine: FakeEngine) -> None:
    record = run(should_stop=lambda: True)
    assert (record.state, record.reason) == (State.INTERRUPTED, "stopped after epoch 1")
    assert record.epochs_done == 1
    heard: list[Event] = []
    again = run(on_event=heard.append)
    assert heard[0].epochs_done == 1  # type: ignore[union-attr]
    assert "resume after 1" in fake_engine.events
    assert (again.state, again.attempts, again.started) == (State.COMPLETE, 2, record.started)


def test_stop_after_the_last_epoch_lets_the_trial_end(run: Any, fake_engine: FakeEngine) -> None:
    done: list[int] = []
    record = run(on_event=lambda e: done.append(1), should_stop=lambda: "epoch 4" in fake_engine.events)
    assert record.state is State.COMPLETE


def test_keyboard_interrupt_within_an_epoch_is_recorded_and_raised(
    run: Any, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    fake_engine.raise_at = {3: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run()
    record = trials.read_trial(folder.trial(queued[0].hash))
    assert (record.state, record.reason) == (State.INTERRUPTED, "stopped within an epoch")
    assert record.epochs_done == 2


def test_stop_file_prunes_at_the_next_epoch(
    run: Any, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    request = folder.trial(queued[0].hash).stop_request
    fake_engine.before_epoch = lambda epoch: request.touch() if epoch == 3 else None
    record = run()
    assert (record.state, record.reason) == (State.PRUNED, "pruned after epoch 3")
    assert (record.epochs_done, record.objective, record.test) == (3, 0.4, {})
    assert not request.exists()


def test_divergence_is_an_outcome(run: Any, fake_engine: FakeEngine) -> None:
    fake_engine.raise_at = {3: diverged(3)}
    record = run()
    assert (record.state, record.failure) == (State.DIVERGED, None)
    assert record.reason == "epoch 3, step 2: train_loss is not finite, got nan."
    assert (record.epochs_done, record.selected_epoch) == (2, 2)
    fake_engine.events.clear()
    assert run() == record
    assert fake_engine.events == []


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried"),
            "oom",
            "OutOfMemoryError: CUDA out of memory. Tried",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you"),
            "oom",
            "RuntimeError: DefaultCPUAllocator",
        ),
        (MemoryError(), "oom", "MemoryError"),
        (DataError("cat.png: the image is corrupt."), "data", "cat.png: the image is corrupt."),
        (ValueError("bad\nsecond line"), "code", "ValueError: bad"),
        (AssertionError(), "code", "AssertionError"),
        (RuntimeError("x" * 999), "code", "RuntimeError: " + "x" * 283 + "..."),
    ],
)
def test_a_crash_is_recorded_and_raises_nothing(
    run: Any,
    folder: ExperimentFolder,
    queued: list[QueuedTrial],
    fake_engine: FakeEngine,
    error: Exception,
    kind: str,
    reason: str,
) -> None:
    fake_engine.raise_at = {2: error}
    record = run()
    assert (record.state, record.failure) == (State.FAILED, FailureKind(kind))
    assert record.reason.startswith(reason)
    assert "\n" not in record.reason
    assert len(record.reason) <= 300
    assert record.epochs_done == 1
    log = folder.trial(queued[0].hash).log.read_text()
    assert "Traceback (most recent call last)" in log
    assert fake_engine.events[-1] == "close"
    fake_engine.raise_at = {}
    assert run().state is State.COMPLETE  # whoever takes it again goes on


def test_changed_data_are_refused(run: Any, monkeypatch: pytest.MonkeyPatch, fake_engine: FakeEngine) -> None:
    from types import SimpleNamespace

    monkeypatch.setattr(
        "segbench.trial.picking._prepare", lambda *a, fold: SimpleNamespace(fingerprint="0" * 64)
    )
    record = run()
    assert (record.state, record.failure) == (State.FAILED, FailureKind.DATA)
    assert record.reason == (
        "data set shapes: the files have changed since the sweep was planned, got '0000000000000000'. "
        "Known: ffffffffffffffff. Run segbench sweep again: it plans with the data as they are now."
    )


def test_a_held_trial_is_left_alone(run: Any, folder: ExperimentFolder, queued: list[QueuedTrial]) -> None:
    lease = Lease.acquire(folder.trial(queued[0].hash))
    assert lease is not None
    with lease:
        assert run() is None
    assert run().state is State.COMPLETE


def test_another_identity_is_never_overwritten(
    run: Any, folder: ExperimentFolder, queued: list[QueuedTrial]
) -> None:
    run()
    record = folder.trial(queued[0].hash).record
    content = json.loads(record.read_text())
    content["identity"] = content["identity"][:12] + "0" * 52
    record.write_text(json.dumps(content))
    with pytest.raises(ResultsError, match="the folder holds another trial"):
        run()
    assert json.loads(record.read_text()) == content


@pytest.mark.parametrize("name", ["last", "best"])
def test_a_damaged_state_is_set_aside_and_the_trial_starts_again(
    name: str, run: Any, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    assert run(should_stop=lambda: len(fake_engine.events) >= 4).state is State.INTERRUPTED
    trial = folder.trial(queued[0].hash)
    getattr(trial, name).write_bytes(b"no state")
    assert run().state is State.COMPLETE
    assert (trial.path / f"{name}.damaged.pt").read_bytes() == b"no state"
    log = trial.log.read_text()
    assert f"{name}.pt: the file is truncated or damaged" in log
    assert "It was set aside, and the trial starts from its beginning" in log
    assert trials.read_epochs(trial)["val_dice"].tolist() == [0.1, 0.4, 0.3, 0.2]


def test_a_state_of_another_trial_is_set_aside(
    run: Any, experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial]
) -> None:
    for trial in queued[:2]:
        run_trial(trial, experiment.project, folder, RESOURCES, should_stop=lambda: True)
    one, other = (folder.trial(trial.hash) for trial in queued[:2])
    one.last.write_bytes(other.last.read_bytes())
    assert run().state is State.COMPLETE
    assert f"last.pt: the file is of another trial, got '{other.hash}'" in one.log.read_text()


def test_code_that_the_plan_does_not_know_is_refused(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    edited = replace(queued[0], config={**queued[0].config, "epochs": 5})  # as another digest would show
    with pytest.raises(ResultsError) as error:
        run_trial(edited, experiment.project, folder, RESOURCES)
    assert str(error.value) == (
        f"trial {edited.hash}: the code is not that of the plan any more. "
        "Run segbench sweep again: it plans with the code as it is now."
    )
    assert not folder.trial(edited.hash).record.exists()
    assert fake_engine.events == []


def test_a_full_disk_under_the_log_stops_no_trial(
    run: Any, folder: ExperimentFolder, queued: list[QueuedTrial]
) -> None:
    trial = folder.trial(queued[0].hash)
    trial.path.mkdir(parents=True)
    trial.log.symlink_to("/dev/full")
    assert run().state is State.COMPLETE


def test_a_lost_lease_stops_every_write(
    run: Any, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    from segbench.store.lease import LeaseLost

    trial = folder.trial(queued[0].hash)

    def steal(epoch: int) -> None:
        if epoch == 2:
            trial.lease(2).write_text("{}")

    fake_engine.before_epoch = steal
    with pytest.raises(LeaseLost, match="another worker has taken this trial over"):
        run()
    assert trials.read_trial(trial).state is State.RUNNING
    assert trials.count_epochs(trial) == 1


def test_equal_data_stay_warm(
    experiment: Experiment,
    folder: ExperimentFolder,
    queued: list[QueuedTrial],
    fake_engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[int] = []
    monkeypatch.setattr(
        "segbench.trial.picking._prepare", lambda *a, fold: loaded.append(fold) or fake_data()
    )
    warm = WarmData(experiment.project)
    for trial in queued:
        run_trial(trial, experiment.project, folder, RESOURCES, warm=warm)
    assert loaded == [0]


def test_freed_memory_goes_back_before_a_trial_of_another_shape(
    experiment: Experiment, queued: list[QueuedTrial], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segbench.trial.picking._prepare", lambda *a, fold: fake_data())
    seen: list[int] = []
    returned: list[int] = []
    monkeypatch.setattr("segbench.trial.picking.return_freed_memory", lambda: returned.append(len(seen)))
    warm = WarmData(experiment.project)
    config = TrialConfig.from_json(queued[0].config)
    for batch_size, lr in [(2, 0.1), (2, 0.2), (4, 0.2), (4, 0.1), (2, 0.1)]:
        adam = replace(config.optimizer, knobs={"lr": lr})
        seen.append(batch_size)
        changed = replace(config, batch_size=batch_size, optimizer=adam)
        warm.get(changed, fold=0, fingerprint=fake_data().fingerprint)
    assert returned == [1, 3, 5]
