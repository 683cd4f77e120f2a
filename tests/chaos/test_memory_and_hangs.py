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
    """What may go through in parts does; what may not fails with what would fit, and is the same again."""
    done = project.sweep(SEGBENCH_TEST_OOM="1")
    assert done.returncode == 4, done.stdout + done.stderr
    records = {t.hash: json.loads(t.record.read_text()) for t in project.trials()}
    of = {norm: [r for r in records.values() if r["levels"]["norm"] == norm] for norm in ("batch", "none")}
    assert [(r["state"], r["failure"], r["fitting_batch_size"]) for r in of["batch"]] == [
        ("failed", "oom", 1)
    ] * 2
    assert [(r["state"], r["micro_batch"]) for r in of["none"]] == [("complete", 1)] * 2
    count("fault", "memory that ran out", 4)
    done = project.sweep("--retry", "failed")
    assert done.returncode == 0, done.stdout + done.stderr
    project.wait_for_orphans()
    assert project.left_behind() == []
    found = project.records()
    whole = [key for key in small if not any(key.startswith(r["hash"]) for r in of["none"])]
    assert len(whole) == 2 * 4 + 1
    for key in whole:
        assert found[key] == small[key], key
    for record in of["none"]:  # equal to rounding only
        key = f"{record['hash']}/epochs.csv"
        rows = zip(found[key][1:], small[key][1:], strict=True)
        for ours, theirs in rows:
            assert [float(v) for v in ours] == pytest.approx([float(v) for v in theirs], abs=0.02)


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
