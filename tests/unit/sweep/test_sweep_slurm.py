"""The pool of Slurm's jobs, with commands that only pretend; tests/slurm has the real ones."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sweep_fakes import FakeEngine
from test_sweep_supervisor import Sweep

from segbench.config.experiment import Experiment
from segbench.config.slurm import defaults
from segbench.errors import ExperimentError, TrialError
from segbench.store.layout import ExperimentFolder
from segbench.store.queue import QueuedTrial
from segbench.sweep.launchers import slurm as launcher
from segbench.sweep.launchers.slurm import (
    Listed,
    SlurmLauncher,
    SlurmRefuses,
    Submission,
    _time_left_s,
)


class FakeSlurm:
    """A controller: jobs and what was asked of them."""

    def __init__(self) -> None:
        self.jobs: dict[str, Listed] = {}
        self.cancelled: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        self.num_arrays = 0
        self.refuses: str | None = None
        self.starts_as = ("RUNNING", "None")
        self.now = 0.0

    def submit(self, submission: Submission, count: int) -> list[str]:
        if self.refuses:
            raise SlurmRefuses(self.refuses)
        self.num_arrays += 1
        ids = [f"{self.num_arrays}_{task}" for task in range(count)]
        for job in ids:
            self.jobs[job] = Listed(*self.starts_as, submission.comment)
        return ids

    def list_jobs(self, name: str) -> dict[str, Listed]:
        if self.refuses:
            raise SlurmRefuses(self.refuses)
        return dict(self.jobs)

    def cancel(self, jobs: list[str], *options: str) -> None:
        self.cancelled.append((tuple(jobs), options))
        for job in jobs:
            if not options or self.jobs[job].state == "PENDING":
                self.end(job, "CANCELLED")

    def end(self, job: str, state: str) -> None:
        self.jobs[job] = Listed(state, "None", self.jobs[job].comment)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    fake = FakeSlurm()
    monkeypatch.setattr(Submission, "submit", lambda self, count: fake.submit(self, count))
    monkeypatch.setattr(launcher, "list_jobs", fake.list_jobs)
    monkeypatch.setattr(launcher, "cancel", fake.cancel)
    monkeypatch.setattr(launcher, "call", lambda *command, given=None: "ExitCode=0:15")
    return fake


@pytest.fixture
def make_pool(tmp_path: Path, slurm: FakeSlurm) -> Callable[..., SlurmLauncher]:
    def make(workers: int = 2, notes: list[str] | None = None) -> SlurmLauncher:
        folder = ExperimentFolder(tmp_path / "results" / "exp")
        asked = Submission(folder=folder, root=tmp_path, options=defaults())
        made = SlurmLauncher(asked, workers, clock=lambda: slurm.now, sleep=slurm.sleep)
        made.note = (notes if notes is not None else []).append
        return made

    return make


def run(pool: SlurmLauncher, seconds: float = 20.0) -> list[Any]:
    """Ask a pool again and again, and return the ends it tells of."""
    return [what for _ in range(round(seconds / 0.2)) for _, what in pool.poll(0.2)]


def test_jobs_asked_for_together_are_one_array(
    make_pool: Callable[..., SlurmLauncher], slurm: FakeSlurm
) -> None:
    pool = make_pool(3)
    pool.start(pool.num_free)
    assert pool.num_free == 0
    assert run(pool) == []
    assert slurm.num_arrays == 1
    assert pool.jobs == ["1_0", "1_1", "1_2"]
    written = json.loads(pool.log.joinpath("jobs.json").read_text())
    assert [(job["job"], job["state"]) for job in written["jobs"]] == [(j, "RUNNING") for j in pool.jobs]


def test_an_end_is_told_with_slurm_s_words(make_pool: Callable[..., SlurmLauncher], slurm: FakeSlurm) -> None:
    pool = make_pool(2)
    numbers = pool.start(pool.num_free)
    run(pool)
    slurm.jobs["1_0"] = Listed("TIMEOUT", "TimeLimit", "")
    slurm.end("1_1", "COMPLETED")
    timeout, complete = run(pool)
    assert (timeout.worker, timeout.job, timeout.cause) == (
        numbers[0],
        "1_0",
        "Slurm job 1_0: TIMEOUT (TimeLimit)",
    )
    assert timeout.code == 1
    assert complete.code == 0
    assert pool.log.name == "1_1_0_log.err"
    assert pool.num_running == 0


def test_a_later_pool_finds_the_living_jobs(
    make_pool: Callable[..., SlurmLauncher], slurm: FakeSlurm
) -> None:
    first = make_pool(3)
    first.start(first.num_free)
    run(first)
    slurm.end("1_1", "NODE_FAIL")
    slurm.jobs["9"] = Listed("RUNNING", "None", "/another/folder")
    later = make_pool(3)
    later.attach()
    assert later.jobs == ["1_0", "1_2"]
    assert later.num_free == 1
    first.log.joinpath("jobs.json").write_text("{")
    without_file = make_pool(3)
    without_file.attach()
    assert without_file.jobs == ["1_0", "1_2"], "their comment names the folder"


def test_a_controller_that_restarts_loses_no_job(
    make_pool: Callable[..., SlurmLauncher], slurm: FakeSlurm
) -> None:
    notes: list[str] = []
    pool = make_pool(1, notes)
    pool.start(1)
    run(pool)
    slurm.refuses = "squeue: Unable to contact slurm controller"
    assert run(pool, 60) == []
    assert notes[1:] == ["Slurm: squeue: Unable to contact slurm controller"], "said once"
    slurm.refuses = None
    slurm.end("1_0", "COMPLETED")
    assert [exit_.code for exit_ in run(pool, 30)] == [0]


def test_a_first_submission_that_is_refused_ends_the_sweep(
    make_pool: Callable[..., SlurmLauncher], slurm: FakeSlurm
) -> None:
    pool = make_pool(1)
    pool.start(1)
    slurm.refuses = "sbatch: Invalid account"
    with pytest.raises(TrialError, match="sbatch: Invalid account"):
        list(pool.poll(0.2))


def test_jobs_that_can_never_start_are_cancelled(
    make_pool: Callable[..., SlurmLauncher], slurm: FakeSlurm
) -> None:
    slurm.starts_as = ("PENDING", "PartitionTimeLimit")
    pool = make_pool(2)
    pool.start(pool.num_free)
    with pytest.raises(TrialError) as error:
        run(pool)
    assert str(error.value) == (
        "--launcher slurm: Slurm will never start job 1_0: PartitionTimeLimit. "
        "The jobs were cancelled; change the block `slurm:`, or give --slurm KEY=VALUE."
    )
    assert {listed.state for listed in slurm.jobs.values()} == {"CANCELLED"}


def test_a_limit_that_binds_is_told_once(make_pool: Callable[..., SlurmLauncher], slurm: FakeSlurm) -> None:
    notes: list[str] = []
    pool = make_pool(3, notes)
    pool.start(pool.num_free)
    run(pool, 1.0)
    slurm.jobs["1_2"] = Listed("PENDING", "QOSMaxCpuPerUserLimit", "")
    run(pool, 60)
    assert notes == [
        "submitted to Slurm: 1_0 ... 1_2 (3 jobs)",
        "Slurm: QOSMaxCpuPerUserLimit: 1 of 3 jobs wait",
    ]


def test_stopping_is_asked_by_a_file_and_killing_by_scancel(
    make_pool: Callable[..., SlurmLauncher], slurm: FakeSlurm, tmp_path: Path
) -> None:
    pool = make_pool(2)
    pool.start(pool.num_free)
    run(pool)
    folder = ExperimentFolder(tmp_path / "results" / "exp")
    pool.signal(signal.SIGTERM)
    assert json.loads(folder.stop_request.read_text())["now"] is False
    pool.signal(signal.SIGINT)
    assert json.loads(folder.stop_request.read_text())["now"] is True
    assert all(options == ("--state=PENDING",) for _, options in slurm.cancelled)
    assert {listed.state for listed in slurm.jobs.values()} == {"RUNNING"}
    pool.signal(signal.SIGKILL)
    assert slurm.cancelled[-1] == (("1_0", "1_1"), ())
    assert len(run(pool)) == 2


def test_jobs_that_wait_are_dismissed_when_no_work_is_left(
    make_pool: Callable[..., SlurmLauncher], slurm: FakeSlurm
) -> None:
    slurm.starts_as = ("PENDING", "Resources")
    pool = make_pool(2)
    pool.start(pool.num_free)
    run(pool, 2.0)
    slurm.jobs["1_0"] = Listed("RUNNING", "None", "")
    run(pool, 5.0)
    pool.dismiss()
    assert slurm.cancelled == [(("1_0", "1_1"), ("--state=PENDING",))]
    assert [exit_.job for exit_ in run(pool)] == ["1_1"]


def test_a_sweep_whose_jobs_die_again_and_again_ends_with_slurm_s_words(
    experiment: Experiment,
    folder: ExperimentFolder,
    queued: list[QueuedTrial],
    fake_engine: FakeEngine,
    slurm: FakeSlurm,
    make_pool: Callable[..., SlurmLauncher],
) -> None:
    sweep = Sweep(experiment, folder, queued)
    pool = make_pool(4)
    sweep.supervisor.launcher = pool
    submit = slurm.submit

    def submit_and_die(asked: Submission, count: int) -> list[str]:
        ids = submit(asked, count)
        for job in ids:
            slurm.end(job, "FAILED")
        return ids

    slurm.submit = submit_and_die  # type: ignore[method-assign]
    with pytest.raises(TrialError, match=r"workers end without progress \(Slurm job 3_3: FAILED\)"):
        sweep.run()
    assert slurm.num_arrays == 3, "four jobs that die together are one round"


def test_a_job_is_asked_for_as_the_block_says(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    options = {
        **defaults(),
        "partition": "gpu",
        "time": 90,
        "memory_gib": 1.5,
        "requeue": False,
        "setup": ["module load cuda"],
        "extra": {"constraint": "a100", "--exclusive": True},
    }
    folder = ExperimentFolder(tmp_path / "an experiment, odd")
    asked = Submission(folder=folder, root=tmp_path, options=options, loader_workers=2)
    lines = asked._script(3).splitlines()
    for line in (
        "#SBATCH --array=0-2%3",
        "#SBATCH --partition=gpu",
        "#SBATCH --time=90",
        "#SBATCH --mem=1536M",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH --gpus-per-node=1",
        "#SBATCH --constraint=a100",
        "#SBATCH --exclusive",
        "#SBATCH --no-requeue",
        "#SBATCH --job-name=segbench:an_experiment__odd",
        f"#SBATCH --comment='{folder.root}'",
        "module load cuda",
    ):
        assert line in lines
    assert not [line for line in lines if "wckey" in line or "USR" in line]
    assert asked.worker_arguments == [
        "an experiment, odd",
        *("--project", str(tmp_path), "--threads", "4", "--loader-workers", "2"),
    ]
    on_cpus = Submission(folder=folder, root=tmp_path, options={**options, "gpus": 0, "requeue": True})
    assert on_cpus.worker_arguments[3:] == ["--device", "cpu", "--threads", "4", "--launcher", "slurm"]
    typed = {**options, "extra": {"gres": "gpu:a100:1"}}
    script = Submission(folder=folder, root=tmp_path, options=typed)._script(1)
    assert "--gpus-per-node" not in script
    assert "#SBATCH --gres=gpu:a100:1" in script


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Submission(folder=ExperimentFolder(tmp_path), root=tmp_path, options=defaults())
    monkeypatch.setattr(launcher, "which", lambda name: None if name == "sbatch" else name)
    with pytest.raises(ExperimentError) as error:
        asked.check_tools()
    assert str(error.value) == (
        "--launcher slurm: there is no sbatch on this machine. "
        "Start the sweep where jobs are submitted from, such as a login node."
    )
    monkeypatch.setattr(launcher, "which", lambda name: name)
    monkeypatch.setattr(launcher, "find_spec", lambda name: None)
    with pytest.raises(ExperimentError, match="submitit is missing"):
        asked.check_tools()


@pytest.mark.parametrize(
    ("job", "jobs"),
    [
        ("12", ["12"]),
        ("12_3", ["12_3"]),
        ("12_[0-1,3%2]", ["12_0", "12_1", "12_3"]),
        ("12_[7]", ["12_7"]),
    ],
)
def test_ids_of_arrays_are_written_out(job: str, jobs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "call", lambda *command: f"{job}|PENDING|Resources|/a|b\n")
    assert launcher.list_jobs("x") == dict.fromkeys(jobs, Listed("PENDING", "Resources", "/a|b"))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("1-02:03:04", 93784), ("2:03:04", 7384), ("9:30", 570), ("UNLIMITED", None), ("", None)],
)
def test_time_left_is_read(said: str, seconds: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segbench.sweep.launchers.slurm.call", lambda *command: f"{said}\n")
    assert _time_left_s("12") == seconds


def test_more_time_is_asked_for_only_where_the_time_was_of_use(
    folder: ExperimentFolder,
    queued: list[QueuedTrial],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from segbench.store.queue import Queue

    asked: list[Any] = []
    monkeypatch.setattr(
        "segbench.sweep.launchers.slurm.subprocess.run", lambda command, **_: asked.append(command)
    )
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    folder.root.mkdir(parents=True)
    Queue(experiment=folder.name, trials=tuple(queued)).write(folder.queue)
    more = SlurmLauncher.more_time(folder)
    more()
    assert asked == []
    assert "no epoch has ended within its time" in capsys.readouterr().out
    trial = folder.trial(queued[0].hash)
    trial.path.mkdir(parents=True)
    trial.epochs.write_text("epoch,lr\n1,0.1\n")
    more()
    assert asked == [["scontrol", "requeue", "12"]]
