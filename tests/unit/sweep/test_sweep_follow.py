"""Following trials by their files: the events of a worker that does not report to us."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pytest
from sweep_fakes import FakeEngine
from test_sweep_supervisor import Sweep

from segbench.config.experiment import Experiment
from segbench.records import State
from segbench.store import lease as leases
from segbench.store import trials
from segbench.store.layout import ExperimentFolder
from segbench.store.lease import Lease, holder
from segbench.store.queue import Queue, QueuedTrial
from segbench.sweep.supervisor import Follower
from segbench.sweep.worker import Worker
from segbench.trial.events import EpochFinished, EpochProgress, Event, TrialFinished, TrialStarted
from segbench.trial.limits import StopRequest
from segbench.trial.run import Resources, run_trial

RESOURCES = Resources(device="cpu", threads=1)


class Watched:
    """Runs trials and asks a follower after each thing that happens."""

    def __init__(self, experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial]) -> None:
        self.experiment, self.folder, self.queued = experiment, folder, queued
        self.follower = Follower(folder)
        self.sent: list[Event] = []
        self.followed: list[Event] = []

    def run(self, trial: QueuedTrial, *, stop_after: int | None = None, **options: Any) -> None:
        def on_event(event: Event) -> None:
            if not isinstance(event, EpochProgress):
                self.sent.append(event)
            self.look(**options)

        def should_stop() -> bool:
            return stop_after is not None and trials.count_epochs(self.folder.trial(trial.hash)) >= stop_after

        run_trial(
            trial, self.experiment.project, self.folder, RESOURCES, on_event=on_event, should_stop=should_stop
        )
        self.look(**options)

    def look(self, **options: Any) -> None:
        ended = {e.hash for e in self.followed if isinstance(e, TrialFinished) and e.state == "complete"}
        open_ = [trial for trial in self.queued if trial.hash not in ended]
        self.followed += self.follower.look(open_, **options)


@pytest.fixture
def watched(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: FakeEngine
) -> Watched:
    folder.root.mkdir(parents=True)
    return Watched(experiment, folder, queued)


def said(event: Event) -> tuple[Any, ...]:
    if isinstance(event, TrialStarted):
        return ("started", event.hash, event.label, event.seed, event.epochs, event.epochs_done, event.device)
    if isinstance(event, EpochFinished):
        return ("epoch", event.hash, event.epoch, event.row)
    assert isinstance(event, TrialFinished)
    return ("finished", event.hash, event.state, event.reason, event.objective, event.test)


def test_files_say_what_the_worker_says(watched: Watched, queued: list[QueuedTrial]) -> None:
    for trial in queued[:2]:
        watched.run(trial)
    assert len(watched.sent) == 2 * (1 + 4 + 1)
    assert list(map(said, watched.followed)) == list(map(said, watched.sent))
    watched.look()
    assert len(watched.followed) == len(watched.sent), "nothing is told twice"


def test_own_workers_tell_of_themselves(watched: Watched, queued: list[QueuedTrial]) -> None:
    watched.run(queued[0], own=[os.getpid()])
    kinds = [type(event).__name__ for event in watched.followed]
    assert kinds == ["EpochFinished"] * 4 + ["TrialFinished"], "only its end, should nobody have heard it"


def test_a_trial_that_goes_on_tells_earlier_epochs_to_whoever_lacks_them(
    watched: Watched, queued: list[QueuedTrial]
) -> None:
    watched.run(queued[0], stop_after=2)
    assert said(watched.followed[-1])[:4] == (
        "finished",
        queued[0].hash,
        "interrupted",
        "stopped after epoch 2",
    )
    assert [e.epoch for e in watched.followed if isinstance(e, EpochFinished)] == [1, 2]
    late = Watched(watched.experiment, watched.folder, queued)
    late.look()
    assert late.followed == [], "an interrupted trial is no news"
    late.run(queued[0])
    started = late.followed[0]
    assert isinstance(started, TrialStarted)
    assert started.epochs_done == 2
    assert [e.epoch for e in late.followed if isinstance(e, EpochFinished)] == [1, 2, 3, 4]


def test_a_worker_that_is_gone_is_noticed(
    watched: Watched, queued: list[QueuedTrial], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(BaseException):
        pass

    def vanish() -> bool:
        watched.look()
        monkeypatch.setattr(Lease, "release", lambda self: None)
        raise Gone

    folder = watched.folder.trial(queued[0].hash)
    with pytest.raises(Gone):
        run_trial(queued[0], watched.experiment.project, watched.folder, RESOURCES, should_stop=vanish)
    watched.look()
    assert [type(e).__name__ for e in watched.followed] == ["TrialStarted", "EpochFinished"]
    monkeypatch.setattr(leases, "_is_dead", lambda held: True)
    watched.look()
    watched.look()
    assert said(watched.followed[-1])[2:4] == ("interrupted", "its worker gives no sign of life")
    assert len(watched.followed) == 3
    assert trials.read_trial(folder).state is State.RUNNING


def test_a_job_s_trial_is_known_by_its_claim(
    watched: Watched, queued: list[QueuedTrial], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGBENCH_JOB", "12_3")
    folder = watched.folder.trial(queued[0].hash)
    found: list[str | None] = []

    def ask() -> bool:
        watched.look()
        found.extend([watched.follower.held_by("12_3"), watched.follower.held_by("12_4")])
        watched.follower.free(queued[0].hash, "12_4")
        assert holder(folder) is not None
        watched.follower.free(queued[0].hash, "12_3")
        assert holder(folder) is None
        return False

    with pytest.raises(leases.LeaseLost):
        run_trial(queued[0], watched.experiment.project, watched.folder, RESOURCES, should_stop=ask)
    assert found == [queued[0].hash, None]


def test_a_sweep_without_workers_of_its_own_shows_those_of_others(
    experiment: Experiment,
    folder: ExperimentFolder,
    queued: list[QueuedTrial],
    fake_engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("segbench.sweep.supervisor._POLL_S", 0.0)
    sweep = Sweep(experiment, folder, queued, num_slots=0)
    Queue(experiment=folder.name, trials=tuple(queued)).write(folder.queue)
    fake_engine.before_epoch = lambda epoch: time.sleep(0.05)
    helper = Worker(experiment.project, folder, RESOURCES, StopRequest())
    thread = threading.Thread(target=helper.work)
    thread.start()
    text = sweep.run()
    thread.join()
    assert set(sweep.supervisor.states.values()) == {State.COMPLETE}
    for trial in queued:
        assert text.count(f"({trial.hash})") == 1, "its start"
    assert "[4/4] complete " in text
