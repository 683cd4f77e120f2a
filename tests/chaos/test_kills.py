"""kill -9 at random moments: the records are those of a sweep that was left alone.

`SEGBENCH_KILLS` sets how many kills are delivered (100; continuous integration takes fewer).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from chaos.counts import count
from chaos.harness import Project, is_running, num_kills, phase_of, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]

MOST_WORKER_WRITES = 150
"""Writes of about three trials."""
MOST_SUPERVISOR_WRITES = 24


def test_records_survive_kill_9(tmp_path: Path, data: Path, undisturbed: dict[str, Any]) -> None:
    chance = random.Random(20240607)
    left, num_projects = num_kills(), 0
    while left > 0:
        project = Project(tmp_path / f"killed-{num_projects}", data)
        num_projects += 1
        left -= Killer(project, chance).kill_until_it_is_finished(left)
        count("sweep", "started again to the end", project.finish(undisturbed))
        resumed = [log.count("going on after epoch") for log in (t.log.read_text() for t in project.trials())]
        assert left <= 0 or any(resumed)
        count("sweep", "trials gone on from a saved epoch", sum(resumed))
    count("sweep", "projects, each compared when it was finished", num_projects)


class Killer:
    """Starts the sweep of a project again and again, and kills what runs."""

    def __init__(self, project: Project, chance: random.Random) -> None:
        self.project, self.chance = project, chance
        self.tickets = project.root / "tickets"
        self.tickets.mkdir()
        self.num_kills = 0

    def kill_until_it_is_finished(self, most: int) -> int:
        """Return how many kills were delivered; at most `most`."""
        while self.num_kills < most:
            supervisor = self.project.start(
                CHAOS_TICKETS=str(self.tickets), CHAOS_ROOT=str(self.project.root)
            )
            is_over = self._live(supervisor, most)
            supervisor.wait(timeout=120)
            if is_over:
                break
        return self.num_kills

    def _live(self, supervisor: subprocess.Popen[str], most: int) -> bool:
        """Kill within one supervisor's life; return whether the sweep was finished."""
        while self.num_kills < most:
            manner = self.chance.choice(["at the start", "by the clock", "by the clock", "within a write"])
            victim = self.chance.choice(["worker", "supervisor", "both"])
            if manner == "within a write":
                self._kill_within_a_write(supervisor, "supervisor" if victim == "supervisor" else "worker")
            else:
                if manner == "by the clock":
                    wait_until(lambda: " start " in self.project.said or not is_running(supervisor.pid))
                time.sleep(self.chance.uniform(0.0, 1.5 if manner == "at the start" else 5.0))
                self._kill(supervisor, victim)
            if not is_running(supervisor.pid):
                return supervisor.wait() == 0
        supervisor.kill()
        return False

    def _kill(self, supervisor: subprocess.Popen[str], victim: str) -> None:
        workers = [pid for pid in self.project.processes() if pid != supervisor.pid]
        self.chance.shuffle(workers)
        doomed = {
            "worker": workers[:1],
            "supervisor": [supervisor.pid],
            "both": [supervisor.pid, *workers[:1]],
        }
        stopped = []
        for pid in doomed[victim]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)  # so that what it is doing can be told
                stopped.append((pid, phase_of(self.project, pid, supervisor.pid)))
        for pid, phase in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self._count("supervisor" if pid == supervisor.pid else "worker", phase)

    def _kill_within_a_write(self, supervisor: subprocess.Popen[str], role: str) -> None:
        """Have a process kill itself when it reaches a write; give up where none comes that far."""
        most = MOST_WORKER_WRITES if role == "worker" else MOST_SUPERVISOR_WRITES
        kind = "worker" if role == "worker" else "sweep"
        ticket = self.tickets / f"{kind}-{self.chance.randrange(1, most)}"
        ticket.touch()
        wait_until(lambda: not ticket.exists() or not is_running(supervisor.pid), 20)
        ticket.unlink(missing_ok=True)
        wait_until(lambda: not list(self.tickets.glob("taken-*")), 5)
        for done in self.tickets.glob("done-*"):
            what, name = done.read_text().split(" ", 1)
            self._count(role, f"within a write: {what} {_name(name)}")
            done.unlink()

    def _count(self, who: str, phase: str) -> None:
        self.num_kills += 1
        count("kill", f"{who}, {phase}")


def _name(file: str) -> str:
    """Return a file's name without what differs from process to process."""
    head, mark, _ = file.partition(".tmp-")
    if mark:
        return f"{head}.tmp"
    return "lease" if head.startswith("lease.") else "a folder" if "." not in head else head
