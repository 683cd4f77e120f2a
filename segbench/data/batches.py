"""Batches of cached images: every draw is a function of (seed, epoch, sample) alone.

A thread makes the next batches while the caller works on one. Where the images fit into a device's memory
they are kept and picked there; otherwise a batch is sent from page-locked memory, and nobody waits for it.
"""

from __future__ import annotations

import contextlib
import pickle
import random
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from segbench import registry
from segbench.axes.augment import Augmentation
from segbench.axes.input import Scaling
from segbench.config.trial import TrialConfig
from segbench.data.prepared import PreparedData
from segbench.data.resize import single_threaded_cv2
from segbench.samples import IGNORED
from segbench.streams import stream_seed

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


def send(values: np.ndarray | torch.Tensor, device: torch.device) -> torch.Tensor:
    """Bring values to the device; to a GPU from pinned memory, so that the copy runs beside what follows.

    Args:
        values: Of any shape and type; on a CPU the tensor shares their memory.
        device: Where they go.
    """
    tensor = values if isinstance(values, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(values))
    if device.type != "cuda":
        return tensor
    return (tensor if tensor.is_pinned() else tensor.pin_memory()).to(device, non_blocking=True)


@lru_cache(maxsize=64)
def constants(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Return numbers as (k,) float32 on the device; they are not to be written to.

    A tensor made of a list would be copied there each time, and the host would wait for all it launched.
    """
    return torch.stack([torch.full((), value, dtype=torch.float32, device=device) for value in values])


_SHARE = 0.5
"""Of a GPU's free memory that a data set may fill."""

_STAGED_IMAGES = 256
"""Images sent at a time."""


class Pixels:
    """Images and masks of a data set by sample number, as uint8 planes on the device."""

    def __init__(self, data: PreparedData, device: torch.device, *, are_held: bool = True) -> None:
        """Bring all of them to a GPU whose memory holds them.

        Args:
            data: The data set.
            device: Where batches are wanted.
            are_held: False: every batch is sent when it is taken.
        """
        self._data, self._device = data, device
        self._resident = _resident(data, device) if are_held and device.type == "cuda" else None

    @property
    def is_resident(self) -> bool:
        """Whether all of them lie in the device's memory."""
        return self._resident is not None

    def take(self, numbers: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images (N,C,H,W) and masks (N,1,H,W), uint8, of these samples."""
        if self._resident is None:
            images = send(self._data.images[numbers], self._device).permute(0, 3, 1, 2)
            return images, send(self._data.masks[numbers], self._device).unsqueeze(1)
        rows = send(np.asarray(numbers, dtype=np.int64), self._device)
        images, masks = self._resident
        return images[rows], masks[rows]


_held: tuple[tuple[object, torch.device], tuple[torch.Tensor, torch.Tensor]] | None = None
"""The data set that this process holds on a GPU: later trials of it find it there."""


def _resident(data: PreparedData, device: torch.device) -> tuple[torch.Tensor, torch.Tensor] | None:
    global _held
    key = (getattr(data.images, "filename", None) or id(data.images), device)
    if _held is not None and _held[0] == key:
        return _held[1]
    _held = None  # its memory counts as free below
    if data.images.nbytes + data.masks.nbytes > _SHARE * torch.cuda.mem_get_info(device)[0]:
        return None
    count, height, width, channels = data.images.shape
    images = torch.empty((count, channels, height, width), dtype=torch.uint8, device=device)
    masks = torch.empty((count, 1, height, width), dtype=torch.uint8, device=device)
    for start in range(0, count, _STAGED_IMAGES):
        rows = slice(start, start + _STAGED_IMAGES)
        # copies: the cache is mapped and read-only
        images[rows] = send(np.array(data.images[rows]), device).permute(0, 3, 1, 2)
        masks[rows] = send(np.array(data.masks[rows]), device).unsqueeze(1)
    _held = key, (images, masks)
    return _held[1]


@dataclass(frozen=True)
class Batch:
    """What one step reads."""

    images: torch.Tensor
    """(N,C,H,W) float32, scaled."""
    target: torch.Tensor
    """(N,1,H,W) float32 in {0, 1}."""
    index: torch.Tensor
    """(N,) int64 sample numbers, on the CPU."""
    valid: torch.Tensor | None = None
    """(N,1,H,W) bool, True where the pixel counts; None: all do. The target is 0 where it does not."""

    def __len__(self) -> int:
        return len(self.index)

    def parts(self, most: int | None) -> Iterator[Batch]:
        """Yield the batch in pieces of at most `most` images, in order; None: as it is."""
        if most is None or most >= len(self):
            yield self
            return
        for start in range(0, len(self), most):
            part = slice(start, start + most)
            valid = None if self.valid is None else self.valid[part]
            yield Batch(self.images[part], self.target[part], self.index[part], valid)


class Epochs:
    """The training images, in an order that each epoch draws anew from (seed, "order", epoch)."""

    pixels: Pixels | None = None
    """The data set where batches are made of it on the device."""

    def __init__(self, data: PreparedData, config: TrialConfig, seed: int) -> None:
        self._numbers = data.split["train"]
        self._batch_size = config.batch_size
        self._seed = seed

    @property
    def num_samples(self) -> int:
        """Images in an epoch."""
        return len(self._numbers)

    def __len__(self) -> int:
        """Return the batches in an epoch."""
        return -(-len(self._numbers) // self._batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """Return the sample numbers in the order of an epoch."""
        generator = np.random.Generator(np.random.PCG64(stream_seed(self._seed, "order", epoch)))
        return self._numbers[generator.permutation(len(self._numbers))]


class TrainBatches(Epochs):
    """Augmented batches of the training images, in a new order each epoch.

    The order is drawn from (seed, "order", epoch) and a sample's augmentation from (seed, "augment", epoch,
    sample number): the draws are the same for any number of loader workers and after a resume, and differ
    from sample to sample and epoch to epoch. The last batch may be smaller. Loader workers live until
    `close`. Without them a thread makes the next batches while the network trains; it lives as long as an
    epoch's iteration, and there is none for an augmentation that draws from the process's own generators.
    """

    def __init__(
        self,
        data: PreparedData,
        config: TrialConfig,
        seed: int,
        workers: int = 0,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        self._data = data
        super().__init__(data, config, seed)
        self._finish = Finish(data.scaling, torch.device(device), has_ignored=data.has_ignored)
        augmentation = registry.build("augment", config.augment.name, **config.augment.knobs)
        self._pairs = _AugmentedPairs(data.images, data.masks, augmentation, seed)
        self._sampler = _EpochSampler(self.order, self._batch_size)
        self._loader = (
            _make_loader(self._pairs, self._sampler, workers, self._finish.device) if workers else None
        )
        self._ahead: Ahead[Any] | None = None

    def epoch(self, epoch: int) -> Generator[Batch, None, None]:
        """Yield the batches of an epoch, which counts from 1.

        Close the iteration where it is left before its end.
        """
        self._sampler.epoch = epoch
        if self._loader is not None:
            with _without_advice():
                loaded = iter(self._loader)
            for images, masks, index in loaded:
                yield self._finish(images, masks, index)
            return
        # Scaled where the network computes: PyTorch would start threads of its own beside a second one that
        # calls it, and they would be in each other's way.
        made = (self._pairs.__getitems__(keys) for keys in self._sampler)
        with single_threaded_cv2():
            first, must_wait = draws_from_the_process(lambda: next(made))
            self._ahead = None if must_wait else Ahead(made)
            try:
                yield self._finish(*first)
                for pixels in self._ahead or made:
                    yield self._finish(*pixels)
            finally:
                self.close_ahead()

    def close(self) -> None:
        """End the loader workers and the thread."""
        self._loader = None
        self.close_ahead()

    def close_ahead(self) -> None:
        """End the thread that makes batches; an epoch that is being read ends where it is."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None


def eval_batches(
    data: PreparedData,
    split: str,
    batch_size: int,
    *,
    device: torch.device | str = "cpu",
    pixels: Pixels | None = None,
) -> Iterator[Batch]:
    """Yield the images of a part of the split in order, unchanged.

    Args:
        data: The prepared data.
        split: `train`, `val` or `test`.
        batch_size: Images in a batch; the last may be smaller.
        device: Where the tensors go.
        pixels: The data set where training has it, perhaps on the device already; None: batches are sent.
    """
    finish = Finish(data.scaling, torch.device(device), has_ignored=data.has_ignored)
    pixels = pixels or Pixels(data, finish.device, are_held=False)
    numbers = data.split[split]
    for start in range(0, len(numbers), batch_size):
        chosen = numbers[start : start + batch_size]
        images, masks = pixels.take(chosen)
        yield finish.scale(images.contiguous().to(torch.float32), masks, torch.from_numpy(chosen))


class Finish:
    """Bytes to scaled tensors on the device: whole batches at once, and a quarter of the bytes travel."""

    def __init__(self, scaling: Scaling, device: torch.device, *, has_ignored: bool) -> None:
        self.device = device
        self._has_ignored = has_ignored
        self._mean = torch.tensor(scaling.mean, dtype=torch.float32, device=device).view(1, -1, 1, 1)
        self._std = torch.tensor(scaling.std, dtype=torch.float32, device=device).view(1, -1, 1, 1)

    def __call__(self, images: torch.Tensor, masks: torch.Tensor, index: torch.Tensor) -> Batch:
        images, masks = (send(pixels, self.device) for pixels in (images, masks))
        planes = images.permute(0, 3, 1, 2).contiguous()
        return self.scale(planes.to(torch.float32), masks.unsqueeze(1), index)

    def scale(self, planes: torch.Tensor, labels: torch.Tensor, index: torch.Tensor) -> Batch:
        """Scale planes (N,C,H,W) of levels, in place; labels are (N,1,H,W) uint8 in {0, 1, 255}."""
        scaled = planes.sub_(self._mean).div_(self._std)
        if not self._has_ignored:
            return Batch(images=scaled, target=labels.to(torch.float32), index=index)
        target, valid = (labels == 1).to(torch.float32), labels != IGNORED
        return Batch(images=scaled, target=target, index=index, valid=valid)


class _EpochSampler:
    """Lists of (epoch, sample number): persistent workers learn the epoch with each index."""

    def __init__(self, order: Any, batch_size: int) -> None:
        self._order = order
        self._batch_size = batch_size
        self.epoch = 0

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        keys = [(self.epoch, int(number)) for number in self._order(self.epoch)]
        for start in range(0, len(keys), self._batch_size):
            yield keys[start : start + self._batch_size]


class _AugmentedPairs(Dataset[Any]):
    """Cached pairs, augmented; fetched a batch at a time."""

    def __init__(self, images: np.ndarray, masks: np.ndarray, augment: Augmentation, seed: int) -> None:
        self._images = images
        self._masks = masks
        self._augment = augment
        self._seed = seed

    def __getstate__(self) -> dict[str, Any]:
        # a pickled memory map is a copy of the whole data set: send its file's name instead
        return {k: _Mapped(v.filename) if isinstance(v, np.memmap) else v for k, v in self.__dict__.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({k: v.open() if isinstance(v, _Mapped) else v for k, v in state.items()})

    def __getitems__(
        self, keys: Sequence[tuple[int, int]]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        images = np.empty((len(keys), *self._images.shape[1:]), dtype=np.uint8)
        masks = np.empty((len(keys), *self._masks.shape[1:]), dtype=np.uint8)
        for position, (epoch, number) in enumerate(keys):
            seed = stream_seed(self._seed, "augment", epoch, number)
            images[position], masks[position] = self._augment(
                np.asarray(self._images[number]), np.asarray(self._masks[number]), seed
            )
        index = torch.tensor([number for _, number in keys], dtype=torch.int64)
        return torch.from_numpy(images), torch.from_numpy(masks), index


@dataclass(frozen=True)
class _Mapped:
    """Stands for a memory map on its way to another process."""

    file: Any

    def open(self) -> np.ndarray:
        pixels: np.ndarray = np.load(self.file, mmap_mode="r")
        return pixels


def _make_loader(pairs: Any, sampler: Any, workers: int, device: torch.device) -> DataLoader[Any]:
    with _without_advice():
        return DataLoader(
            pairs,
            batch_sampler=sampler,
            num_workers=workers,
            collate_fn=_as_is,
            persistent_workers=True,
            pin_memory=device.type == "cuda",
            worker_init_fn=_start_worker,
            generator=torch.Generator(),  # its own: the loader draws a number that nothing here uses
        )


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Silence the loader's opinion on the number of workers: the user chose it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*worker processes in total")
        yield


def _as_is(batch: Any) -> Any:
    return batch


def _start_worker(worker: int) -> None:
    import cv2

    cv2.setNumThreads(0)
