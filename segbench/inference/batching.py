"""Pieces of many images in batches, one in flight while the next is put together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from segbench.errors import DataError
from segbench.inference.framing import Framed

T = TypeVar("T")

Item: TypeAlias = Framed | DataError
"""An image, or why there is none: that is handed on in its place."""

Start = Callable[[np.ndarray], Callable[[], np.ndarray]]
"""Begins with a batch, (N,h,w,C) uint8; what it returns waits for its probabilities, (N,h,w) float32."""


@dataclass
class _Order(Generic[T]):
    """An image that was asked for."""

    key: T
    item: Item
    num_missing: int


def run_batches(
    items: Iterable[tuple[T, Item]], start: Start, *, most_pixels: int
) -> Iterator[tuple[T, Item]]:
    """Put every piece through the network; yield images in their order, each once all its pieces are back.

    Pieces of one size that follow each other share a batch, whichever images they are of.

    Args:
        items: Images, each with the caller's key.
        start: Begins with a batch. It is called for the next batch before the last one is waited for.
        most_pixels: Height x width x pieces of a batch, except that one piece always goes.
    """
    orders: deque[_Order[T]] = deque()
    batch: list[tuple[_Order[T], int]] = []
    pixels: list[np.ndarray] = []
    landings: deque[Callable[[], None]] = deque()

    def launch() -> None:
        landings.append(_launch(start, batch, pixels))
        batch.clear()
        pixels.clear()
        if len(landings) > 1:
            landings.popleft()()

    def whole() -> Iterator[tuple[T, Item]]:
        while orders and not orders[0].num_missing:
            order = orders.popleft()
            yield order.key, order.item

    for key, item in items:
        if isinstance(item, DataError):
            orders.append(_Order(key, item, 0))
        else:
            order = _Order(key, item, item.num_pieces)
            orders.append(order)
            for number in range(item.num_pieces):
                piece = item.piece(number)
                has_room = (len(pixels) + 1) * piece.shape[0] * piece.shape[1] <= most_pixels
                if pixels and not (has_room and piece.shape == pixels[0].shape):
                    launch()
                batch.append((order, number))
                pixels.append(piece)
        yield from whole()
    if pixels:
        launch()
    while landings:
        landings.popleft()()
        yield from whole()


def _launch(start: Start, batch: list[tuple[_Order[T], int]], pixels: list[np.ndarray]) -> Callable[[], None]:
    wait, parts = start(np.stack(pixels)), list(batch)

    def land() -> None:
        for (order, number), probs in zip(parts, wait(), strict=True):
            assert isinstance(order.item, Framed)
            order.item.put(number, probs)
            order.num_missing -= 1

    return land
