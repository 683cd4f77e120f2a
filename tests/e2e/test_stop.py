"""Sweeps that are detached, stopped, helped, bounded and left hanging, with real processes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import random
import signal
import subprocess
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from chaos.harness import SMALL, Project
from command_line import command

pytestmark = pytest.mark.slow

LONG = SMALL.replace("epochs: 3", "epochs: 4000")
TINY = ("sweep", "tiny", "--workers", "2", "--threads", "1", "--device", "cpu")

HANGS = """\
from pathlib import Path
from time import sleep

from segbench.axes.augment import variant


@variant
def slow_flips(*, pause_s: float = 0.0):
    \"\"\"Hang once, after a few steps, then flip by the seed.

    Args:
        pause_s: Not used.
    \"\"\"

    calls = []

    def augment(image, mask, seed):
        hung = Path("hung")
        calls.append(seed)
        if len(calls) > 20 and not hung.exists():
            hung.touch()
            sleep(600)
        return (image[:, ::-1], mask[:, ::-1]) if seed % 2 else (image, mask)

    return augment
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def begin(project: Project, *arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command(*arguments),
        cwd=project.root,
        env=project.environment(),
        stdout=pipe,
        stderr=pipe,
        text=True,
    )


def test_a_sweep_outlives_its_terminal(tmp_path: Path, data: Path) -> None:
    """Its window is closed: SIGHUP comes, and every write to the terminal is an error from then on."""
    project = Project(tmp_path / "closed", data, SMALL.replace("epochs: 3", "epochs: 30"))
    terminal, end = pty.openpty()
    sweep = subprocess.Popen(
        command(*TINY),
        cwd=project.root,
        env=project.environment(),
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(end)
    os.set_blocking(terminal, False)
    shown = b""
    deadline = time.monotonic() + 240
    while count_epochs(project) < 2 and time.monotonic() < deadline:
        with suppress(BlockingIOError):
            shown += os.read(terminal, 65536)
        time.sleep(0.05)
    assert b"tiny" in shown
    assert sweep.poll() is None, shown
    os.close(terminal)
    assert sweep.wait(300) == 0
    assert set(project.states()) == {"complete"}


def count_epochs(project: Project) -> int:
    """Return the epochs of the trial that is furthest."""
    files = [trial.epochs for trial in project.trials() if trial.epochs.exists()]
    return max((file.read_text().count("\n") - 1 for file in files), default=0)


def wait_for_epochs(project: Project, epochs: int = 1) -> None:
    until = time.monotonic() + 240
    while count_epochs(project) < epochs:
        assert time.monotonic() < until, "no epoch was made"
        time.sleep(0.05)


def test_detached_then_helped_then_stopped(tmp_path: Path, data: Path) -> None:
    project = Project(tmp_path / "detached", data, LONG)
    begun = project.run(*TINY, "--detach", "--notify", "echo $SEGBENCH_STATE > ended")
    assert begun.returncode == 0, begun.stdout + begun.stderr
    assert "segbench stop tiny    lets each running trial finish its epoch" in begun.stdout
    wait_for_epochs(project)
    second = project.sweep()
    assert second.returncode == 3
    assert "a sweep of this experiment is running already, process" in second.stderr
    stopped = project.run("stop", "tiny")
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stdout.count(": saved after epoch ") == 2
    assert "tiny: stopped; `segbench sweep tiny` goes on from here." in stopped.stdout
    project.wait_for_orphans()
    assert "stopping: each running trial finishes its epoch" in project.folder.sweep_log.read_text()
    assert (project.root / "ended").read_text() == "stopped\n"
    assert set(project.states()) == {"interrupted"}

    # Workers without a supervisor take what it left, and hear of a stop as well.
    before = count_epochs(project)
    workers = begin(project, "worker", "tiny", "--workers", "2", "--threads", "1", "--device", "cpu")
    wait_for_epochs(project, before + 1)
    now = project.run("stop", "tiny", "--now", "--timeout", "2m")
    assert now.returncode == 0, now.stderr
    assert "asked workers without a supervisor to stop at once; " in now.stdout
    _, err = workers.communicate(timeout=60)
    assert workers.returncode == 130, err
    project.wait_for_orphans()
    assert set(project.states()) == {"interrupted"}
    assert project.run("stop", "tiny").stdout == "tiny: nothing is running.\n"


def test_a_detached_sweep_that_cannot_begin_says_so_in_the_foreground(tmp_path: Path, data: Path) -> None:
    project = Project(tmp_path / "refused", data, SMALL)
    done = project.run("sweep", "tiny", "--device", "cuda:7", "--detach")
    assert done.returncode == 2
    assert "--device: " in done.stderr
    assert not project.folder.sweep_log.exists()


def test_a_foreground_sweep_is_stopped_now_and_goes_on_from_there(tmp_path: Path, data: Path) -> None:
    project = Project(tmp_path / "now", data, SMALL.replace("epochs: 3", "epochs: 30"))
    supervisor = begin(project, *TINY)
    wait_for_epochs(project)
    assert project.run("stop", "tiny", "--now").returncode == 0
    out, err = supervisor.communicate(timeout=60)
    assert supervisor.returncode == 130, out + err
    assert "the same command goes on from here" in err
    project.wait_for_orphans()
    assert project.sweep().returncode == 0
    assert project.states() == ["complete"] * 4
    assert project.left_behind() == [], "the request is gone with the sweep"


def test_a_time_limit_leaves_resumable_trials(tmp_path: Path, data: Path) -> None:
    project = Project(tmp_path / "bounded", data, LONG)
    began = time.monotonic()
    done = project.sweep("--time-limit", "90s")
    took_s = time.monotonic() - began
    assert done.returncode == 130, done.stdout + done.stderr
    assert "the time limit is near" in done.stdout
    assert "the same command goes on from here" in done.stderr
    assert took_s < 150, "the interpreter's start and end come on top"
    reasons = [json.loads(trial.record.read_text())["reason"] for trial in project.trials()]
    assert set(project.states()) == {"interrupted"}
    # On a crowded machine even the first epoch may not end in time.
    in_time, late = "the next would not end within the time limit", "stopped within an epoch"
    assert all(reason.endswith(in_time) or reason.startswith(late) for reason in reasons), reasons
    assert project.processes() == []


def test_a_hanging_worker_is_replaced(tmp_path: Path, data: Path) -> None:
    project = Project(tmp_path / "hangs", data, SMALL)
    (project.root / "axes" / "augment" / "slow_flips.py").write_text(HANGS)
    (project.root / "hung").touch()  # the guards draw images too
    supervisor = begin(project, *TINY, "--hang-timeout", "20s")
    assert supervisor.stdout is not None
    for line in supervisor.stdout:
        if " start " in line:
            break
    (project.root / "hung").unlink()
    out, err = supervisor.communicate(timeout=280)
    assert supervisor.returncode == 0, out + err
    assert "no sign of life for 2" in out
    assert "finished: 4 complete." in out
    assert sum(json.loads(trial.record.read_text())["attempts"] for trial in project.trials()) >= 5
    assert project.processes() == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_ten_kills_on_a_gpu_with_two_trials_at_a_time(tmp_path: Path, data: Path) -> None:
    options = ("sweep", "tiny", "--device", "cuda:0", "--trials-per-gpu", "2", "--threads", "1")
    undisturbed, project = (Project(tmp_path / name, data, SMALL) for name in ("left", "killed"))
    gpu = {key: value for key, value in project.environment().items() if key != "CUDA_VISIBLE_DEVICES"}

    def sweep(where: Project) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*options), cwd=where.root, env=gpu, capture_output=True, text=True, timeout=300
        )

    assert sweep(undisturbed).returncode == 0
    chance = random.Random(7)
    for _ in range(10):
        supervisor = subprocess.Popen(
            command(*options), cwd=project.root, env=gpu, stdout=subprocess.PIPE, text=True
        )
        assert supervisor.stdout is not None
        for said in supervisor.stdout:
            if " start " in said:
                break
        time.sleep(chance.uniform(0.0, 1.5))
        for pid in project.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        supervisor.stdout.close()
        supervisor.wait(timeout=60)
    done = sweep(project)
    assert done.returncode == 0, done.stderr
    assert project.records() == undisturbed.records()
