"""SIGTERM, SIGINT once and twice, SIGHUP, to the supervisor and to a worker."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
from chaos.counts import count
from chaos.harness import PATIENCE_S, Project, is_running, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]


def start(project: Project) -> Any:
    """Start a sweep and wait until a trial has an epoch."""
    sweep = project.start()
    assert wait_until(lambda: any(project.folder.trials.glob("*/epochs.csv"))), project.said
    return sweep


def workers_of(project: Project, supervisor: int) -> list[int]:
    return [pid for pid in project.processes() if pid != supervisor]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("times", [1, 2])
def test_the_supervisor_is_asked_to_stop(
    number: signal.Signals, times: int, project: Project, small: dict[str, Any]
) -> None:
    sweep = start(project)
    for again in range(times):
        time.sleep(0.3 * again)  # signals of one number sent at once are one signal
        sweep.send_signal(number)
    assert sweep.wait(timeout=PATIENCE_S) == 130, project.said
    assert "stopping: each running trial finishes its epoch and saves" in project.said
    assert "the same command goes on from here" in project.said
    assert "Traceback" not in project.said
    project.wait_for_orphans()
    assert "running" not in project.states()
    assert "interrupted" in project.states()
    count("signal", f"{number.name} {'once' if times == 1 else 'twice'} to the supervisor")
    project.finish(small)


def test_sighup_stops_nobody(project: Project, small: dict[str, Any]) -> None:
    sweep = start(project)
    for pid in project.processes():
        os.kill(pid, signal.SIGHUP)
    assert sweep.wait(timeout=PATIENCE_S) == 0, project.said
    assert "a worker died" not in project.said
    count("signal", "SIGHUP to supervisor and workers")
    project.assert_whole(small)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_is_asked_to_stop(number: signal.Signals, project: Project, small: dict[str, Any]) -> None:
    """The worker saves and ends; the supervisor starts another one."""
    sweep = start(project)
    asked = workers_of(project, sweep.pid)[0]
    os.kill(asked, number)
    assert wait_until(lambda: not is_running(asked))
    assert sweep.wait(timeout=PATIENCE_S) == 0, project.said
    count("signal", f"{number.name} to a worker")
    project.assert_whole(small)
