"""Which trial a worker takes next: in order, equal shapes together, at a price that does not grow."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from dataclasses import replace

import pytest
from sweep_fakes import FakeEngine

from segbench.config.experiment import Experiment
from segbench.config.trial import TrialConfig, identity
from segbench.records import SearchPlace, State
from segbench.store import trials
from segbench.store.layout import ExperimentFolder
from segbench.store.queue import Queue, QueuedTrial
from segbench.sweep.worker import Worker
from segbench.trial.events import Event, TrialStarted
from segbench.trial.limits import StopRequest
from segbench.trial.picking import LOOK_AGAIN_S, Picker, shape_of
from segbench.trial.run import Resources


@pytest.fixture
def make(queued: list[QueuedTrial]):  # type: ignore[no-untyped-def]
    count = itertools.count()

    def make(norm: str = "batch", seed: int = 0, lr: float = 1e-3, **options: object) -> QueuedTrial:
        config = {**queued[0].config, "norm": {norm: {}}, "optimizer": {"adam": {"lr": lr}}}
        identity = f"{next(count):012x}" + "0" * 52
        return replace(queued[0], identity=identity, config=config, seed=seed, **options)  # type: ignore[arg-type]

    return make


def reseeded(trial: QueuedTrial, seed: int) -> QueuedTrial:
    """Return a trial under another seed, with the identity that a plan would give it: a worker checks it."""
    config = TrialConfig.from_json(trial.config)
    new = identity(config, seed=seed, fold=trial.fold, data_fingerprint=trial.data_fingerprint)
    return replace(trial, identity=new, seed=seed)


def all_of(picker: Picker) -> list[QueuedTrial]:
    """Take everything as one worker alone would."""
    taken = []
    while (trial := next(iter(picker.candidates()), None)) is not None:
        taken.append(trial)
        picker.went_on_with(trial)
        picker.drop(trial.hash)
    return taken


def test_equal_shapes_follow_each_other_within_a_seed(make) -> None:  # type: ignore[no-untyped-def]
    a, b, c, d = make("batch"), make("none"), make("batch", lr=0.1), make("none", lr=0.1)
    e, f = make("batch", seed=1), make("none", seed=1)
    picker = Picker()
    picker.update((a, b, c, d, e, f))
    assert all_of(picker) == [a, c, b, d, f, e]
    assert picker.is_empty


def test_no_seed_waits_for_a_shape_of_a_later_one(make) -> None:  # type: ignore[no-untyped-def]
    first, second, third = make("batch"), make("none"), make("batch", seed=1)
    picker = Picker()
    picker.update((first, second, third))
    assert [t.seed for t in all_of(picker)] == [0, 0, 1]


def test_proposals_are_taken_as_they_were_asked_for(make) -> None:  # type: ignore[no-untyped-def]
    proposals = [
        make(norm, search=SearchPlace(number=k)) for k, norm in enumerate(("batch", "none", "batch"))
    ]
    picker = Picker()
    picker.update(tuple(proposals))
    assert all_of(picker) == proposals


def test_shape_is_what_decides_tensors(make) -> None:  # type: ignore[no-untyped-def]
    base = make().config
    assert shape_of(base) == shape_of(make(lr=0.5).config)
    assert shape_of(base) != shape_of(make("none").config)
    assert shape_of(base) != shape_of({**base, "batch_size": 9})
    assert shape_of(base) != shape_of({**base, "precision": "bf16"})


def test_what_others_hold_is_looked_at_again_in_time(make) -> None:  # type: ignore[no-untyped-def]
    now = 0.0
    picker = Picker(clock=lambda: now)
    a, b, c = make(), make(), make()
    picker.update((a, b, c))
    candidates = picker.candidates()
    assert [next(candidates), next(candidates)] == [a, b]  # a is held, b is run
    picker.drop(b.hash)
    assert next(iter(picker.candidates())) == c
    picker.drop(c.hash)
    assert list(picker.candidates()) == [a], "nothing else is left"
    d = make()
    picker.update((a, b, c, d))
    now += LOOK_AGAIN_S
    assert list(picker.candidates()) == [a, d]
    assert not picker.is_empty
    picker.drop(a.hash)
    picker.drop(d.hash)
    assert picker.is_empty


def test_a_queue_written_anew_is_heeded(make) -> None:  # type: ignore[no-untyped-def]
    a, b, c = make(), make(), make()
    picker = Picker()
    picker.update((a, b))
    next(iter(picker.candidates()))
    picker.update((b, c))
    assert all_of(picker) == [b, c], "a is asked for no more"


def test_a_pick_of_ten_thousand_costs_no_more_than_one_of_a_thousand(make) -> None:  # type: ignore[no-untyped-def]
    """Dictionaries walk over what was removed from their front; ordered ones do not."""

    def seconds_a_pick(number: int) -> float:
        picker = Picker()
        picker.update(tuple(make(("batch", "none")[k % 2], lr=k) for k in range(number)))
        began = time.process_time()
        assert len(all_of(picker)) == number
        return (time.process_time() - began) / number

    assert seconds_a_pick(4000) < 3 * seconds_a_pick(400)


def test_sixteen_workers_run_everything_once(
    experiment: Experiment,
    folder: ExperimentFolder,
    fake_engine: FakeEngine,
    queued: list[QueuedTrial],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Threads of one process would log into each other's files.
    log = contextlib.nullcontext(logging.getLogger("segbench.trial"))
    monkeypatch.setattr("segbench.trial.run.logging_to", lambda path: log)
    folder.root.mkdir(parents=True)
    first_of = {trial.config_hash: trial for trial in queued}
    many = [reseeded(trial, seed) for seed in range(24) for trial in first_of.values()]
    Queue(experiment="exp", trials=tuple(many)).write(folder.queue)
    heard: list[Event] = []

    def work() -> None:
        resources = Resources(device="cpu", threads=1)
        Worker(experiment.project, folder, resources, StopRequest(), heard.append).work()

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
        time.sleep(0.02)  # some come late
    for thread in threads:
        thread.join(60)
    assert {trials.read_trial(folder.trial(t.hash)).state for t in many} == {State.COMPLETE}
    assert {trials.read_trial(folder.trial(t.hash)).attempts for t in many} == {1}
    assert len([e for e in heard if isinstance(e, TrialStarted)]) == 48
