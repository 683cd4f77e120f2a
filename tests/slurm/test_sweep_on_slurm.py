"""A real sweep on a real Slurm: complete, undisturbed or not, and with the records of a local one."""

from __future__ import annotations

import fcntl
import json
import math
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

import segbench
from segbench.records import TIMING_COLUMNS
from segbench.store.layout import ExperimentFolder
from segbench.sweep.launchers.slurm import jobs_file, slurm_folder
from slurm.cluster import Cluster, wait_for

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1200)]

EXPERIMENT = """\
question: Does it matter where it runs?
baseline:
  dataset: {shapes: {num_train: 16, num_val: 8, num_test: 8, size_px: 32}}
  input: unit
  model: {unet: {width: 4, depth: 2}}
  norm: batch
  augment: slow_flips
  loss: {bce: 1, dice: 1}
  optimizer: {adam: {lr: 2e-2}}
  batch_size: 2
  epochs: 4
axes:
  norm: [batch, none]
seeds: 2
slurm: {gpus: 1, cpus: 1, workers: 2, memory_gib: 1.5, time: 0:30:00, setup: ["export SEEN_BY_SETUP=1"]}
"""

AUGMENT = """\
from time import sleep

from segbench.axes.augment import variant


@variant
def slow_flips(*, pause_s: float = 0.05):
    \"\"\"Flip by the seed, and take so long over it that there is something to disturb.

    Args:
        pause_s: Time an image takes.
    \"\"\"

    def augment(image, mask, seed):
        sleep(pause_s)
        return (image[:, ::-1], mask[:, ::-1]) if seed % 2 else (image, mask)

    return augment
"""

EPOCH_S = 16 * 0.05
"""An epoch takes longer than this."""

VOLATILE = ("attempts", "started", "finished", "train_time_s", "commit", "is_dirty")
"""Keys of `trial.json` that say when and where, not what."""


class Project:
    """A project on the cluster."""

    def __init__(self, root: Path, cluster: Cluster, data: Path) -> None:
        self.root, self.cluster = root, cluster
        for name, text in (("experiments/tiny.yaml", EXPERIMENT), ("axes/augment/slow_flips.py", AUGMENT)):
            (root / name).parent.mkdir(parents=True)
            (root / name).write_text(text)
        package = str(Path(segbench.__file__).parent.parent)
        self.environment = {**cluster.environment, "PYTHONPATH": package, "SEGBENCH_DATA": str(data)}
        self.folder = ExperimentFolder(root / "results" / "tiny")

    def command(self, *more: str) -> list[str]:
        return [sys.executable, "-m", "segbench", "sweep", "tiny", "--device", "cpu", *more]

    def sweep(self, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*more),
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
        )

    def begin(self, *more: str) -> subprocess.Popen[str]:
        """Start a sweep on Slurm and wait until both jobs have trained an epoch."""
        sweep = subprocess.Popen(
            self.command("--launcher", "slurm", *more),
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.wait_for_epochs()
        return sweep

    def wait_for_epochs(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        def have_begun() -> bool:
            meanwhile()
            return len(list(self.folder.root.glob("trials/*/epochs.csv"))) >= 2

        wait_for(have_begun, "two trials", 300)

    def records(self) -> dict[str, object]:
        """Return what must not depend on where it ran."""
        found: dict[str, object] = {}
        for trial in self.folder.trial_folders():
            record = json.loads(trial.record.read_text())
            found[f"{trial.hash}/trial.json"] = {k: v for k, v in record.items() if k not in VOLATILE}
            rows = [line.split(",") for line in trial.epochs.read_text().splitlines()]
            found[f"{trial.hash}/epochs.csv"] = [row[: -len(TIMING_COLUMNS)] for row in rows]
            found[f"{trial.hash}/images.csv.gz"] = trial.images.read_bytes()
        found["index.csv"] = self.folder.index.read_bytes()
        return found

    def states(self) -> list[str]:
        found = [trial.record for trial in self.folder.trial_folders()]
        return [json.loads(record.read_text())["state"] for record in found if record.exists()]

    def jobs(self) -> list[str]:
        """Return the ids of all jobs that `jobs.json` knows of."""
        return [job["job"] for job in json.loads(jobs_file(self.folder).read_text())["jobs"]]

    def output(self) -> str:
        """Return what the jobs printed."""
        return "".join(path.read_text() for path in sorted(slurm_folder(self.folder).glob("*_log.*")))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def drain(terminal: int) -> None:
    """Take what is written to a terminal, as a terminal does: a full one makes writers wait."""
    with suppress(OSError):
        while os.read(terminal, 65536):
            pass


@dataclass(frozen=True)
class Local:
    """A sweep on this machine."""

    records: dict[str, object]
    took_s: float
    """How fast the machine is at the moment."""


@pytest.fixture(scope="module")
def run_here(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, data: Path) -> Local:
    project = Project(tmp_path_factory.mktemp("local"), cluster, data)
    began = time.monotonic()
    done = project.sweep("--workers", "2", "--threads", "1")
    assert done.returncode == 0, done.stderr
    return Local(project.records(), time.monotonic() - began)


@pytest.fixture
def local(run_here: Local) -> dict[str, object]:
    return run_here.records


@pytest.fixture
def project(cluster: Cluster, tmp_path: Path, data: Path) -> Iterator[Project]:
    made = Project(tmp_path / "a project", cluster, data)
    yield made
    for job in cluster.jobs("PENDING") + cluster.jobs("RUNNING"):
        cluster.call("scancel", job)
    wait_for(lambda: not cluster.jobs("RUNNING") + cluster.jobs("COMPLETING"), "the jobs' end", 30)


def test_a_sweep_on_slurm_leaves_the_records_of_a_local_one(
    project: Project, local: dict[str, object]
) -> None:
    done = project.sweep("--launcher", "slurm")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "finished: 4 complete." in done.stdout
    assert "on Slurm, the default partition: 2 workers of 1 thread" in done.stdout
    assert project.records() == local
    assert sorted(re.findall(r"CUDA_VISIBLE_DEVICES=(\S*)", project.output())) == ["0", "1"]
    assert project.cluster.jobs("RUNNING") == []
    assert not project.folder.queue.exists()


@pytest.mark.parametrize(
    ("asked", "words", "code"),
    [
        ("partition=nowhere", "invalid partition specified: nowhere", 2),
        ("extra={gres: nothing}", "Invalid generic resource", 2),
        ("time=2:00:00", "Slurm will never start job", 4),
    ],
)
def test_slurm_s_own_words_are_shown_before_work_starts(
    project: Project, asked: str, words: str, code: int
) -> None:
    done = project.sweep("--launcher", "slurm", "--slurm", asked)
    assert words in done.stderr
    assert done.returncode == code
    assert not project.folder.trials.exists()
    assert project.cluster.jobs("PENDING") == []


def test_an_array_that_is_too_large_is_refused(project: Project) -> None:
    done = project.sweep("--launcher", "slurm", "--set", "seeds=9", "--slurm", "workers=9")
    assert done.stderr.strip().endswith(
        "slurm: workers: an array of this cluster holds at most 8 jobs (MaxArraySize), got 9."
    )
    assert done.returncode == 2


def test_a_sweep_survives_the_loss_of_a_job_of_slurmd_and_of_itself(
    project: Project, cluster: Cluster, local: dict[str, object]
) -> None:
    more = ("--set", "seeds=8")  # six more than here, so that work is left when the job's end is noticed
    sweep = project.begin(*more)
    first, second = project.jobs()
    cluster.call("scancel", first)
    wait_for(lambda: len(project.jobs()) == 3, "another job", 120)
    cluster.kill_slurmd()
    cluster.start_slurmd()
    wait_for(lambda: len(cluster.jobs("RUNNING")) == 2, "two jobs", 120)
    sweep.kill()
    said, _ = sweep.communicate()
    assert f"(Slurm job {first}: CANCELLED" in said
    living = cluster.jobs("RUNNING")
    assert second in living
    assert first not in living
    again = project.sweep("--launcher", "slurm", *more)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "jobs of an earlier sweep live and are taken over: " in again.stdout
    assert "submitted to Slurm" not in again.stdout
    assert project.states() == ["complete"] * 16
    found = project.records()
    del found["index.csv"]
    assert {name: found[name] for name in local if name in found} == {
        name: record for name, record in local.items() if name != "index.csv"
    }


def test_asking_a_sweep_to_stop_stops_its_jobs_after_their_epochs(
    project: Project, cluster: Cluster, local: dict[str, object]
) -> None:
    sweep = project.begin()
    sweep.send_signal(signal.SIGINT)
    said, _ = sweep.communicate(timeout=300)
    assert sweep.returncode == 130, said
    assert "tiny: stopped; the same command goes on from here." in said
    assert cluster.jobs("RUNNING") + cluster.jobs("PENDING") == []
    records = [json.loads(trial.record.read_text()) for trial in project.folder.trial_folders()]
    ends = [(r["state"], r["reason"]) for r in records]
    assert {state for state, _ in ends} <= {"complete", "interrupted"}, ends
    assert all(re.fullmatch(r"stopped after epoch \d", why or "") for s, why in ends if s != "complete"), ends
    num_trials = sum(name.endswith("trial.json") for name in local)
    assert sum(state == "complete" for state, _ in ends) < num_trials, ends
    assert project.sweep("--launcher", "slurm").returncode == 0
    assert project.records() == local


def test_jobs_outlive_a_lost_terminal_and_go_on_when_their_time_is_up(
    project: Project, cluster: Cluster, run_here: Local
) -> None:
    budget_s = round(10 + run_here.took_s)  # enough to start and for some epochs, and too little for all
    num_epochs = math.ceil(budget_s / EPOCH_S)
    time_min = math.ceil((budget_s + 30) / 60)
    more = ["--launcher", "slurm", "--set", "seeds=1", "--set", f"epochs={num_epochs}"]
    more += ["--slurm", f"time={time_min}", "--slurm", f"notice_s={60 * time_min - budget_s}"]
    terminal, end = pty.openpty()
    sweep = subprocess.Popen(
        project.command(*more),
        cwd=project.root,
        env=project.environment,
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # its own: only then is its loss a SIGHUP
    )
    os.close(end)
    os.set_blocking(terminal, False)
    project.wait_for_epochs(meanwhile=lambda: drain(terminal))
    os.close(terminal)  # SIGHUP, and an error to whoever writes to it
    time.sleep(2)
    sweep.kill()
    sweep.wait()
    assert len(project.jobs()) == 2
    wait_for(lambda: project.states() == ["complete"] * 2, "the sweep's end", 900)
    assert "its time is up, Slurm is asked to start it again" in project.output()
    done = project.sweep(*more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 trials: 0 to run, 2 done" in done.stdout
    assert len({job.partition("_")[0] for job in project.jobs()}) == 1, "one array, submitted once"
    for trial in project.folder.trial_folders():
        epochs = [int(line.split(",")[0]) for line in trial.epochs.read_text().splitlines()[1:]]
        assert epochs == list(range(1, num_epochs + 1))
