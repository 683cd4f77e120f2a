"""Sweeps that are detached, stopped, helped, bounded and left hanging, with real processes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from test_kill import (
    EXPERIMENT,
    SWEEP,
    command,
    environment,
    folder_of,
    make_project,
    processes_of,
    read_records,
)

pytestmark = pytest.mark.slow

LONG = EXPERIMENT.replace("epochs: 3", "epochs: 400")

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


def run(project: Path, data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=project, env=environment(data), capture_output=True, text=True, timeout=300
    )


def begin(project: Path, data: Path, *arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command(*arguments), cwd=project, env=environment(data), stdout=pipe, stderr=pipe, text=True
    )


def wait_for_epochs(project: Path, epochs: int = 1) -> None:
    """Until some trial of the project has so many epochs on disk."""
    until = time.monotonic() + 240
    while time.monotonic() < until:
        files = list(folder_of(project).root.glob("trials/*/epochs.csv"))
        if any(file.read_text().count("\n") > epochs for file in files):
            return
        time.sleep(0.05)
    raise AssertionError("no epoch was made")


def wait_for_peace(project: Path) -> None:
    until = time.monotonic() + 60
    while processes_of(project) and time.monotonic() < until:
        time.sleep(0.1)
    assert processes_of(project) == []


def states(project: Path) -> set[str]:
    return {json.loads(t.record.read_text())["state"] for t in folder_of(project).trial_folders()}


def test_detached_then_helped_then_stopped(tmp_path: Path, data: Path) -> None:
    project = make_project(tmp_path / "detached")
    (project / "experiments" / "tiny.yaml").write_text(LONG)
    notify = "echo $SEGBENCH_STATE > ended"
    begun = run(project, data, *SWEEP[3:], "--detach", "--notify", notify)
    assert begun.returncode == 0, begun.stdout + begun.stderr
    assert "segbench stop tiny    lets each running trial finish its epoch" in begun.stdout
    wait_for_epochs(project)
    second = run(project, data, *SWEEP[3:])
    assert second.returncode == 3
    assert "a sweep of this experiment is running already, process" in second.stderr
    stopped = run(project, data, "stop", "tiny")
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stdout.count(": saved after epoch ") == 2
    assert "tiny: stopped; `segbench sweep tiny` goes on from here." in stopped.stdout
    wait_for_peace(project)
    assert "stopping: each running trial finishes its epoch" in folder_of(project).sweep_log.read_text()
    assert (project / "ended").read_text() == "stopped\n"
    assert states(project) == {"interrupted"}

    # Workers without a supervisor take what it left, and hear of a stop as well.
    workers = begin(project, data, "worker", "tiny", "--workers", "2", "--threads", "1", "--device", "cpu")
    before = max(t.epochs.read_text().count("\n") for t in folder_of(project).trial_folders())
    wait_for_epochs(project, before + 1)
    now = run(project, data, "stop", "tiny", "--now", "--timeout", "2m")
    assert now.returncode == 0, now.stderr
    assert "asked workers without a supervisor to stop at once; 2 running" in now.stdout
    _, err = workers.communicate(timeout=60)
    assert workers.returncode == 130, err
    wait_for_peace(project)
    assert states(project) == {"interrupted"}
    assert run(project, data, "stop", "tiny").stdout == "tiny: nothing is running.\n"


def test_a_detached_sweep_that_cannot_begin_says_so_in_the_foreground(tmp_path: Path, data: Path) -> None:
    project = make_project(tmp_path / "refused")
    done = run(project, data, "sweep", "tiny", "--device", "cuda:7", "--detach")
    assert done.returncode == 2
    assert "--device: " in done.stderr
    assert not folder_of(project).sweep_log.exists()


def test_a_foreground_sweep_is_stopped_now_from_another_terminal(tmp_path: Path, data: Path) -> None:
    project = make_project(tmp_path / "now")
    (project / "experiments" / "tiny.yaml").write_text(LONG)
    supervisor = begin(project, data, *SWEEP[3:])
    wait_for_epochs(project)
    assert run(project, data, "stop", "tiny", "--now").returncode == 0
    out, err = supervisor.communicate(timeout=60)
    assert supervisor.returncode == 130, out + err
    assert "the same command goes on from here" in err
    wait_for_peace(project)


def test_a_time_limit_leaves_resumable_trials(tmp_path: Path, data: Path) -> None:
    project = make_project(tmp_path / "bounded")
    (project / "experiments" / "tiny.yaml").write_text(LONG)
    began = time.monotonic()
    done = run(project, data, *SWEEP[3:], "--time-limit", "60s")
    took_s = time.monotonic() - began
    assert done.returncode == 130, done.stdout + done.stderr
    assert "the time limit is near" in done.stdout
    assert "the same command goes on from here" in done.stderr
    assert took_s < 120, "the interpreter's start and end come on top"
    reasons = [json.loads(t.record.read_text())["reason"] for t in folder_of(project).trial_folders()]
    in_time, late = (
        "the next would not end within the time limit",
        "stopped within an epoch: the time is over",
    )
    assert reasons
    assert all(reason.endswith(in_time) or reason == late for reason in reasons), reasons
    assert processes_of(project) == []


def test_a_hanging_worker_is_replaced(tmp_path: Path, data: Path) -> None:
    project = make_project(tmp_path / "hangs")
    (project / "axes" / "augment" / "slow_flips.py").write_text(HANGS)
    (project / "hung").touch()  # the guards draw images too
    supervisor = begin(project, data, *SWEEP[3:], "--hang-timeout", "20s")
    assert supervisor.stdout is not None
    for line in supervisor.stdout:
        if " start " in line:
            break
    (project / "hung").unlink()
    out, err = supervisor.communicate(timeout=280)
    assert supervisor.returncode == 0, out + err
    assert "no sign of life for 2" in out
    assert "finished: 4 complete." in out
    assert sum(json.loads(t.record.read_text())["attempts"] for t in folder_of(project).trial_folders()) >= 5
    assert processes_of(project) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_ten_kills_on_a_gpu_with_two_trials_a_time(tmp_path: Path, data: Path) -> None:
    gpu = {key: value for key, value in environment(data).items() if key != "CUDA_VISIBLE_DEVICES"}
    line = command("sweep", "tiny", "--device", "cuda:0", "--trials-per-gpu", "2", "--threads", "1")
    undisturbed, project = make_project(tmp_path / "left"), make_project(tmp_path / "killed")
    subprocess.run(line, cwd=undisturbed, env=gpu, check=True, timeout=300, stdout=subprocess.DEVNULL)
    chance = random.Random(7)
    for _ in range(10):
        supervisor = subprocess.Popen(line, cwd=project, env=gpu, stdout=subprocess.PIPE, text=True)
        assert supervisor.stdout is not None
        for said in supervisor.stdout:
            if " start " in said:
                break
        time.sleep(chance.uniform(0.0, 1.5))
        for pid in processes_of(project):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        supervisor.stdout.close()
        supervisor.wait(timeout=60)
    done = subprocess.run(line, cwd=project, env=gpu, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert read_records(project) == read_records(undisturbed)
