"""`logs`, `export`, `results gc` and `status --watch`: what is on disk, looked at and looked after."""

from __future__ import annotations

import os
import threading
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from segbench.cli import status
from segbench.cli.app import app
from segbench.cli.logs import LogFile, follow_logs
from segbench.config.load import load_experiment
from segbench.plan.overview import look_over, time_left_s
from segbench.plan.plan import plan_trials
from segbench.records import FailureKind, State, TrialRecord
from segbench.store.gc import Keep, find_garbage, remove_garbage
from segbench.store.layout import ExperimentFolder, ResultsFolder, TrialFolder
from segbench.store.lease import Lease
from segbench.store.trials import write_trial

TEXT = """
question: What is left behind?
baseline:
  dataset: {shapes: {size_px: 16, num_train: 4, num_val: 2, num_test: 2}}
  model: {unet: {width: 4, depth: 2}}
  epochs: 10
axes:
  norm: [batch, none]
seeds: 2
scales:
  small: {seeds: 1}
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "norms.yaml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def folder(project: Path) -> ExperimentFolder:
    return ResultsFolder(project / "results").experiment("norms")


def leave(number: int, folder: ExperimentFolder, **changes: object) -> TrialFolder:
    trial = plan_trials(load_experiment("norms")).entries[number].trial
    values: dict[str, object] = {
        "hash": trial.hash,
        "identity": trial.identity,
        "experiment": "norms",
        "levels": dict(trial.cell.levels),
        "config": trial.cell.config.to_json(),
        "config_hash": trial.cell.config_hash,
        "seed": trial.seed,
        "fold": 0,
        "data_fingerprint": trial.data_fingerprint,
        "state": State.COMPLETE,
        "epochs_done": 10,
        "train_time_s": 600.0,
        **changes,
    }
    at = folder.trial(trial.hash)
    write_trial(at, TrialRecord(**values))  # type: ignore[arg-type]
    for path in (at.best, at.last, at.masks):
        path.write_bytes(b"x" * 100)
    at.log.write_text("one\ntwo\nthree\n")
    at.epochs.write_text("epoch,val_dice\n1,0.5\n")
    return at


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.output
    return done.stdout


# ---- logs


def test_logs_show_failures_first_and_the_workers_last(folder: ExperimentFolder) -> None:
    leave(0, folder)
    leave(1, folder, state=State.FAILED, failure=FailureKind.CODE)
    folder.log.write_text("Fatal Python error\n")
    lines = run("logs", "norms", "--lines", "2").splitlines()
    titles = [line for line in lines if line.startswith("---")]
    assert [title.split()[1] for title in titles] == ["none,", "batch,", "workers"]
    assert lines[1:3] == ["two", "three"]
    assert lines[-1] == "Fatal Python error"


def test_logs_of_chosen_trials(folder: ExperimentFolder) -> None:
    first, second = leave(0, folder), leave(1, folder)
    text = run("logs", "norms", second.hash[:6])
    assert second.hash in text
    assert first.hash not in text
    text = run("logs", "norms", "--only", "norm=batch")
    assert first.hash in text
    assert second.hash not in text


def test_logs_of_a_hash_that_no_trial_has(folder: ExperimentFolder) -> None:
    leave(0, folder)
    done = CliRunner().invoke(app, ["logs", "norms", "zzz"])
    assert done.exit_code != 0
    assert "no trial's hash begins so" in str(done.exception)


def test_following_yields_whole_lines_and_starts_again_with_a_new_file(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log.txt", "a")
    log.path.write_text("old\n")

    def grow() -> None:
        with log.path.open("a") as file:
            file.write("new\nhalf")

    later = threading.Timer(0.2, grow)  # the first look notes what is there already
    later.start()
    lines = follow_logs([log], poll_s=0.01)
    assert next(lines) == (log, "new")
    later.join()
    log.path.write_text("x\n")  # shorter than before
    assert next(lines) == (log, "x")


# ---- status --watch


def test_watching_ends_when_nothing_is_left(
    folder: ExperimentFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = []

    def look() -> object:
        leave(len(looks), folder, state=State.FAILED if len(looks) == 3 else State.COMPLETE)
        looks.append(look_over(load_experiment("norms")))
        return looks[-1]

    status.watch_overview(look, interval_s=0.0)  # type: ignore[arg-type]
    assert len(looks) == 4
    text = capsys.readouterr().out
    assert text.count("norms") == 4, "in a pipe it is printed whenever it has changed"


def test_watching_needs_an_experiment() -> None:
    for arguments in (["status", "--watch"], ["status", "norms", "--watch", "--json"]):
        done = CliRunner().invoke(app, arguments)
        assert "--watch: it takes an experiment" in str(done.exception)


def test_the_time_left_counts_what_runs_side_by_side(folder: ExperimentFolder) -> None:
    leave(0, folder)  # ten epochs in 600 s
    running = leave(1, folder, state=State.RUNNING, train_time_s=None)
    assert time_left_s(look_over(load_experiment("norms"))) is None, "nothing runs"
    with Lease.acquire(running) as lease:  # type: ignore[union-attr]
        assert lease is not None
        found = look_over(load_experiment("norms"))
        # one epoch of ten is done; two trials have not begun
        assert time_left_s(found) == pytest.approx((9 + 20) * 60.0)
        assert "about 29 min left with 1 trial at a time" in run("status", "norms")


# ---- results gc


def names(folder: TrialFolder) -> set[str]:
    return {path.name for path in folder.path.iterdir()}


@pytest.mark.parametrize(
    ("keep", "gone"),
    [
        (Keep.BEST, {"last.pt"}),
        (Keep.MASKS, {"last.pt", "best.pt"}),
        (Keep.RECORDS, {"last.pt", "best.pt", "masks.npz"}),
    ],
)
def test_gc_takes_by_policy_and_never_records(folder: ExperimentFolder, keep: Keep, gone: set[str]) -> None:
    at = leave(0, folder)
    before = names(at)
    removed = remove_garbage(folder, keep)
    assert before - names(at) == gone
    assert sum(garbage.num_bytes for garbage in removed) == 100 * len(gone)
    assert remove_garbage(folder, keep) == []


def test_gc_leaves_what_may_go_on_or_is_held(folder: ExperimentFolder) -> None:
    stopped = leave(0, folder, state=State.INTERRUPTED)
    held = leave(1, folder)
    (stopped.path / "best.pt.tmp-1-2").write_bytes(b"half")
    with Lease.acquire(held):  # type: ignore[union-attr]
        removed = remove_garbage(folder, Keep.RECORDS)
    assert [garbage.path.name for garbage in removed] == ["best.pt.tmp-1-2"]
    assert {"best.pt", "last.pt"} <= names(stopped)
    assert "last.pt" in names(held)


def test_a_file_with_another_name_gives_no_room(folder: ExperimentFolder, tmp_path: Path) -> None:
    at = leave(0, folder)
    os.link(at.last, tmp_path / "link")
    assert [garbage.num_bytes for garbage in find_garbage(folder, Keep.BEST)] == [0]


def test_the_command_says_what_goes_and_a_dry_run_removes_nothing(folder: ExperimentFolder) -> None:
    at = leave(0, folder)
    assert "norms: 1 file, 0.0 MiB" in run("results", "gc", "--dry-run")
    assert at.last.exists()
    assert "0.0 MiB are free" in run("results", "gc", "norms", "--keep", "masks")
    assert not at.last.exists()
    assert not at.best.exists()
    assert at.masks.exists()
    done = CliRunner().invoke(app, ["results", "gc", "nroms"])
    assert "there are no results of this name" in str(done.exception)


# ---- export


def test_an_export_is_a_project_that_reports(
    folder: ExperimentFolder, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(0, folder)
    (project / "reports" / "norms").mkdir(parents=True)
    (project / "reports" / "norms" / "report.md").write_text("# Report\n")
    (project / "axes" / "norm").mkdir(parents=True)
    (project / "axes" / "norm" / "own.py").write_text("X = 1\n")
    text = run("export", "norms", "--out", "out.zip")
    assert "1 trial, " in text
    with zipfile.ZipFile("out.zip") as archive:
        found = set(archive.namelist())
        assert "What is left behind?" in archive.read("README.txt").decode()
        archive.extractall(tmp_path / "elsewhere")
    assert {"experiments/norms.yaml", "axes/norm/own.py", "reports/norms/report.md"} <= found
    kept = {name.rpartition("/")[2] for name in found if "/trials/" in name}
    assert kept == {"trial.json", "epochs.csv"}
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "1/2" in run("status", "norms")


def test_an_export_is_the_same_twice_and_takes_weights_when_asked(folder: ExperimentFolder) -> None:
    leave(0, folder)
    run("export", "norms", "--out", "one.zip")
    run("export", "norms", "--out", "two.zip")
    assert Path("one.zip").read_bytes() == Path("two.zip").read_bytes()
    run("export", "norms", "--out", "all.zip", "--weights", "--masks")
    with zipfile.ZipFile("all.zip") as archive:
        kept = {name.rpartition("/")[2] for name in archive.namelist() if "/trials/" in name}
    assert kept == {"trial.json", "epochs.csv", "best.pt", "masks.npz"}


def test_an_export_without_records_says_what_makes_them() -> None:
    done = CliRunner().invoke(app, ["export", "norms"])
    assert "there are no records to export" in str(done.exception)
