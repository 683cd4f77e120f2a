"""A sweep that is killed again and again leaves the records of one that is left alone.

`SEGBENCH_KILLS` sets how often it is killed (10; continuous integration takes fewer).
"""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import segbench
from segbench.records import TIMING_COLUMNS
from segbench.store.layout import ExperimentFolder
from segbench.store.masks import read_masks

NUM_KILLS = int(os.environ.get("SEGBENCH_KILLS", "10"))

EXPERIMENT = """\
question: Does killing change anything?
baseline:
  dataset: {shapes: {num_train: 16, num_val: 8, num_test: 8, size_px: 32}}
  input: unit
  model: {unet: {width: 4, depth: 2}}
  norm: batch
  augment: slow_flips
  loss: {bce: 1, dice: 1}
  optimizer: {adam: {lr: 2e-2}}
  schedule: cosine
  batch_size: 2
  epochs: 3
axes:
  norm: [batch, none]
seeds: 2
"""

AUGMENT = """\
from time import sleep

from segbench.axes.augment import variant


@variant
def slow_flips(*, pause_s: float = 0.04):
    \"\"\"Flip by the seed, and take so long over it that there is something to kill.

    Args:
        pause_s: Time an image takes.
    \"\"\"

    def augment(image, mask, seed):
        sleep(pause_s)
        return (image[:, ::-1], mask[:, ::-1]) if seed % 2 else (image, mask)

    return augment
"""
"""A user's own variant: an epoch of sixteen images takes two thirds of a second on any machine."""

VOLATILE = {
    "attempts",
    "started",
    "finished",
    "train_time_s",
    "host",
    "device_name",
    "commit",
    "is_dirty",
    "versions",
}
"""Keys of `trial.json` that say when and where, not what."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The decoded cache, shared so that every sweep finds it made."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def undisturbed_project(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A project whose sweep nobody disturbed."""
    project = make_project(tmp_path_factory.mktemp("undisturbed"))
    done = sweep(project, data)
    assert done.returncode == 0, done.stderr
    assert "finished: 4 complete." in done.stdout
    return project


@pytest.fixture(scope="module")
def undisturbed(undisturbed_project: Path) -> dict[str, object]:
    return read_records(undisturbed_project)


def make_project(root: Path) -> Path:
    (root / "experiments").mkdir(parents=True, exist_ok=True)
    (root / "experiments" / "tiny.yaml").write_text(EXPERIMENT)
    (root / "axes" / "augment").mkdir(parents=True, exist_ok=True)
    (root / "axes" / "augment" / "slow_flips.py").write_text(AUGMENT)
    return root


def environment(data: Path) -> dict[str, str]:
    package = str(Path(segbench.__file__).parent.parent)
    return {**os.environ, "PYTHONPATH": package, "SEGBENCH_DATA": str(data), "CUDA_VISIBLE_DEVICES": ""}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "segbench", *arguments]


SWEEP = command("sweep", "tiny", "--workers", "2", "--threads", "1", "--device", "cpu")


def sweep(project: Path, data: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SWEEP, *more], cwd=project, env=environment(data), capture_output=True, text=True, timeout=300
    )


def folder_of(project: Path) -> ExperimentFolder:
    return ExperimentFolder(project / "results" / "tiny")


def read_records(project: Path) -> dict[str, object]:
    """Return everything a record promises to be the same, by trial and file."""
    found: dict[str, object] = {}
    for trial in folder_of(project).trial_folders():
        record = json.loads(trial.record.read_text())
        for key in VOLATILE:
            record.pop(key)
        found[f"{trial.hash}/trial.json"] = record
        rows = [line.split(",") for line in trial.epochs.read_text().splitlines()]
        assert rows[0][-len(TIMING_COLUMNS) :] == list(TIMING_COLUMNS)
        found[f"{trial.hash}/epochs.csv"] = [row[: -len(TIMING_COLUMNS)] for row in rows]
        found[f"{trial.hash}/images.csv.gz"] = trial.images.read_bytes()
        names, masks = read_masks(trial.masks)
        found[f"{trial.hash}/masks.npz"] = (names, masks.tobytes())
    found["index.csv"] = folder_of(project).index.read_bytes()
    return found


def processes_of(project: Path) -> list[int]:
    """Return the live segbench processes that work in this project, the supervisor among them."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().decode().split("\0")
            is_here = (entry / "cwd").readlink() == project
        except OSError:
            continue
        if is_here and "segbench" in arguments:
            found.append(int(entry.name))
    return found


def test_the_experiment_tells_its_trials_apart(undisturbed: dict[str, object]) -> None:
    """Equal numbers everywhere would make every comparison below pass."""
    curves = {str(v) for k, v in undisturbed.items() if k.endswith("epochs.csv")}
    images = {v for k, v in undisturbed.items() if k.endswith("images.csv.gz")}
    assert len(curves) == 4
    assert len(images) == 4
    for key, value in undisturbed.items():
        if key.endswith("epochs.csv"):
            assert len(value) == 4  # type: ignore[arg-type]
        if key.endswith("images.csv.gz"):
            assert gzip.decompress(value).count(b"\n") == 1 + 8 * 11  # type: ignore[arg-type]


def test_records_survive_kill_9(tmp_path: Path, data: Path, undisturbed: dict[str, object]) -> None:
    project = make_project(tmp_path / "killed")
    chance = random.Random(20240607)
    num_kills = 0
    for _ in range(NUM_KILLS):
        supervisor = subprocess.Popen(
            SWEEP,
            cwd=project,
            env=environment(data),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert supervisor.stdout is not None
        for line in supervisor.stdout:  # up to the moment at which there is something to lose
            if " start " in line:
                break
        time.sleep(chance.uniform(0.0, 1.5))
        workers = [pid for pid in processes_of(project) if pid != supervisor.pid]
        kind = chance.choice(["worker", "supervisor", "all"])
        doomed = {
            "worker": workers[:1],
            "supervisor": [supervisor.pid],
            "all": [supervisor.pid, *workers],
        }[kind]
        for pid in doomed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                num_kills += 1
        if kind == "worker":  # another one starts meanwhile
            time.sleep(chance.uniform(0.0, 1.0))
        supervisor.kill()
        supervisor.stdout.close()
        supervisor.wait(timeout=60)
    done = sweep(project, data)
    assert done.returncode == 0, done.stdout + done.stderr
    wait_for_orphans(project)
    assert read_records(project) == undisturbed
    logs = [trial.log.read_text() for trial in folder_of(project).trial_folders()]
    assert num_kills >= NUM_KILLS / 2
    assert any("going on after epoch" in log for log in logs)
    left = [p.name for trial in folder_of(project).trial_folders() for p in trial.path.iterdir()]
    assert not [name for name in left if name.startswith("lease") or ".tmp-" in name]


def wait_for_orphans(project: Path) -> None:
    """A worker whose supervisor is gone ends by itself, at the next epoch at the latest."""
    until = time.monotonic() + 30
    while processes_of(project) and time.monotonic() < until:
        time.sleep(0.1)
    assert processes_of(project) == []


def test_another_order_in_one_warm_worker_leaves_the_same_records(
    tmp_path: Path, data: Path, undisturbed: dict[str, object]
) -> None:
    project = make_project(tmp_path / "reversed")
    text = EXPERIMENT.replace("[batch, none]", "[none, batch]").replace("seeds: 2", "seeds: [1, 0]")
    (project / "experiments" / "tiny.yaml").write_text(text)
    done = subprocess.run(
        command("sweep", "tiny", "--threads", "1", "--device", "cpu"),
        cwd=project,
        env=environment(data),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    records = read_records(project)
    assert records.pop("index.csv") != undisturbed["index.csv"]
    assert records == {k: v for k, v in undisturbed.items() if k != "index.csv"}


def test_sigterm_finishes_the_epoch_and_the_same_command_goes_on(
    tmp_path: Path, data: Path, undisturbed: dict[str, object]
) -> None:
    project = make_project(tmp_path / "stopped")
    supervisor = subprocess.Popen(
        SWEEP, cwd=project, env=environment(data), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while not list(folder_of(project).root.glob("trials/*/epochs.csv")) and time.monotonic() < until:
        time.sleep(0.01)
    supervisor.send_signal(signal.SIGHUP)  # a closed terminal stops nothing
    time.sleep(0.1)
    assert supervisor.poll() is None
    supervisor.send_signal(signal.SIGTERM)
    out, err = supervisor.communicate(timeout=60)
    assert supervisor.returncode == 130, out + err
    assert "stopping: each running trial finishes its epoch and saves" in out
    assert "the same command goes on from here" in err
    assert processes_of(project) == []
    assert "Traceback" not in out + err
    states = [json.loads(t.record.read_text())["state"] for t in folder_of(project).trial_folders()]
    assert "interrupted" in states
    assert "running" not in states
    done = sweep(project, data)
    assert done.returncode == 0, done.stderr
    assert read_records(project) == undisturbed


def test_a_finished_sweep_says_so_at_once(undisturbed_project: Path, data: Path) -> None:
    profile = [sys.executable, "-X", "importtime", "-m", "segbench", "sweep", "tiny"]
    started = time.monotonic()
    again = subprocess.run(
        profile, cwd=undisturbed_project, env=environment(data), capture_output=True, text=True
    )
    took_s = time.monotonic() - started
    assert again.returncode == 0, again.stderr
    assert "tiny is finished: 4 complete." in again.stdout
    assert "segbench report tiny" in again.stdout
    imported = {line.rpartition("|")[2].strip() for line in again.stderr.splitlines()}
    assert "segbench.sweep.launch" in imported
    assert not imported & {"torch", "optuna", "albumentations", "pandas"}
    assert took_s < 5  # 0.6 s on an idle machine; a loaded one gets room
