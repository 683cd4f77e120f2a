"""Memory that runs out (by a test's hook, on the CPU), and workers that hang."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest
from chaos.counts import count
from chaos.harness import PATIENCE_S, Project, is_running, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]


def test_memory_runs_out(project: Project, small: dict[str, Any]) -> None:
    """A loss over the batch forbids parts: the trials fail with what would fit, and are run again."""
    done = project.sweep(SEGBENCH_TEST_OOM="1")
    assert done.returncode == 4, done.stdout + done.stderr
    records = [json.loads(trial.record.read_text()) for trial in project.trials()]
    assert [(r["state"], r["failure"], r["fitting_batch_size"]) for r in records] == [
        ("failed", "oom", 1)
    ] * 4
    assert all("a batch of 2 does not fit and cannot be split" in r["reason"] for r in records)
    count("fault", "memory that ran out", 4)
    done = project.sweep()
    assert done.returncode == 4, done.stdout + done.stderr
    done = project.sweep("--retry", "failed")
    assert done.returncode == 0, done.stdout + done.stderr
    project.assert_whole(small)


@pytest.mark.parametrize("how", ["stopped", "in an endless sleep"])
def test_a_worker_hangs(how: str, project: Project, small: dict[str, Any]) -> None:
    """It is killed after the time that `--hang-timeout` says, and its trial goes on."""
    switch = project.root / "hang"
    sweep = project.start("--hang-timeout", "6s", CHAOS_HANG=str(switch))
    assert wait_until(lambda: any(project.folder.trials.glob("*/epochs.csv"))), project.said
    workers = [pid for pid in project.processes() if pid != sweep.pid]
    if how == "stopped":
        os.kill(workers[0], signal.SIGSTOP)
    else:
        switch.touch()
        assert wait_until(lambda: not switch.exists())
    assert sweep.wait(timeout=PATIENCE_S) == 0, project.said
    assert "no sign of life for" in project.said
    assert "its worker is killed" in project.said
    assert any(not is_running(pid) for pid in workers)
    count("fault", "a worker that hangs")
    project.assert_whole(small)
