"""A worker takes what nobody holds, says what it does, and ends when there is nothing left."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from sweep_fakes import FakeEngine, diverged

from segbench.config.experiment import Experiment
from segbench.errors import ResultsError
from segbench.records import State
from segbench.store import trials
from segbench.store.layout import ExperimentFolder
from segbench.store.lease import Lease
from segbench.store.queue import Queue, QueuedTrial
from segbench.sweep.worker import EventWriter, PlainEvents, Worker
from segbench.trial.events import (
    EpochFinished,
    EpochProgress,
    Event,
    TrialFinished,
    TrialRefused,
    TrialStarted,
    read_event,
    write_event,
)
from segbench.trial.limits import StopRequest
from segbench.trial.run import Resources


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture
def worker(
    experiment: Experiment,
    folder: ExperimentFolder,
    queued: list[QueuedTrial],
    fake_engine: FakeEngine,
    heard: list[Event],
) -> Worker:
    folder.root.mkdir(parents=True)
    Queue(experiment="exp", trials=tuple(queued)).write(folder.queue)
    resources = Resources(device="cpu", threads=1)
    return Worker(experiment.project, folder, resources, StopRequest(), heard.append)


def states(folder: ExperimentFolder) -> list[str]:
    queue = Queue.read(folder.queue)
    return [str(trials.read_trial(folder.trial(t.hash)).state) for t in queue.trials]


def test_worker_takes_all_in_order(worker: Worker, folder: ExperimentFolder, heard: list[Event]) -> None:
    assert worker.work() == 4
    assert states(folder) == ["complete"] * 4
    order = [(e.label, e.seed) for e in heard if isinstance(e, TrialStarted)]
    assert order == [("batch", 0), ("none", 0), ("none", 1), ("batch", 1)], "one change of shape a seed"
    heard.clear()
    assert worker.work() == 0
    assert heard == []


def test_worker_passes_over_a_failure(
    worker: Worker, folder: ExperimentFolder, fake_engine: FakeEngine
) -> None:
    def crash_first(epoch: int) -> None:
        if len([e for e in fake_engine.events if e.startswith("build")]) == 1:
            raise ValueError("first")
        if len([e for e in fake_engine.events if e.startswith("build")]) == 2 and epoch == 2:
            raise diverged(2)

    fake_engine.before_epoch = crash_first
    assert worker.work() == 4
    assert states(folder) == ["failed", "diverged", "complete", "complete"]


def test_worker_says_what_it_cannot_use(
    worker: Worker, folder: ExperimentFolder, queued: list[QueuedTrial], heard: list[Event]
) -> None:
    foreign = folder.trial(queued[1].hash)
    foreign.path.mkdir(parents=True)
    foreign.record.write_text("{")
    assert worker.work() == 3
    refused = [e for e in heard if isinstance(e, TrialRefused)]
    assert [e.hash for e in refused] == [queued[1].hash]
    assert "the record is truncated or not JSON" in refused[0].reason
    assert foreign.record.read_text() == "{"


def test_worker_stops_between_epochs_and_takes_nothing_more(
    worker: Worker, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> None:
    fake_engine.before_epoch = lambda epoch: worker.stop.set() if epoch == 2 else None
    assert worker.work() == 1
    assert trials.read_trial(folder.trial(queued[0].hash)).state is State.INTERRUPTED
    assert not folder.trial(queued[1].hash).record.exists()


def test_worker_waits_for_what_others_hold_and_for_more(
    worker: Worker, folder: ExperimentFolder, queued: list[QueuedTrial]
) -> None:
    Queue(experiment="exp", trials=tuple(queued[:1]), closed=False).write(folder.queue)
    lease = Lease.acquire(folder.trial(queued[0].hash))
    assert lease is not None
    thread = threading.Thread(target=worker.work)
    thread.start()
    time.sleep(0.3)
    assert thread.is_alive()
    lease.release()
    until = time.monotonic() + 20
    while states_or_none(folder) != ["complete"] and time.monotonic() < until:
        time.sleep(0.05)
    assert thread.is_alive(), "an open queue may grow"
    Queue(experiment="exp", trials=tuple(queued[:2]), closed=True).write(folder.queue)
    thread.join(20)
    assert states(folder) == ["complete", "complete"]


def states_or_none(folder: ExperimentFolder) -> list[str] | None:
    try:
        return states(folder)
    except ResultsError:
        return None


def test_worker_ends_when_the_sweep_takes_its_queue_away(worker: Worker, folder: ExperimentFolder) -> None:
    queue = Queue.read(folder.queue)
    replace(queue, trials=(), closed=False).write(folder.queue)
    thread = threading.Thread(target=worker.work)
    thread.start()
    time.sleep(0.2)
    folder.queue.unlink()
    thread.join(20)
    assert not thread.is_alive()


def test_worker_without_a_queue_says_what_to_do(worker: Worker, folder: ExperimentFolder) -> None:
    folder.queue.unlink()
    with pytest.raises(ResultsError, match=r"no sweep has left a queue here. segbench sweep writes it."):
        worker.work()


@pytest.mark.parametrize(
    "event",
    [
        TrialStarted(
            hash="a", label="x, y", seed=1, fold=0, epochs=3, epochs_done=1, started="now", device="cpu"
        ),
        EpochProgress(hash="a", fraction=0.25),
        EpochFinished(hash="a", epoch=2, row={"epoch": 2.0, "val_dice": float("nan")}),
        TrialFinished(hash="a", state=State.FAILED, failure="oom", reason='a "quote"', test={"dice": 0.5}),
        TrialRefused(hash="a", reason="full"),
    ],
)
def test_events_go_through_a_line(event: Event) -> None:
    line = write_event(event)
    assert "\n" not in line
    assert repr(read_event(line)) == repr(event)
    assert read_event(line[:-3]) is None


def test_other_lines_are_no_events() -> None:
    assert [read_event(t) for t in ("", "3", "[]", "{}", '{"event": "x"}', '{"event": "TrialRefused"}')] == [
        None
    ] * 6


def test_a_closed_pipe_asks_the_worker_to_stop() -> None:
    stop, pipe = StopRequest(), io.StringIO()
    writer = EventWriter(pipe, stop)
    writer(TrialRefused(hash="a", reason="b"))
    assert pipe.getvalue().endswith("}\n")
    assert not stop()
    pipe.close()
    writer(TrialRefused(hash="a", reason="b"))
    assert stop()


def test_plain_events_are_two_lines_a_trial() -> None:
    said: list[str] = []
    say = PlainEvents(said.append)
    say(
        TrialStarted(
            hash="a", label="unet", seed=1, fold=0, epochs=3, epochs_done=1, started="now", device="cpu"
        )
    )
    say(EpochFinished(hash="a", epoch=2, row={}))
    say(TrialFinished(hash="a", state=State.DIVERGED, reason="nan"))
    assert said == ["start    unet, seed 1 (a)", "diverged unet, seed 1: nan"]


PROGRAM = """
import sys, time
from segbench.trial.limits import StopRequest
stop = StopRequest()
stop.install()
{more}
print("ready", flush=True)
try:
    while not stop() or {stays}:
        time.sleep(0.01)
    print("polite", flush=True)
except KeyboardInterrupt:
    print("now", flush=True)
"""


def start(*, stays: bool, more: str = "") -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(stays=stays, more=more)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_ask_once_and_insist_twice(number: int) -> None:
    polite = start(stays=False)
    polite.send_signal(signal.SIGHUP)
    polite.send_signal(number)
    assert polite.communicate(timeout=20)[0] == "polite\n"
    insisted = start(stays=True)
    insisted.send_signal(number)
    time.sleep(0.2)
    assert insisted.poll() is None
    insisted.send_signal(number)
    assert insisted.communicate(timeout=20)[0] == "now\n"


def test_the_parent_s_end_is_a_request_to_stop() -> None:
    process = start(stays=False, more="stop.watch_parent()")
    time.sleep(0.1)
    assert process.poll() is None
    assert process.communicate(timeout=20)[0] == "polite\n"  # closes its standard input


def test_what_a_worker_says_can_be_read_back(worker: Worker, heard: list[Event]) -> None:
    worker.work()
    assert {type(e).__name__ for e in heard} == {
        "TrialStarted",
        "EpochProgress",
        "EpochFinished",
        "TrialFinished",
    }
    assert all(repr(read_event(write_event(e))) == repr(e) for e in heard)
