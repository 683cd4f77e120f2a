"""The dashboard's studies from the files alone: after a loss, damage, deletion, or work on other hosts."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna_dashboard import get_note
from sweep_fakes import DESIGN, FakeEngine

from segbench.cli.results import sync
from segbench.config.experiment import Experiment
from segbench.dashboard.address import StorageAddress, default_address, find_address
from segbench.dashboard.mirror import make_mirror, synchronise
from segbench.dashboard.storage import OPENED, close_storage, open_storage
from segbench.errors import ResultsError
from segbench.records import State
from segbench.store.index import IndexRow, write_index
from segbench.store.layout import ExperimentFolder, ResultsFolder
from segbench.store.queue import Queue, QueuedTrial
from segbench.sweep.launch import write_document
from segbench.trial.record import Resources
from segbench.trial.run import run_trial


@pytest.fixture
def address(experiment: Experiment) -> StorageAddress:
    return default_address(experiment.project.results)


@pytest.fixture
def trained(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> list[QueuedTrial]:
    """Three of the four trials ended, as a sweep leaves them, and nobody mirrored."""
    write_document(experiment, folder)
    for trial in queued[:3]:
        run_trial(trial, experiment.project, folder, Resources(device="cpu", threads=1))
    return queued


def read(address: StorageAddress, name: str = "exp") -> tuple[list[optuna.trial.FrozenTrial], str]:
    storage = open_storage(address)
    try:
        study = optuna.load_study(study_name=name, storage=storage)
        return study.get_trials(), get_note(study)
    finally:
        close_storage(storage)


def test_records_alone_make_the_study(
    experiment: Experiment, trained: list[QueuedTrial], address: StorageAddress
) -> None:
    report = synchronise(experiment.project, address)
    assert [(s.name, s.num_trials, s.is_rebuilt) for s in report.studies] == [("exp", 3, False)]
    found, note = read(address)
    assert {t.user_attrs["hash"] for t in found} == {t.hash for t in trained[:3]}
    assert [t.state.name for t in found] == ["COMPLETE"] * 3
    assert found[0].intermediate_values == {1: 0.1, 2: 0.4, 3: 0.3, 4: 0.2}
    assert note.startswith("**Does it run?**\n\n2 cells, 2 seeds, 3 trials, 3 done: 3 complete")
    assert "| batch | 2 | 0.3 |" in note


@pytest.mark.parametrize("storage", ["default", "sqlite", "journal"])
def test_a_second_time_changes_nothing(
    experiment: Experiment, trained: list[QueuedTrial], tmp_path: Path, storage: str
) -> None:
    asked = {"default": None, "sqlite": f"sqlite:///{tmp_path}/a.db", "journal": str(tmp_path / "a.log")}
    address = find_address(asked[storage], experiment.project.results)
    synchronise(experiment.project, address)
    first = read(address)
    assert synchronise(experiment.project, address).studies[0].is_rebuilt is False
    assert read(address) == first


def test_it_agrees_with_what_a_sweep_mirrors(
    experiment: Experiment,
    folder: ExperimentFolder,
    trained: list[QueuedTrial],
    address: StorageAddress,
) -> None:
    """The sweep shows the design with its waiting trials; index or queue tell of them: nothing is redone."""
    mirror = make_mirror(experiment, folder, pytest.fail)
    mirror.start(trained, None)
    mirror.close()
    before = read(address)
    assert [t.state.name for t in before[0]] == ["COMPLETE"] * 3 + ["WAITING"]
    rows = [
        IndexRow(hash=t.hash, levels=t.levels, seed=t.seed, fold=0, state=State.WAITING) for t in trained[:3]
    ]
    write_index(folder, ["norm"], rows)
    Queue(experiment="exp", trials=tuple(trained)).write(folder.queue)
    assert synchronise(experiment.project, address).studies[0].is_rebuilt is False
    assert read(address) == before


@pytest.mark.parametrize("name", ["optuna.journal", "shared.log"])
def test_a_damaged_file_is_moved_aside_and_written_anew(
    experiment: Experiment, trained: list[QueuedTrial], name: str
) -> None:
    results = experiment.project.results
    address = find_address(None if name == "optuna.journal" else str(results / name), results)
    (results / name).write_bytes(b"garbage\n" * 400)
    notes: list[str] = []
    synchronise(experiment.project, address, note=notes.append)
    assert len(notes) == 1
    assert f"{name}: damaged (" in notes[0]
    (aside,) = results.glob(f"{name}.broken-*")
    assert aside.read_bytes() == b"garbage\n" * 400
    assert f"moved to {aside.name}" in notes[0]
    assert len(read(address)[0]) == 3


def test_records_of_other_hosts_count_as_they_stand(
    experiment: Experiment, folder: ExperimentFolder, trained: list[QueuedTrial], address: StorageAddress
) -> None:
    record = folder.trial(trained[0].hash).record
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "host": "0" * 12, "device_name": "another machine"}))
    record = folder.trial(trained[1].hash).record
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "host": "1" * 12, "state": "running", "finished": None}))
    synchronise(experiment.project, address)
    states = {t.user_attrs["hash"]: (t.state.name, t.user_attrs["state"]) for t in read(address)[0]}
    assert states[trained[0].hash] == ("COMPLETE", "complete")
    assert states[trained[1].hash] == ("WAITING", "interrupted")


def test_an_experiment_that_cannot_be_loaded_is_shown_from_its_records(
    experiment: Experiment, folder: ExperimentFolder, trained: list[QueuedTrial], address: StorageAddress
) -> None:
    folder.experiment_yaml.unlink()
    assert synchronise(experiment.project, address).studies[0].num_trials == 3
    assert {t.params["norm"] for t in read(address)[0]} == {"batch", "none"}


def test_a_sweep_that_runs_is_left_alone(
    experiment: Experiment, folder: ExperimentFolder, trained: list[QueuedTrial], address: StorageAddress
) -> None:
    with folder.lock.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        (study,) = synchronise(experiment.project, address).studies
    assert study.skipped == "a sweep is running, which writes it itself"
    assert synchronise(experiment.project, address).studies[0].skipped is None


def test_orphans_are_listed_and_deleted_only_where_asked(
    experiment: Experiment, folder: ExperimentFolder, trained: list[QueuedTrial], address: StorageAddress
) -> None:
    synchronise(experiment.project, address)
    folder.root.rename(folder.root.parent / "renamed")
    for _ in range(2):
        report = synchronise(experiment.project, address)
        assert (report.orphans, report.pruned) == ({"exp": 3}, ())
    report = synchronise(experiment.project, address, prune=True)
    assert (report.orphans, report.pruned) == ({}, ("exp",))
    with pytest.raises(KeyError):
        read(address)
    assert len(read(address, "renamed")[0]) == 3


def test_in_a_shared_storage_only_named_orphans_are_deleted(
    experiment: Experiment, folder: ExperimentFolder, trained: list[QueuedTrial], tmp_path: Path
) -> None:
    address = find_address(f"sqlite:///{tmp_path}/shared.db", tmp_path)
    storage = open_storage(address)
    optuna.create_study(storage=storage, study_name="a colleague's own")
    for name in ("of another project", "gone"):
        optuna.create_study(storage=storage, study_name=name).set_user_attr(OPENED, "2026-11-01")
    report = synchronise(experiment.project, address, prune=True)
    assert (report.orphans, report.pruned) == ({"gone": 0, "of another project": 0}, ())
    report = synchronise(experiment.project, address, names=["gone"], prune=True)
    assert (report.orphans, report.pruned) == ({"of another project": 0}, ("gone",))
    names = {s.study_name for s in storage.get_all_studies()}
    close_storage(storage)
    assert names == {"a colleague's own", "of another project", "exp"}


def test_a_study_that_segbench_did_not_write_is_not_touched(
    experiment: Experiment, trained: list[QueuedTrial], tmp_path: Path
) -> None:
    address = find_address(f"sqlite:///{tmp_path}/shared.db", tmp_path)
    storage = open_storage(address)
    study = optuna.create_study(storage=storage, study_name="exp")
    study.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(ResultsError) as error:
        synchronise(experiment.project, address)
    assert str(error.value) == (
        f"{address.shown}: the storage holds a study exp that segbench did not write. "
        "Rename the experiment, or name another storage."
    )
    assert len(study.get_trials()) == 1
    close_storage(storage)


def test_names_are_experiments(
    experiment: Experiment, trained: list[QueuedTrial], address: StorageAddress
) -> None:
    with pytest.raises(ResultsError, match=r"there are no results of this name, got 'epx'. Did you mean"):
        synchronise(experiment.project, address, names=["epx"])


def test_the_command_says_what_it_did(
    make_experiment: Callable[..., Experiment],
    experiment: Experiment,
    trained: list[QueuedTrial],
    address: StorageAddress,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = experiment.project.root
    sync(project=root)
    assert capsys.readouterr().out == "exp: 3 trials, like the records\nin optuna.journal\n"
    other = ResultsFolder(experiment.project.results).experiment("empty")
    make_experiment(DESIGN, "empty")
    other.root.mkdir()
    (other.root / "experiment.yaml").write_text(DESIGN)
    sync(["empty"], project=root)
    assert capsys.readouterr().out == "empty: no trials\nin optuna.journal\n"
    shutil.rmtree(other.root)
    shutil.rmtree(root / "results" / "exp")
    sync(project=root)
    assert capsys.readouterr().out == (
        "exp: 3 trials, but no such experiment under results/; "
        "`segbench results sync exp --prune` deletes it\nin optuna.journal\n"
    )
    sync(prune=True, project=root)
    assert capsys.readouterr().out == "exp: deleted, its experiment is gone\nin optuna.journal\n"
    sync(project=root)
    assert capsys.readouterr().out == "no results\nin optuna.journal\n"
