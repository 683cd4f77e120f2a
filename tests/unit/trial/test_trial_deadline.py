"""A time limit: what is begun before it, and what is not."""

from __future__ import annotations

import pytest

from segbench.config.experiment import Experiment
from segbench.errors import ExperimentError
from segbench.records import State
from segbench.store import trials
from segbench.store.layout import ExperimentFolder
from segbench.store.queue import Queue, QueuedTrial
from segbench.sweep.worker import Worker
from segbench.trial.limits import Deadline, StopRequest, TimeLimit, parse_duration
from segbench.trial.run import Resources


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("50m", 3000),
        ("8h", 28800),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("2d", 172800),
        (" 1m ", 60),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "50", "0s", "-5m", "m", "1m1h", "1 h", "soon"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ExperimentError) as error:
        parse_duration(text)
    assert str(error.value) == (
        f"--time-limit: a duration is a number with its unit: 90s, 50m, 8h, 1h30m or 2d, got {text!r}."
    )


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_still_worth_beginning() -> None:
    clock = Clock()
    limit = TimeLimit(Deadline(110, clock), reserve_s=10)
    assert limit.may_start("unet"), "nothing is known: it is tried"
    limit.note_first("unet", 50)
    limit.note_first("small", 5)
    assert limit.may_start("unet")
    clock.now = 45  # 55 s are left
    assert not limit.may_start("unet")
    assert not limit.may_start("unknown"), "it may be as slow as the slowest"
    assert limit.may_start("small")
    assert limit.may_go_on(45, is_last=False)
    assert not limit.may_go_on(45, is_last=True), "the test images come after the last epoch"
    assert not limit.is_over()
    clock.now = 100
    assert limit.is_over()
    assert not limit.may_start("small")


def make_worker(experiment: Experiment, folder: ExperimentFolder, limit: TimeLimit) -> Worker:
    resources = Resources(device="cpu", threads=1)
    return Worker(experiment.project, folder, resources, StopRequest(), limit=limit)


def test_a_worker_stops_before_its_time_is_over(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: object
) -> None:
    folder.root.mkdir(parents=True)
    Queue(experiment="exp", trials=tuple(queued)).write(folder.queue)
    clock = Clock()
    limit = TimeLimit(Deadline(100, clock), reserve_s=10)
    limit.may_go_on = lambda epoch_s, is_last: False  # type: ignore[method-assign]
    limit.may_start = lambda shape: clock.now == 0  # type: ignore[method-assign]
    worker = make_worker(experiment, folder, limit)
    taken: list[float] = []

    def pass_time(epoch: int) -> None:
        taken.append(clock.now)
        clock.now += 50

    fake_engine.before_epoch = pass_time  # type: ignore[attr-defined]
    assert worker.work() == 1
    assert worker.is_out_of_time
    record = trials.read_trial(folder.trial(queued[0].hash))
    assert (record.state, record.epochs_done) == (State.INTERRUPTED, 1)
    assert record.reason == "stopped after epoch 1: the next would not end within the time limit"
    assert taken == [0.0], "no other trial is begun that cannot make an epoch"


def test_an_epoch_that_outlasts_the_limit_is_left(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: object
) -> None:
    folder.root.mkdir(parents=True)
    Queue(experiment="exp", trials=tuple(queued)).write(folder.queue)
    clock = Clock()
    worker = make_worker(experiment, folder, TimeLimit(Deadline(100, clock), reserve_s=10))
    fake_engine.before_epoch = lambda epoch: setattr(clock, "now", 95.0)  # type: ignore[attr-defined]
    assert worker.work() == 1
    record = trials.read_trial(folder.trial(queued[0].hash))
    assert (record.state, record.reason) == (
        State.INTERRUPTED,
        "stopped within an epoch: the time is over",
    )
    assert worker.is_out_of_time


def test_without_need_nothing_is_cut_short(
    experiment: Experiment, folder: ExperimentFolder, queued: list[QueuedTrial], fake_engine: object
) -> None:
    folder.root.mkdir(parents=True)
    Queue(experiment="exp", trials=tuple(queued)).write(folder.queue)
    worker = make_worker(experiment, folder, TimeLimit(Deadline(3600), reserve_s=10))
    assert worker.work() == 4
    assert not worker.is_out_of_time
