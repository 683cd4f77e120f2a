"""What every launcher promises, asked of each of segbench's own; and how launchers are found."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from test_sweep_slurm import FakeSlurm

from segbench.config.slurm import defaults
from segbench.errors import ExperimentError
from segbench.store.layout import ExperimentFolder
from segbench.sweep import launchers
from segbench.sweep.launchers import Exit, Launcher, find_launchers, read_launcher
from segbench.sweep.launchers import slurm as cluster
from segbench.sweep.launchers.local import LocalLauncher
from segbench.sweep.launchers.slurm import SlurmLauncher, Submission
from segbench.trial.devices import Slot

WORKER = """#!/bin/sh
while [ ! -f {end} ]; do sleep 0.05; done
"""
"""Stands for a worker: it goes on until nothing is left to do."""


class Made:
    """A launcher of two workers, and how its workers are brought to their end."""

    def __init__(self, launcher: Launcher, end_all: Callable[[], None]) -> None:
        self.launcher, self.end_all = launcher, end_all

    def ends(self, count: int) -> list[Exit]:
        """Poll until so many workers have ended, and return how."""
        found: list[Exit] = []
        until = time.monotonic() + 30
        while len(found) < count and time.monotonic() < until:
            found += [what for _, what in self.launcher.poll(0.05) if isinstance(what, Exit)]
        return found


def make_local(folder: ExperimentFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    script, end = tmp_path / "worker", tmp_path / "end"
    script.write_text(WORKER.format(end=end))
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    slots = [Slot(name="cpu", device="cpu", threads=1, environment={})] * 2
    made = LocalLauncher(folder, tmp_path, slots, 0)
    return Made(made, end.touch)


def make_slurm(folder: ExperimentFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    fake = FakeSlurm()
    monkeypatch.setattr(Submission, "submit", lambda self, count: fake.submit(self, count))
    monkeypatch.setattr(cluster, "list_jobs", fake.list_jobs)
    monkeypatch.setattr(cluster, "cancel", fake.cancel)
    monkeypatch.setattr(cluster, "call", lambda *command, given=None: "ExitCode=0:15")
    asked = Submission(folder=folder, root=tmp_path, options=defaults())
    made = SlurmLauncher(asked, 2, clock=lambda: fake.now, sleep=lambda s: fake.sleep(10 * s))

    def end_all() -> None:
        for job in fake.jobs:
            fake.end(job, "COMPLETED")

    return Made(made, end_all)


MAKERS = {"local": make_local, "slurm": make_slurm}


@pytest.fixture(params=MAKERS)
def made(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    folder = ExperimentFolder(tmp_path / "results" / "exp")
    folder.root.mkdir(parents=True)
    return MAKERS[request.param](folder, tmp_path, monkeypatch)


def test_every_launcher_of_segbench_is_asked_here() -> None:
    assert MAKERS.keys() == launchers.BUILT_IN.keys()


def test_it_counts_its_workers(made: Made) -> None:
    launcher = made.launcher
    assert (launcher.size, launcher.num_free, launcher.num_running) == (2, 2, 0)
    first = launcher.start(1)
    assert (launcher.num_free, launcher.num_running) == (1, 1)
    second = launcher.start(1)
    assert (launcher.num_free, launcher.num_running) == (0, 2)
    assert len({*first, *second}) == 2
    assert made.launcher.describe()
    list(launcher.poll(0.0))
    launcher.signal(signal.SIGKILL)
    assert {exit_.worker for exit_ in made.ends(2)} == {*first, *second}
    assert (launcher.num_free, launcher.num_running) == (2, 0)


def test_a_worker_that_is_killed_ends_alone_and_can_be_replaced(made: Made) -> None:
    launcher = made.launcher
    one, other = launcher.start(2)
    list(launcher.poll(0.0))
    launcher.kill(one)
    (ended,) = made.ends(1)
    assert (ended.worker, launcher.num_free, launcher.num_running) == (one, 1, 1)
    assert ended.code
    assert ended.cause
    (new,) = launcher.start(1)
    assert new not in (one, other)
    list(launcher.poll(0.0))
    launcher.signal(signal.SIGKILL)
    assert len(made.ends(2)) == 2


def test_workers_that_are_done_end_with_0(made: Made) -> None:
    launcher = made.launcher
    launcher.start(2)
    list(launcher.poll(0.0))
    made.end_all()
    launcher.dismiss()
    assert [exit_.code for exit_ in made.ends(2)] == [0, 0]
    launcher.kill(999_999_999)  # nobody: no error


def test_the_built_in_ones_are_found_without_an_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchers, "entry_points", lambda group: [])
    find_launchers.cache_clear()
    try:
        assert list(find_launchers()) == ["local", "slurm"]
        assert read_launcher("local") is LocalLauncher
        assert read_launcher("slurm") is SlurmLauncher
    finally:
        find_launchers.cache_clear()


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("nowhere.at_all:Launcher", "cannot be imported"),
        ("segbench.sweep.launchers.local:Nothing", "cannot be imported"),
        ("segbench.trial.devices:Slot", "is no subclass of segbench.sweep.launchers.Launcher"),
    ],
)
def test_one_that_cannot_be_used_is_refused(value: str, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("broken", value, launchers.GROUP)
    monkeypatch.setattr(launchers, "find_launchers", lambda: {"broken": broken})
    with pytest.raises(ExperimentError) as error:
        read_launcher("broken")
    assert str(error.value).startswith("--launcher: the launcher broken ")
    assert rule in str(error.value)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ExperimentError) as error:
        read_launcher("slrum")
    assert "got 'slrum'. Did you mean 'slurm'?" in str(error.value)
