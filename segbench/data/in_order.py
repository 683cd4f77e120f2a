"""Work of several threads, its results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[T], R], things: Iterable[T], *, most: int
) -> Iterator[R]:
    """Yield what `work` makes of each thing, in order; all threads are busy, and few results wait in memory.

    What `work` raises is raised in its result's place. What has not begun when the iteration ends is dropped.

    Args:
        pool: Its threads work.
        work: Called with each thing.
        things: Taken one by one by the caller's thread, at most `most` before the results that are asked for.
        most: How many results may wait, begun or done.
    """
    begun: deque[Future[R]] = deque()
    try:
        for thing in things:
            begun.append(pool.submit(work, thing))
            if len(begun) > most:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        for future in begun:
            future.cancel()
