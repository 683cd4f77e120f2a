"""From images of any size to batches of the pieces that a network takes, and from their probabilities
back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from segbench.data.resize import resize
from segbench.errors import DataError, message
from segbench.inference.size import OVERLAP, Size


class Framed(ABC):
    """One image on its way through a network, in pieces.

    Every piece is given to the network once, in any batch; its probabilities are `put` where they belong.
    """

    image: np.ndarray
    """(H,W,C) uint8, as it came."""
    num_pieces: int

    @abstractmethod
    def piece(self, number: int) -> np.ndarray:
        """Return what the network sees, (h,w,C) uint8; all pieces of an image have one size."""

    @abstractmethod
    def put(self, number: int, probs: np.ndarray) -> None:
        """Take the probabilities of a piece, (h,w) float32."""

    @abstractmethod
    def finish(self) -> np.ndarray:
        """Return the probabilities of the image, (H,W) float32, once those of every piece are there."""


def frame(
    image: np.ndarray, size: Size, *, size_px: int, multiple: int = 1, overlap: float = OVERLAP
) -> Framed:
    """Prepare an image for a network.

    Args:
        image: (H,W,C) uint8 with at least one pixel.
        size: At which size the network sees it.
        size_px: Side of the squares that the network was trained on.
        multiple: What its heights and widths must be a multiple of; `size_px` is one.
        overlap: Of tiles: share of their side that neighbours have in common, at least.

    Raises:
        DataError: The image has no pixels.
    """
    height, width = image.shape[:2]
    if not (height and width):
        raise DataError(message("image", "an image has at least one pixel", got=image.shape))
    if size is Size.tile and max(height, width) > size_px:  # a smaller one is a tile as it is
        return _Tiled(image, size_px, round(overlap * size_px))
    square = (size_px, size_px)
    if size is Size.squeeze:
        return _Single(image, square, square)
    if size is Size.fit:
        scale = size_px / max(height, width)
        return _Single(image, (max(1, round(height * scale)), max(1, round(width * scale))), square)
    # Less than the training size may be less than what a network can halve as often as it does.
    taken = tuple(max(size_px, -(-side // multiple) * multiple) for side in (height, width))
    return _Single(image, (height, width), taken)


class _Single(Framed):
    """An image in one piece: resized, then mirrored beyond its edges."""

    num_pieces = 1

    def __init__(self, image: np.ndarray, scaled: Sequence[int], taken: Sequence[int]) -> None:
        self.image = image
        self._piece, self._inner = _mirror(resize(image, *scaled), taken)
        self._probs: np.ndarray | None = None

    def piece(self, number: int) -> np.ndarray:
        return self._piece

    def put(self, number: int, probs: np.ndarray) -> None:
        self._probs = probs[self._inner]

    def finish(self) -> np.ndarray:
        assert self._probs is not None, "the network has not seen the image"
        height, width = self.image.shape[:2]
        return np.ascontiguousarray(resize(np.ascontiguousarray(self._probs), height, width))


class _Tiled(Framed):
    """An image in overlapping squares; what each says counts less towards its edges.

    Along each axis tiles are spread evenly from end to end. A tile's weight is a product of two windows, 1
    inside, falling to both ends as sin^2 over the pixels of the overlap (a Tukey window), so that where just
    two tiles meet at the smallest overlap their weights add up to 1. The weighted sum, of the image's size in
    float32, is all that is kept: the sum of the weights is a product of two vectors as well.
    """

    def __init__(self, image: np.ndarray, side: int, overlap_px: int) -> None:
        self.image = image
        self._side = side
        taken = [max(side, length) for length in image.shape[:2]]
        self._padded, self._inner = _mirror(image, taken)
        self._starts = [tile_starts(length, side, overlap_px) for length in taken]
        self._window = window(side, overlap_px)
        self._weights = np.outer(self._window, self._window)
        self._sum: np.ndarray | None = None  # made with the first tile: images read ahead need none
        self.num_pieces = len(self._starts[0]) * len(self._starts[1])

    def piece(self, number: int) -> np.ndarray:
        return self._padded[self._place(number)]

    def put(self, number: int, probs: np.ndarray) -> None:
        if self._sum is None:
            self._sum = np.zeros(self._padded.shape[:2], dtype=np.float32)
        self._sum[self._place(number)] += self._weights * probs

    def finish(self) -> np.ndarray:
        assert self._sum is not None, "the network has not seen the image"
        for axis, starts in enumerate(self._starts):
            weight = np.zeros(self._sum.shape[axis], dtype=np.float32)
            for start in starts:
                weight[start : start + self._side] += self._window
            self._sum /= weight[:, None] if axis == 0 else weight
        np.clip(self._sum, 0.0, 1.0, out=self._sum)
        return np.ascontiguousarray(self._sum[self._inner])

    def _place(self, number: int) -> tuple[slice, slice]:
        row, column = divmod(number, len(self._starts[1]))
        top, left = self._starts[0][row], self._starts[1][column]
        return np.s_[top : top + self._side, left : left + self._side]


def tile_starts(length: int, side: int, overlap_px: int) -> list[int]:
    """Return where tiles begin along an axis: as few as overlap by `overlap_px`, evenly spread to both ends.

    Args:
        length: Pixels of the axis, at least `side`.
        side: Pixels of a tile.
        overlap_px: Pixels that neighbours have in common, at least; below `side`.
    """
    num_steps = -(-(length - side) // (side - overlap_px))
    return [round(step * (length - side) / max(num_steps, 1)) for step in range(num_steps + 1)]


def window(side: int, overlap_px: int) -> np.ndarray:
    """Return the weights of a tile along one axis, (side,) float32 in (0, 1].

    They rise from either end over the overlap, though no further than the middle: sin^2(pi/2 (i + 1/2) / r).
    """
    rise_px = min(overlap_px, side // 2)
    rise = np.sin(np.pi / 2 * (np.arange(rise_px) + 0.5) / max(rise_px, 1)) ** 2
    return np.concatenate([rise, np.ones(side - 2 * rise_px), rise[::-1]]).astype(np.float32)


def _mirror(image: np.ndarray, taken: Sequence[int]) -> tuple[np.ndarray, tuple[slice, slice]]:
    """Continue an image beyond its edges by its mirror image, the same on both sides.

    The edge itself is not repeated, except where the image is one pixel wide; small images are mirrored again
    and again.

    Returns:
        (*taken, C), and where the image lies in it.
    """
    import cv2

    (height, width), (tall, wide) = image.shape[:2], taken
    top, left = (tall - height) // 2, (wide - width) // 2
    inner = np.s_[top : top + height, left : left + width]
    if (height, width) == (tall, wide):
        return image, inner
    ends = (top, tall - height - top, left, wide - width - left)
    mirrored = cv2.copyMakeBorder(image, *ends, cv2.BORDER_REFLECT_101)
    return mirrored.reshape(tall, wide, image.shape[2]), inner


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
