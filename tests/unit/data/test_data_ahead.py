"""Batches made ahead by a thread: the same numbers, and a thread that always ends."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from segbench.axes.augment import r0, r1, r2, r3
from segbench.config.trial import Choice
from segbench.data import batches, prepare
from segbench.data.batches import Ahead, TrainBatches, draws_from_the_process
from segbench.errors import ExperimentError


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == batches._THREAD_NAME]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert not threads()


def test_order_is_kept_and_no_more_is_made_than_may_wait():
    made = []

    def things():
        for number in range(10):
            made.append(number)
            yield number

    items = iter(Ahead(things(), most=2))
    assert next(items) == 0
    deadline = time.monotonic() + 10
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert made == [0, 1, 2]
    assert list(items) == list(range(1, 10))


def test_what_the_thread_raises_surfaces_after_what_came_before():
    def things():
        yield 1
        raise ExperimentError("augment: no such pixel")

    items = iter(Ahead(things()))
    assert next(items) == 1
    with pytest.raises(ExperimentError, match="no such pixel") as caught:
        next(items)
    assert "things" in {entry.name for entry in caught.traceback}


def test_close_ends_the_thread_whatever_it_was_at():
    for taken in range(3):
        items = Ahead(iter(int, 1))  # never ends
        reader = iter(items)
        for _ in range(taken):
            assert next(reader) == 0
        items.close()
        assert not threads()
        assert next(reader, None) is None
        items.close()


RECIPES = {recipe.__name__.rpartition(".")[2]: recipe.PRESET for recipe in (r0, r1, r2, r3)}
AUGMENTS = {
    "none": Choice("none"),
    "flips": Choice.of("augment", "flips"),
    **{name: Choice.of("augment", "transforms", **preset["transforms"]) for name, preset in RECIPES.items()},
}


@pytest.mark.parametrize("augment", AUGMENTS)
def test_batches_made_ahead_are_bit_for_bit_those_made_in_line(config, project, monkeypatch, augment):
    changed = config(augment=AUGMENTS[augment], batch_size=2)
    data = prepare(changed, project)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002

    def drawn():
        found = []
        for epoch in (1, 2):
            for batch in TrainBatches(data, changed, 5).epoch(epoch):
                torch.rand(3)  # as a network with dropout does
                found += [batch.images.clone(), batch.target.clone(), batch.index.clone()]
        return found

    with torch.random.fork_rng():
        beside = drawn()
    monkeypatch.setattr(batches, "Ahead", _InLine)
    with torch.random.fork_rng():
        in_line = drawn()
    assert len(beside) == len(in_line) == 2 * 7 * 3
    assert all(torch.equal(a, b) for a, b in zip(beside, in_line, strict=True))
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])


class _InLine(list):
    def close(self):
        pass


def test_an_epoch_left_early_leaves_no_thread_and_changes_no_later_one(config, project):
    data = prepare(config(batch_size=2), project)
    whole = TrainBatches(data, config(batch_size=2), 0)
    expected = [batch.images.clone() for batch in whole.epoch(2)]
    left = TrainBatches(data, config(batch_size=2), 0)
    reader = left.epoch(1)
    next(reader), next(reader)
    assert threads()
    reader.close()
    assert not threads()
    reader = left.epoch(1)
    next(reader), next(reader)
    left.close()
    assert not threads()
    found = [batch.images.clone() for batch in left.epoch(2)]
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_opencv_gets_its_threads_back(config, project):
    import cv2

    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        data = prepare(config(), project)
        for _ in TrainBatches(data, config(augment=AUGMENTS["r0"]), 0).epoch(1):
            assert cv2.getNumThreads() == 1
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


def test_an_augmentation_of_process_wide_draws_is_not_made_beside_the_network(config, project, monkeypatch):
    data = prepare(config(), project)
    made_by = set()

    def rude(image, mask, seed):
        made_by.add(threading.current_thread())
        torch.manual_seed(seed)
        return (image[:, ::-1], mask[:, ::-1]) if torch.rand(()) < 0.5 else (image, mask)

    monkeypatch.setattr(batches.registry, "build", lambda *_, **__: rude)
    with torch.random.fork_rng():
        assert len(list(TrainBatches(data, config(), 0).epoch(1))) == 4
    assert made_by == {threading.main_thread()}


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (lambda: torch.rand(1), True),
        (lambda: np.random.rand(), True),  # noqa: NPY002
        (random.random, True),
        (lambda: np.random.default_rng(0).random(), False),
        (lambda: random.Random(0).random(), False),
        (lambda: torch.rand(1, generator=torch.Generator()), False),
    ],
)
def test_process_wide_draws_are_seen(draw, expected):
    with torch.random.fork_rng():
        assert draws_from_the_process(draw)[1] is expected


def test_an_image_that_cannot_be_augmented_says_so_from_the_thread(config, project, monkeypatch):
    data = prepare(config(batch_size=1), project)
    names = set()

    def fails(image, mask, seed):
        names.add(threading.current_thread().name)
        if len(names) > 1:
            raise ExperimentError("augment: not this one")
        return image, mask

    monkeypatch.setattr(batches.registry, "build", lambda *_, **__: fails)
    made = TrainBatches(data, replace(config(), batch_size=1), 0)
    with pytest.raises(ExperimentError, match="not this one"):
        list(made.epoch(1))
