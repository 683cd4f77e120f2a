"""Threads that work ahead: results in order, few of them waiting."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from segbench.data.in_order import in_order
from segbench.data.resize import resize, single_threaded_cv2


def test_results_come_in_order_though_the_first_takes_longest() -> None:
    def work(number: int) -> int:
        time.sleep(0.05 if number == 0 else 0)
        return number * number

    with ThreadPoolExecutor(4) as pool:
        assert list(in_order(pool, work, range(10), most=3)) == [n * n for n in range(10)]


def test_few_things_are_taken_ahead() -> None:
    taken = []

    def things():
        for number in range(20):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool:
        results = in_order(pool, lambda n: n, things(), most=3)
        assert next(results) == 0
        assert len(taken) == 4
        assert next(results) == 1
        assert len(taken) == 5


def test_an_error_stands_in_its_place_and_the_rest_is_dropped() -> None:
    begun, gate = [], threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        if number == 1:
            raise KeyError("one")
        if number > 1:
            gate.wait(5)
        return number

    with ThreadPoolExecutor(1) as pool:
        results = in_order(pool, work, range(9), most=8)
        assert next(results) == 0
        with pytest.raises(KeyError, match="one"):
            next(results)
        gate.set()
    assert len(begun) <= 3  # 2 may have begun before the error was seen


@pytest.mark.parametrize("shape", [(40, 30), (40, 30, 1), (40, 30, 3)])
def test_a_resized_array_keeps_its_channels(shape) -> None:
    values = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    assert resize(values, 40, 30) is values
    shrunk = resize(values, 20, 15)
    assert shrunk.shape == (20, 15, *shape[2:])
    means = values.reshape(20, 2, 15, 2, *shape[2:]).mean(axis=(1, 3))
    assert np.abs(shrunk - means).max() <= 0.5  # areas, not samples
    assert resize(values, 90, 20).shape == (90, 20, *shape[2:])


def test_opencv_gets_its_threads_back() -> None:
    before = cv2.getNumThreads()
    with single_threaded_cv2():
        assert cv2.getNumThreads() == 1
    assert cv2.getNumThreads() == before
