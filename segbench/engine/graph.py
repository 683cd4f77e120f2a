"""The training step as one CUDA graph: a launch a step instead of one a kernel.

The first steps of a run are taken eagerly, then one is recorded on tensors that stay where they are, and
every later batch of the same shape is copied there and the record replayed. What a replay draws comes from
the device's generator as it stands, so dropout draws what it would have drawn.
"""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

import torch

from segbench import registry
from segbench.config.trial import TrialConfig
from segbench.engine.counting import Measured
from segbench.engine.step import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

EAGER_STEPS: Final = 3
"""Taken before one is recorded: libraries choose their kernels, and the optimiser makes its state."""

_SYNCHRONIZING: Final = "synchronizing CUDA operation"
"""What PyTorch says where `set_sync_debug_mode` finds that the CPU waits."""

_Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]


class Recorder(Protocol):
    """What a device must do for a step to be recorded; a test stands in for a GPU."""

    def aside(self, work: Callable[[], Measured], *, is_watched: bool) -> tuple[Measured, str | None]:
        """Take a step as it will be recorded; if watched, also say why it could not be, or None."""

    def record(self, work: Callable[[], Measured]) -> tuple[Measured, Callable[[], None]]:
        """Record a step without taking it: where its results will be, and what takes it.

        Raises:
            RuntimeError: It cannot be recorded; nothing was taken.
        """

    held_bytes: int
    """What the record keeps of the device's memory."""


class StepGraph:
    """Takes steps: eagerly at first, from a record as soon as there is one, and eagerly for other shapes."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._num_eager = 0
        self._inputs: _Batch | None = None
        self._outputs: Measured | None = None
        self._replay: Callable[[], None] | None = None
        self.is_reused = False
        """Whether it was recorded by an earlier trial."""
        self.why_not: str | None = None
        """Why the step is not recorded, once that is known."""

    @property
    def is_recorded(self) -> bool:
        """Whether there is a record."""
        return self._replay is not None

    @property
    def held_bytes(self) -> int:
        """What the record keeps of the device's memory."""
        return self._recorder.held_bytes

    @property
    def state(self) -> str:
        """Say whether steps are replayed, as a trial's record does."""
        if self.why_not is not None:
            return f"no: {self.why_not}"
        if not self.is_recorded:
            return "no: the run was too short"
        return "reused" if self.is_reused else "captured"

    def take(
        self, step: Step, images: torch.Tensor, target: torch.Tensor, valid: torch.Tensor | None, size: int
    ) -> Measured:
        """Take a step on a batch.

        Args:
            step: Always the same one.
            images: (N,C,H,W), on the device.
            target: (N,1,H,W).
            valid: (N,1,H,W) bool, or None.
            size: Images of a whole batch: others are taken eagerly.
        """
        batch = images, target, valid
        if self._replay is None:
            if self.why_not is None and len(images) == size:
                return self._approach(step, batch)
            return step(*batch)
        if not self._holds(batch):
            return step(*batch)
        return self._replayed(batch)

    def _approach(self, step: Step, batch: _Batch) -> Measured:
        """Take one of the first steps; after them, record one and take that."""
        if self._num_eager < EAGER_STEPS:
            self._num_eager += 1
            is_last = self._num_eager == EAGER_STEPS
            measured, problem = self._recorder.aside(lambda: step(*batch), is_watched=is_last)
            if problem is not None:
                self._give_up(problem)
            return measured
        images, target, valid = batch
        inputs = (
            torch.empty_like(step.numerics.images(images)),
            torch.empty_like(target),
            None if valid is None else torch.empty_like(valid),
        )
        step.optimizer.zero_grad(set_to_none=True)  # what they held is free for the record
        try:
            self._outputs, self._replay = self._recorder.record(lambda: step(*inputs))
        except Exception as error:  # whatever a network does that cannot be recorded
            self._give_up(f"it could not be recorded ({_first_line(error)})")
            return step(*batch)
        self._inputs = inputs
        return self._replayed(batch)

    def _replayed(self, batch: _Batch) -> Measured:
        assert self._inputs is not None
        assert self._outputs is not None
        assert self._replay is not None
        for held, given in zip(self._inputs, batch, strict=True):
            if held is not None and given is not None:
                held.copy_(given, non_blocking=True)
        self._replay()
        return Measured(*(value.clone() for value in self._outputs))  # the next replay writes there

    def _holds(self, batch: _Batch) -> bool:
        assert self._inputs is not None
        return all(
            (held is None) == (given is None)
            and (held is None or given is None or (held.shape, held.dtype) == (given.shape, given.dtype))
            for held, given in zip(self._inputs, batch, strict=True)
        )

    def _give_up(self, why: str) -> None:
        self.why_not = why
        logging.getLogger("segbench").warning("steps are taken one kernel at a time: %s", why)


class CudaRecorder:
    """Records steps on a CUDA device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream | None = None
        self.held_bytes = 0

    def aside(self, work: Callable[[], Measured], *, is_watched: bool) -> tuple[Measured, str | None]:
        """Take a step on the stream that records; if watched, see whether it waits or is too large."""
        main = torch.cuda.current_stream(self._device)
        stream = self._stream = self._stream or torch.cuda.Stream(self._device)
        before = torch.cuda.memory_allocated(self._device)
        stream.wait_stream(main)
        with torch.cuda.stream(stream), _waits_told() if is_watched else _nothing_told() as waits:
            measured = work()
        main.wait_stream(stream)
        problem = waits[0] if waits else None
        if is_watched and problem is None:
            problem = self._room_problem(before)
        return measured, problem

    def record(self, work: Callable[[], Measured]) -> tuple[Measured, Callable[[], None]]:
        """Record a step; what drew from the generator is as it was where that fails."""
        drawn = torch.cuda.get_rng_state(self._device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device):
            torch.cuda.synchronize()
            gc.collect()
            torch.cuda.empty_cache()
            before = torch.cuda.memory_reserved()
            try:
                # thread_local: a loader's thread that pins memory may go on meanwhile
                with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                    measured = work()
            except BaseException:
                _renew_generator(self._device, drawn)
                raise
            self.held_bytes = max(torch.cuda.memory_reserved() - before, 0)
        return measured, graph.replay

    def _room_problem(self, allocated: int) -> str | None:
        """A record keeps a step's memory; beside it, last batches and evaluations take as much again."""
        step = torch.cuda.max_memory_allocated(self._device) - allocated
        reserved = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        free = torch.cuda.mem_get_info(self._device)[0] + reserved
        if 2 * step <= free:
            return None
        mib = 2**20
        return f"a step takes {step // mib} MiB, and of twice that {free // mib} MiB are free"


def _renew_generator(device: torch.device, state: torch.Tensor) -> None:
    """Give the device's generator a new state object: one that a broken capture left cannot draw."""
    fresh = torch.Generator(device)
    fresh.set_state(state)
    index = torch.cuda.current_device() if device.index is None else device.index
    torch.cuda.default_generators[index].graphsafe_set_state(fresh.graphsafe_get_state())


@contextmanager
def _nothing_told() -> Iterator[list[str]]:
    yield []


@contextmanager
def _waits_told() -> Iterator[list[str]]:
    """Gather what PyTorch says where the CPU waits for the device; other warnings go on."""
    told: list[str] = []
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield told
        finally:
            torch.cuda.set_sync_debug_mode(mode)
    for warning in caught:
        if _SYNCHRONIZING in str(warning.message):
            told.append(f"a step waits for the device at {warning.filename}:{warning.lineno}")
        elif "Synchronization debug mode" not in str(warning.message):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def why_eager(config: TrialConfig, step: Step, device: torch.device, micro_batch: int | None) -> str | None:
    """Say why a run's steps cannot be recorded, or return None where they may be."""
    if device.type != "cuda":
        return "the device is no GPU"
    if config.deterministic:
        return "the trial is deterministic"
    if config.accumulate > 1:
        return "several batches make a step"
    if micro_batch is not None:
        return "a batch goes through in parts"
    if config.engine != "segbench":
        return "the engine is the user's own"
    if not all(isinstance(group["lr"], torch.Tensor) for group in step.optimizer.param_groups):
        return f"{config.optimizer.name} keeps its learning rate as a number"
    own = _own_code(config, step)
    return None if own is None else f"{own} is the user's own and does not say `is_capturable`"


def _own_code(config: TrialConfig, step: Step) -> str | None:
    """Return a variant of the user's that Python would run in a replay, which it does not.

    A network or a loss may say with an attribute `is_capturable` that all it does is done on the device.
    """
    terms: Any = getattr(step.criterion, "terms", ())
    parts = [
        ("model", config.model.name, step.model),
        *(("loss", term.name, module) for term, module in zip(config.loss, terms, strict=True)),
        ("norm", config.norm.name, None),
        ("optimizer", config.optimizer.name, None),
    ]
    for axis, name, module in parts:
        if registry.find(axis, name).digest is not None and not getattr(module, "is_capturable", False):
            return name
    return None


def _first_line(error: Exception) -> str:
    text = " ".join(str(error).strip().split("\n")[0].split())
    return text[:160] or type(error).__name__
