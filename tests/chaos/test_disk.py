"""A full disk at every write, and a folder that cannot be written: nothing is lost, all is said."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from chaos.counts import count
from chaos.harness import Project, is_running, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]

PAGE = 4096
"""A tmpfs gives room by pages."""


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[None]:
    """Mount something on a folder, which takes the right to do so."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"mount is refused here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def disk(project: Project) -> Iterator[Path]:
    """`results/` as a disk of its own, of 16 MiB."""
    results = project.root / "results"
    with mounted(results, "-t", "tmpfs", "-o", "size=16m", "tmpfs"):
        yield results


def fill(disk: Path, free: int) -> Path:
    """Leave so many bytes free."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    room = os.statvfs(disk)
    with ballast.open("wb") as file:
        file.write(b"\0" * (room.f_bavail * room.f_frsize - free))
    return ballast


IN_PROCESS = """\
import os, sys
from pathlib import Path
from segbench import registry
from segbench.config.project import Project
from segbench.errors import SegbenchError
from segbench.store.layout import ResultsFolder
from segbench.store.queue import Queue
from segbench.trial.run import Resources
from segbench.trial.limits import StopRequest
from segbench.sweep.worker import Worker, settle_process

project = Project(Path.cwd())
registry.use_project(project.root)
settle_process(1)
folder = ResultsFolder(project.results).experiment("tiny")
disk, ballast = Path("results"), Path("results/ballast")


def fill(free):
    ballast.unlink(missing_ok=True)
    room = os.statvfs(disk)
    with ballast.open("wb") as file:
        file.write(b"0" * (room.f_bavail * room.f_frsize - free))


queue = Queue.read(folder.queue)
Queue(experiment="tiny", trials=queue.trials[-1:]).write(folder.queue)
free = 0
while True:
    fill(free)
    events = []
    worker = Worker(project, folder, Resources(device="cpu", threads=1), StopRequest(), events.append)
    worker.work()
    told = [e.reason for e in events if type(e).__name__ == "TrialRefused"]
    left = [p.name for p in folder.trials.rglob("*.tmp-*")] + [p.name for p in folder.trials.rglob("lease.*")]
    print(free, sorted({Path(t.partition(": ")[0]).name for t in told}), left, flush=True)
    assert all("the disk (or the quota on it) is full" in t for t in told), told
    assert not left, left
    if not told:
        break
    free += 4096
ballast.unlink()
"""
"""One warm worker that meets a disk with one page more each time; a process each time would take minutes."""


def test_a_disk_that_is_full_at_every_write_of_a_trial(
    project: Project, disk: Path, small: dict[str, Any]
) -> None:
    stopped = project.start()
    assert wait_until(
        lambda: project.folder.queue.exists() and any(project.folder.trials.glob("*/epochs.csv"))
    )
    stopped.kill()
    stopped.wait()
    project.wait_for_orphans()  # a queue, and trials in the middle
    done = subprocess.run(
        [sys.executable, "-c", IN_PROCESS],
        cwd=project.root,
        env=project.environment(),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rounds = done.stdout.splitlines()
    at = {
        name
        for line in rounds
        for name in line.partition("[")[2].partition("]")[0].replace("'", "").split(", ")
    }
    assert len(rounds) > 5, done.stdout
    assert {"trial.json", "last.pt"} <= at, done.stdout
    assert any(name.startswith("lease") for name in at), done.stdout
    count("fault", "a disk with 4 KiB more each time, a trial until it was full", len(rounds) - 1)
    project.finish(small)


@pytest.mark.parametrize("free_pages", [0, 2, 5, 12, 40])
def test_a_full_disk_under_a_whole_sweep(
    free_pages: int, project: Project, disk: Path, small: dict[str, Any]
) -> None:
    ballast = fill(disk, free_pages * PAGE)
    done = project.sweep()
    said = done.stdout + done.stderr
    assert done.returncode == 3, said
    assert "the disk (or the quota on it) is full" in said
    assert "make room and run the same command again" in said
    assert "Traceback" not in said
    project.wait_for_orphans()
    ballast.unlink()
    count("fault", "a full disk under a whole sweep")
    project.finish(small)


def test_a_read_only_results_folder(project: Project, disk: Path, small: dict[str, Any]) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    done = project.sweep()
    assert done.returncode == 3, done.stdout + done.stderr
    assert "the folder or file is read-only" in done.stderr
    assert "Traceback" not in done.stderr
    assert project.run("plan", "tiny").returncode == 0
    assert project.run("status", "tiny").returncode == 0
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    count("fault", "a read-only results folder")
    project.finish(small)
    before = project.records()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    done = project.sweep()
    assert done.returncode == 0, done.stderr
    assert "tiny is finished: 4 complete." in done.stdout
    assert project.records() == before


def test_a_results_folder_that_becomes_read_only(project: Project, small: dict[str, Any]) -> None:
    results = project.root / "results"
    results.mkdir()
    sweep = project.start()
    try:
        assert wait_until(lambda: any(project.folder.trials.glob("*/epochs.csv")))
        with mounted(results, "--bind", str(results)):
            subprocess.run(["mount", "-o", "remount,bind,ro", str(results)], check=True)
            assert wait_until(lambda: not is_running(sweep.pid))
            said = project.said
    finally:
        with suppress(ProcessLookupError):
            sweep.kill()
    assert sweep.wait() == 3, said
    assert "read-only" in said
    assert "Traceback" not in said
    count("fault", "a results folder that becomes read-only in the middle")
    project.finish(small)
