"""The study follows the records from a thread, and a broken database stops nothing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from sweep_fakes import FakeEngine

from segbench.config.experiment import Experiment
from segbench.dashboard import mirror as mirrors
from segbench.dashboard.address import default_address, find_address
from segbench.dashboard.mirror import check_storage, make_mirror
from segbench.dashboard.shown import ShownTrial
from segbench.dashboard.storage import close_storage, open_storage
from segbench.dashboard.study import StudyMirror
from segbench.store.layout import ExperimentFolder, ResultsFolder
from segbench.store.queue import QueuedTrial
from segbench.trial.events import EpochFinished
from segbench.trial.record import Resources, read_column
from segbench.trial.run import run_trial


def read(database: Path, name: str = "exp") -> list[optuna.trial.FrozenTrial]:
    storage = open_storage(find_address(str(database), database.parent))
    try:
        return optuna.load_study(study_name=name, storage=storage).get_trials()
    finally:
        close_storage(storage)


@pytest.fixture
def database(experiment: Experiment) -> Path:
    return ResultsFolder(experiment.project.results).study


@pytest.fixture
def train(experiment: Experiment, folder: ExperimentFolder, fake_engine: FakeEngine) -> Callable[..., object]:
    def train(trial: QueuedTrial, on_event: Callable[[object], None] = lambda event: None) -> object:
        resources = Resources(device="cpu", threads=1)
        return run_trial(trial, experiment.project, folder, resources, on_event=on_event)

    return train


def test_mirror_follows_trials(
    experiment: Experiment,
    folder: ExperimentFolder,
    queued: list[QueuedTrial],
    database: Path,
    train: Callable[..., object],
) -> None:
    notes: list[str] = []
    train(queued[0])
    mirror = make_mirror(experiment, folder, notes.append)
    mirror.start(queued)
    train(queued[1], mirror.handle)
    mirror.close()
    found = read(database)
    assert [t.state.name for t in found] == ["COMPLETE", "COMPLETE", "WAITING", "WAITING"]
    assert [t.params for t in found[:2]] == [{"norm": "batch"}, {"norm": "none"}]
    assert [t.user_attrs["seed"] for t in found] == [0, 0, 1, 1]
    assert [t.user_attrs["hash"] for t in found] == [t.hash for t in queued]
    for trial in found[:2]:
        assert trial.value == 0.4
        assert trial.intermediate_values == {1: 0.1, 2: 0.4, 3: 0.3, 4: 0.2}
        assert trial.user_attrs["test_dice"] == 0.3
        assert trial.user_attrs["state"] == "complete"
    assert notes == []
    again = make_mirror(experiment, folder, notes.append)
    again.start(queued)
    again.close()
    assert [t.number for t in read(database)] == [0, 1, 2, 3]


def test_a_locked_database_is_said_once_and_caught_up(
    experiment: Experiment,
    folder: ExperimentFolder,
    queued: list[QueuedTrial],
    database: Path,
    train: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mirrors, "RETRY_S", 0.1)
    database.parent.mkdir(parents=True)
    database.write_bytes(b"this is no database, and it is long enough to be noticed" * 20)
    notes: list[str] = []
    mirror = make_mirror(experiment, folder, notes.append)
    mirror.start(queued)
    train(queued[0], mirror.handle)
    time.sleep(0.5)
    assert len(notes) == 1
    assert notes[0].startswith("optuna.journal: the dashboard's database cannot be written (")
    assert "The sweep goes on" in notes[0]
    database.unlink()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if database.is_file() and _num_complete(database) == 1:
            break
        time.sleep(0.1)
    mirror.close()
    assert [t.state.name for t in read(database)] == ["COMPLETE", "WAITING", "WAITING", "WAITING"]
    assert len(notes) == 1


def _num_complete(database: Path) -> int:
    try:
        return sum(trial.state.name == "COMPLETE" for trial in read(database))
    except KeyError:
        return 0  # the study is not there yet


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_said(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], database: Path
) -> None:
    database.parent.mkdir(parents=True)
    database.parent.chmod(0o500)
    notes: list[str] = []
    mirror = make_mirror(experiment, folder, notes.append)
    mirror.start(queued)
    mirror.close()
    database.parent.chmod(0o700)
    assert len(notes) == 1


def test_objectives_come_from_epochs_csv(
    folder: ExperimentFolder, queued: list[QueuedTrial], train: Callable[..., object]
) -> None:
    trial = folder.trial(queued[0].hash)
    assert read_column(trial, "val_dice") == {}
    train(queued[0])
    assert read_column(trial, "val_dice") == {1: 0.1, 2: 0.4, 3: 0.3, 4: 0.2}
    assert read_column(trial, "val_nothing") == {}
    with trial.epochs.open("a") as file:
        file.write("5,0.1,torn")
    assert len(read_column(trial, "val_dice")) == 4


def test_a_sweep_never_waits_for_a_slow_database(
    experiment: Experiment,
    folder: ExperimentFolder,
    queued: list[QueuedTrial],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_open = threading.Event()
    monkeypatch.setattr(StudyMirror, "report", lambda *arguments: is_open.wait(20))
    notes: list[str] = []
    mirror = make_mirror(experiment, folder, notes.append)
    mirror.start(queued, {})
    began = time.monotonic()
    for epoch in range(1, 2001):
        mirror.handle(EpochFinished(hash=queued[0].hash, epoch=epoch, row={"val_dice": 0.5}))
    assert time.monotonic() - began < 1.0  # each one would wait for twenty seconds
    mirror.close(timeout_s=0.2)
    assert notes == [
        "optuna.journal: the dashboard's database is slower than the sweep; "
        "`segbench results sync exp` writes what it lacks."
    ]
    monkeypatch.setattr(StudyMirror, "report", lambda *arguments: None)
    is_open.set()
    mirror.close(timeout_s=None)


def test_what_waits_during_an_outage_is_forgotten_and_read_from_the_files(
    experiment: Experiment,
    folder: ExperimentFolder,
    queued: list[QueuedTrial],
    database: Path,
    train: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mirrors, "RETRY_S", 0.05)
    failures = iter([True] * 2)

    def fail(self: StudyMirror, trial: ShownTrial) -> None:
        if next(failures, False):
            raise OSError("gone")
        real(self, trial)

    real = StudyMirror.set_state
    monkeypatch.setattr(StudyMirror, "set_state", fail)
    notes: list[str] = []
    mirror = make_mirror(experiment, folder, notes.append)
    mirror.start(queued, {})
    train(queued[0], mirror.handle)
    until = time.monotonic() + 20
    while time.monotonic() < until and _num_complete(database) == 0:
        time.sleep(0.05)
    mirror.close()
    assert [t.state.name for t in read(database)] == ["COMPLETE", "WAITING", "WAITING", "WAITING"]
    assert read(database)[0].intermediate_values == {1: 0.1, 2: 0.4, 3: 0.3, 4: 0.2}
    assert len(notes) == 1
    assert "(gone). The sweep goes on" in notes[0]


def test_a_check_writes_and_leaves_the_study(
    experiment: Experiment, folder: ExperimentFolder, tmp_path: Path
) -> None:
    address = find_address(str(tmp_path / "named.log"), experiment.project.results)
    check_storage(experiment, folder, address)
    assert read(tmp_path / "named.log") == []
    check_storage(experiment, folder, default_address(experiment.project.results))
    assert not experiment.project.results.exists()  # the default is not asked for before work starts


def test_a_connection_that_was_closed_while_idle_is_opened_again_at_once(
    experiment: Experiment,
    folder: ExperimentFolder,
    queued: list[QueuedTrial],
    database: Path,
    train: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mirrors, "STEADY_S", 0.0)
    failures = iter([True])
    real = StudyMirror.set_state

    def fail_once(self: StudyMirror, trial: ShownTrial) -> None:
        if next(failures, False):
            raise OSError("the server closed the connection")
        real(self, trial)

    monkeypatch.setattr(StudyMirror, "set_state", fail_once)
    mirror = make_mirror(experiment, folder, pytest.fail)
    mirror.start(queued, {})
    train(queued[0], mirror.handle)
    mirror.close()
    assert read(database)[0].state.name == "COMPLETE"
