"""Stopping, claims, notices: what a sweep does when it is told to end, and who else may begin."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segbench.errors import Interrupted, ResultsError, TrialError
from segbench.store.layout import ExperimentFolder
from segbench.store.lease import Lease
from segbench.sweep import process
from segbench.sweep.process import (
    Ending,
    StopFile,
    ask,
    describe,
    detach,
    notifying,
    only_supervisor,
    run_command,
    stop_sweep,
    without_detach,
)
from segbench.trial.limits import StopRequest


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentFolder:
    (tmp_path / "exp").mkdir()
    return ExperimentFolder(tmp_path / "exp")


# ---- claims


def elsewhere(folder: ExperimentFolder, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Leave the claim of a supervisor on another host; return what makes its heart beat."""

    def beat(counter: int) -> None:
        content = {"token": "t", "place": "elsewhere", "pid": 7, "pid_start": "1", "counter": str(counter)}
        folder.supervisor.lease(1).write_text(json.dumps(content) + "\n")

    beat(0)
    return beat


def test_a_sweep_that_lives_on_another_host_is_respected(
    folder: ExperimentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat = elsewhere(folder, monkeypatch)
    said: list[str] = []
    threading.Timer(0.3, beat, [1]).start()
    with (
        pytest.raises(ResultsError, match="is running already, process 7 on another host"),
        only_supervisor(folder, say=said.append, stale_after_s=5),
    ):
        pass
    assert said == ["a sweep of exp was begun on another host; watching for up to 5 s whether it lives"]


def test_a_dead_host_s_sweep_is_taken_over(folder: ExperimentFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere(folder, monkeypatch)
    with only_supervisor(folder, stale_after_s=0.3) as claim:
        assert claim.is_held()
        assert [p.name for p in sorted(folder.root.glob("supervisor.*"))] == ["supervisor.2"]
    assert not list(folder.root.glob("supervisor.*"))


def test_a_live_claim_of_this_host_is_refused_where_the_lock_does_not_reach(folder: ExperimentFolder) -> None:
    lease = Lease.acquire(folder.supervisor)
    assert lease is not None
    with (
        lease,
        pytest.raises(ResultsError, match=f"is running already, process {os.getpid()}"),
        only_supervisor(folder),
    ):
        pass
    with only_supervisor(folder):
        pass


# ---- requests


def test_a_request_is_for_those_who_were_there(folder: ExperimentFolder) -> None:
    early = StopFile(folder)
    assert early.asked() is None
    ask(folder, is_now=False)
    late = StopFile(folder)
    asked = early.asked()
    assert asked is not None
    assert not asked.is_now
    assert late.asked() is None
    ask(folder, is_now=True)
    assert [file.asked().is_now for file in (early, late)] == [True, True]  # type: ignore[union-attr]


def test_a_worker_without_a_supervisor_hears_of_it(folder: ExperimentFolder) -> None:
    stop = StopRequest()
    with StopFile(folder).watched(stop, every_s=0.02):
        ask(folder, is_now=False)
        assert stop.wait(10)
    assert "stop" not in {thread.name for thread in threading.enumerate()}, "nobody looks any more"


def test_nothing_to_stop(folder: ExperimentFolder) -> None:
    found = stop_sweep(folder)
    assert (found.was_running, found.has_ended) == (False, True)
    assert not folder.stop_request.exists(), "nobody is there to heed it"


def test_stop_waits_until_nobody_works(folder: ExperimentFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    signals: list[tuple[int, int]] = []
    monkeypatch.setattr(process.os, "kill", lambda pid, number: signals.append((pid, number)))
    supervisor, worker = Lease.acquire(folder.supervisor), Lease.acquire(folder.trial("0" * 12))
    assert supervisor is not None
    assert worker is not None
    said: list[str] = []
    found = stop_sweep(folder, timeout_s=0.3, say=said.append)
    assert (found.was_running, found.has_ended) == (True, False)
    assert said == ["asked its supervisor to stop at the end of the epoch; 1 running"]
    assert signals == [(os.getpid(), process.signal.SIGUSR1)]
    threading.Timer(0.3, lambda: (worker.release(), supervisor.release())).start()
    assert stop_sweep(folder, is_now=True, timeout_s=20, say=said.append).has_ended
    assert json.loads(folder.stop_request.read_text())["now"] is True


def test_the_stop_command_s_signal_never_insists() -> None:
    program = (
        "import os, signal, time\n"
        "from segbench.trial.limits import StopRequest\n"
        "stop = StopRequest(); stop.install()\n"
        "for _ in range(3): os.kill(os.getpid(), signal.SIGUSR1)\n"
        "print(stop())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.stdout == "True\n"


# ---- notices

ENDING = Ending(
    experiment="exp",
    state="failed",
    summary="segbench exp failed: 1 failed",
    folder="f",
    trials={"failed": 1},
)


def test_a_command_is_told_how_it_ended(tmp_path: Path) -> None:
    out = tmp_path / "said"
    command = f"cat > {out}; echo $SEGBENCH_EXPERIMENT $SEGBENCH_STATE $SEGBENCH_FAILED >> {out}"
    assert run_command(command, ENDING) is None
    content, line = out.read_text().splitlines()
    assert json.loads(content) == {
        "experiment": "exp",
        "state": "failed",
        "summary": "segbench exp failed: 1 failed",
        "folder": "f",
        "trials": {"failed": 1},
    }
    assert line == "exp failed 1"


def test_a_command_that_fails_or_hangs_is_a_note() -> None:
    assert run_command("exit 3", ENDING) == "--notify: 'exit 3' ended with exit code 3"
    began = time.monotonic()
    assert run_command("sleep 60", ENDING, most_s=0.3) == "--notify: 'sleep 60' was ended after 0 s"
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (None, "finished"),
        (Interrupted("stopped"), "stopped"),
        (TrialError("2 trials failed"), "failed"),
        (ResultsError("the disk is full"), "error"),
    ],
)
def test_every_ending_is_told_and_errors_go_on(
    folder: ExperimentFolder, tmp_path: Path, error: Exception | None, state: str
) -> None:
    said: list[str] = []
    out = tmp_path / "state"
    goes_on = contextlib.nullcontext() if error is None else pytest.raises(type(error))
    with goes_on, notifying(f"echo $SEGBENCH_STATE > {out}; exit 1", folder, said.append):
        if error is not None:
            raise error
    assert out.read_text() == f"{state}\n"
    assert len(said) == 1
    summary = describe(folder, error).summary
    assert summary.startswith(f"segbench exp {state}: no trial")
    assert "\n" not in summary


# ---- detaching


def test_the_detached_command_is_the_same_but_for_its_limit() -> None:
    typed = ["sweep", "--detach", "exp", "--time-limit", "8h"]
    assert without_detach(typed, None) == ["sweep", "exp", "--time-limit", "8h"]
    assert without_detach(typed, 28000.2) == [*without_detach(typed, None), "--time-limit", "28000s"]
    assert without_detach(["sweep", "--detach", "--", "exp"], 5) == [
        "sweep",
        "--time-limit",
        "5s",
        "--",
        "exp",
    ]


def test_what_ends_before_it_begins_is_shown(folder: ExperimentFolder) -> None:
    with pytest.raises(TrialError) as error:
        detach(["sweep", "nowhere", "--project", str(folder.root)], folder)
    text: Any = str(error.value)
    assert "the detached sweep ended before it began (exit code 2)" in text
    assert "nowhere" in text
