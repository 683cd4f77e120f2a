"""Many images through a network: read ahead and worked on afterwards by threads, while it computes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final, TypeVar

import cv2  # noqa: F401 - imported before its threads are set
import numpy as np

from segbench.data.in_order import in_order
from segbench.data.resize import single_threaded_cv2
from segbench.errors import DataError
from segbench.inference.framing import Framed, Item
from segbench.inference.predictor import Prediction, Predictor

T = TypeVar("T")
R = TypeVar("R")

_MOST_THREADS: Final = 8
"""Of either kind; more of them wait for Python's lock."""


def stream(
    predictor: Predictor,
    things: Iterable[T],
    read: Callable[[T], np.ndarray],
    work: Callable[[T, Prediction], R],
) -> Iterator[tuple[T, R | DataError]]:
    """Read images, predict them and do something with each prediction; yield the results in order.

    Threads read the next images and work on the last predictions while the network computes in the caller's
    own; a batch or two of images wait in memory, however many there are.

    Args:
        predictor: The network.
        things: What stands for an image, such as its file.
        read: A thing to pixels, (H,W,C) uint8.
        work: Called with a thing and its prediction; what it raises ends the iteration.

    Yields:
        Each thing with what `work` returned, or with the `DataError` of `read`.
    """

    def prepare(thing: T) -> tuple[T, Item]:
        try:
            return thing, predictor.frame(read(thing))
        except DataError as error:
            return thing, error

    def finish(done: tuple[T, Item]) -> tuple[T, R | DataError]:
        thing, item = done
        if isinstance(item, Framed):
            return thing, work(thing, Prediction(item.image, item.finish()))
        return thing, item

    num_threads = max(1, min(_MOST_THREADS, len(os.sched_getaffinity(0)) // 2))
    most = max(2 * num_threads, predictor.images_at_once)
    with ExitStack() as stack:
        stack.enter_context(single_threaded_cv2())
        readers, workers = (stack.enter_context(ThreadPoolExecutor(num_threads)) for _ in range(2))
        prepared = in_order(readers, prepare, things, most=most)
        yield from in_order(workers, finish, predictor.run(prepared), most=most)
