"""A thread that makes the next things while the caller works on one."""

from __future__ import annotations

import pickle
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Generic, TypeVar

import numpy as np
import torch

T = TypeVar("T")

_THREAD_NAME = "segbench-ahead"


class Ahead(Generic[T]):
    """The same things in the same order, made by a thread, up to `most` of them before they are asked for.

    What making one raises is raised where it is asked for. `close` ends the thread, within the time that one
    thing takes; the thread ends by itself after the last.
    """

    def __init__(self, things: Iterable[T], most: int = 2) -> None:
        """Start at once.

        Args:
            things: Made one by one, in the thread alone.
            most: How many may wait to be asked for.
        """
        self._made: SimpleQueue[T | _End] = SimpleQueue()
        self._room = threading.Semaphore(most)
        self._is_closed = False
        self._thread = threading.Thread(target=self._make, args=(things,), name=_THREAD_NAME, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while not self._is_closed:
            thing = self._made.get()
            if isinstance(thing, _End):
                self.close()
                if thing.error is not None:
                    raise thing.error
                return
            self._room.release()
            yield thing

    def close(self) -> None:
        """End the thread; what it made is dropped."""
        self._is_closed = True
        self._room.release()
        self._thread.join()

    def _make(self, things: Iterable[T]) -> None:
        error: BaseException | None = None
        try:
            source = iter(things)
            while True:
                self._room.acquire()
                if self._is_closed:
                    return
                try:
                    thing = next(source)
                except StopIteration:
                    break
                self._made.put(thing)
        except BaseException as raised:
            error = raised
        self._made.put(_End(error))


class _End:
    """Stands after the last thing, or where the next could not be made."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def draws_from_the_process(work: Callable[[], T]) -> tuple[T, bool]:
    """Do something; also tell whether it touched a generator that the whole process shares.

    Such work must not run beside a network that draws from the same generator.
    """
    before = _process_state()
    done = work()
    after = _process_state()
    return done, before != after


def _process_state() -> tuple[object, ...]:
    numpys = np.random.get_state(legacy=False)  # noqa: NPY002 - it is looked at, never drawn from
    return random.getstate(), pickle.dumps(numpys), torch.get_rng_state().numpy().tobytes()
