"""What a configuration costs, found by building and running it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

import torch

from segbench import registry
from segbench.axes.model import build
from segbench.config.experiment import Cell
from segbench.config.project import Project
from segbench.config.trial import Choice, TrialConfig
from segbench.data.batches import TrainBatches
from segbench.data.prepared import build_source, prepare
from segbench.engine.heap import hold_freed_memory
from segbench.engine.instruments import count_flops, count_parameters
from segbench.engine.numerics import Numerics, choose_device
from segbench.engine.protocol import TrainingRun, build_run
from segbench.plan.costs import Cost, costs_of, kinds_of, take_steps
from segbench.plan.gpu_memory import FULL, keep_share
from segbench.plan.plan import Plan
from segbench.records import EpochRecord
from segbench.trial.devices import Slot
from segbench.trial.provenance import name_device

BATCHES = 4
"""Batches of an epoch of `time_steps`."""

_LEAST_S = 2.0
"""Epochs are taken, after a first that is not counted, until they have lasted so long."""

_MOST_EPOCHS = 8


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What a few steps of a configuration take; None: the run failed, or nothing tells."""

    epoch_time_s: float | None = None
    """An epoch of the whole data set, with validation."""
    memory_mib: float | None = None
    images_per_s: float | None = None
    """Trained on, with what training waits for."""
    data_wait: float | None = None
    """Share of the training time that is waiting for data."""
    setup_s: float | None = None
    """Building network, optimiser and batches, where that was done before in the process."""
    besides_s: float | None = None
    """What a trial takes besides its epochs: that, and the test images with two sets of weights."""


@dataclass(frozen=True, kw_only=True)
class PayBack:
    """What `compile: true` costs and saves, in a process that compiles the network for the first time."""

    compile_s: float
    step_s: float
    compiled_step_s: float
    num_steps: int
    """Of one trial."""

    @property
    def after_steps(self) -> int | None:
        """How many steps pay for compiling; None: none ever do."""
        saved = self.step_s - self.compiled_step_s
        return None if saved <= 0 else math.ceil(self.compile_s / saved)

    @property
    def advice(self) -> str:
        """Say what it is worth to one trial, and to those that follow in its process."""
        times = (
            f"{self.compile_s:.1f} s to compile, a step {self.compiled_step_s:.4g} s instead of "
            f"{self.step_s:.4g} s"
        )
        if self.after_steps is None:
            return f"{times}: leave `compile` out"
        saved = self.num_steps * (self.step_s - self.compiled_step_s) - self.compile_s
        paid = f"{times}: paid back after {self.after_steps:,} steps, of a trial's {self.num_steps:,}"
        if saved > 0:
            return f"{paid}; `compile: true` saves {saved:.0f} s of a trial, more of those that follow it"
        return f"{paid}; it pays only where a worker runs several trials of one network"


def size_network(config: TrialConfig, project: Project) -> tuple[int | None, int | None]:
    """Return the parameters of a configuration's network and the operations of one image's forward pass.

    The network is built without storage (PyTorch's meta device), so its size does not matter. None where it
    cannot be built so, as a network that looks at the values of its weights.
    """
    source = build_source(config, project)
    try:
        with torch.device("meta"):
            model = build(_without_weights(config.model), config.norm, source.channels, 1)
            parameters = count_parameters(model)[0]
            numerics = Numerics(torch.device("meta"), "fp32", None)
            flops = count_flops(model, (source.channels, source.size_px, source.size_px), numerics)
    except Exception:  # a user's network may do anything; the guards that build it say what is wrong
        return None, None
    return parameters, flops


def time_steps(config: TrialConfig, project: Project, slot: Slot) -> Steps:
    """Train a few batches and tell what they took: medians over epochs of a few batches each.

    Nothing is known where the run failed: it says so when it is run.

    Raises:
        DataError: The data cannot be read.
    """
    few = replace(
        config, max_images=BATCHES * config.batch_size, epochs=_MOST_EPOCHS + 1, early_stopping=None
    )
    whole = prepare(config, project)
    data = prepare(few, project)
    hold_freed_memory()  # as the workers do: it decides time and memory
    try:
        build_run(few, data, seed=0, device=slot.device, threads=slot.threads).close()
        began = time.perf_counter()
        run = build_run(few, data, seed=1, device=slot.device, threads=slot.threads)
        setup_s = time.perf_counter() - began
        try:
            records = _epochs(run)
            began = time.perf_counter()
            run.evaluate("test", which="last")
            test_s = time.perf_counter() - began
        finally:
            run.close()
    except Exception:  # out of memory, a network that does not train: the sweep tells which
        return Steps()
    images_per_s = median([record.images_per_s for record in records])
    num_few, num_whole = ({part: len(of) for part, of in each.split.items()} for each in (data, whole))
    val_s = median([max(r.epoch_time_s - num_few["train"] / r.images_per_s, 0.0) for r in records])
    waits = [r.data_wait_s * r.images_per_s / num_few["train"] for r in records]
    return Steps(
        epoch_time_s=num_whole["train"] / images_per_s + val_s * num_whole["val"] / num_few["val"],
        memory_mib=max(record.peak_memory_mib for record in records),
        images_per_s=images_per_s,
        data_wait=None if any(wait != wait for wait in waits) else median(waits),
        setup_s=setup_s,
        besides_s=setup_s + 2 * test_s * num_whole["test"] / num_few["test"],
    )


def time_compilation(config: TrialConfig, project: Project, slot: Slot) -> PayBack | None:
    """Train a few batches as they come and compiled; None where either fails.

    Raises:
        DataError: The data cannot be read.
    """
    num_images = len(prepare(config, project).split["train"])
    per_step = config.batch_size * config.accumulate
    few = replace(
        config, max_images=BATCHES * per_step, epochs=_MOST_EPOCHS + 1, early_stopping=None, accumulate=1
    )
    data = prepare(few, project)
    hold_freed_memory()
    step_s, compile_s = [], 0.0
    for is_compiled in (False, True):
        torch.compiler.reset()
        try:
            run = build_run(
                replace(few, compile=is_compiled), data, seed=0, device=slot.device, threads=slot.threads
            )
            try:
                records = _epochs(run, with_first=True)
            finally:
                run.close()
        except Exception:  # no compiler for it here, a network that does not compile or train
            return None
        later = median([r.epoch_time_s for r in records[1:]])
        compile_s = max(records[0].epoch_time_s - later, 0.0)  # the second run finds all else warm
        step_s.append(few.batch_size / median([r.images_per_s for r in records[1:]]))
    return PayBack(
        compile_s=compile_s,
        step_s=step_s[0] * config.accumulate,
        compiled_step_s=step_s[1] * config.accumulate,
        num_steps=config.epochs * -(-num_images // per_step),
    )


def _epochs(run: TrainingRun, *, with_first: bool = False) -> list[EpochRecord]:
    """Return the records of epochs that last long enough together, the first not counted, nor as a rule
    returned."""
    records = []
    for record in run:
        records.append(record)
        if len(records) > 1 and sum(r.epoch_time_s for r in records[1:]) >= _LEAST_S:
            break
    return records if with_first else records[1:]


def _without_weights(model: Choice) -> Choice:
    """Return a network's choice without learnt weights, which change no size and may have to be fetched."""
    knob = registry.find("model", model.name).knobs.get("weights")
    if knob is None or knob.is_required:
        return model
    return Choice(model.name, {**model.knobs, "weights": knob.default})


# How fast a machine trains an experiment's networks, and in parts of what its arithmetic can do.


OnStage = Callable[[str], None]
"""Told what is measured next."""

_BACKWARD: Final = 3
"""Operations of a training step in those of its forward pass: gradients of inputs and of weights are one
more each."""

_WAITS: Final = 0.05
"""Share of a step in waiting for data from which the data bind."""

_CEILING_S: Final = 1.5
_DATA_S: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """What the device does at best, of a large matrix product and a large copy."""

    matmul: dict[str, float]
    """Precision -> operations a second, two a multiply-add."""
    copy_bytes_per_s: float
    """Read and written."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What one network, data set, batch size and precision takes here; None: nothing tells."""

    label: str
    """Of the first of its cells."""
    num_cells: int
    precision: str
    parameters: int | None
    steps: Steps
    share_of_peak: float | None
    """Training operations a second, in parts of the matrix rate at this precision."""
    data_images_per_s: float | None
    """What one thread decodes from the cache and augments; None: the user's own engine, or on the device."""
    pay_back: PayBack | None = None
    """Of compiling; None: not asked for, or it fails."""

    @property
    def binds(self) -> str:
        """Say what holds it back."""
        if self.steps.images_per_s is None:
            return "it does not train here: `segbench run` says why"
        if self.steps.data_wait is not None and self.steps.data_wait > _WAITS:
            return f"data: {self.steps.data_wait:.0%} of a step waits for them"
        if self.share_of_peak is None:
            return "not known: its operations cannot be counted"
        if self.share_of_peak >= FULL:
            return "arithmetic"
        return "memory and small operations"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What was measured."""

    ceilings: Ceilings
    paces: tuple[Pace, ...]
    num_left_out: int
    """Kinds of cells that the time did not last for."""


def bench(
    plan: Plan,
    slot: Slot,
    *,
    seconds: float = 110.0,
    compiles: bool = False,
    on_stage: OnStage = lambda what: None,
) -> Bench:
    """Measure the ceilings of a device, then one trial's pace for every kind of cell of a plan.

    Cells that cost the same are measured once. A kind is begun only while time is left.

    Args:
        plan: Its trials' configurations are measured, whether done or not.
        slot: Device and threads, as a sweep's worker has them.
        seconds: About how long it may take; the first kind is measured in any case.
        compiles: Whether to measure what compiling pays, too.
        on_stage: Told what is measured next.

    Raises:
        DataError: The data cannot be read.
    """
    began = time.monotonic()
    torch.set_num_threads(slot.threads)
    kinds = kinds_of(plan).values()
    on_stage("matrix product and copy")
    ceilings = measure_ceilings(slot, sorted({cells[0].config.precision for cells in kinds}))
    costs = costs_of(plan, slot)
    paces: list[Pace] = []
    longest = 0.0
    for cells in kinds:
        started = time.monotonic()
        if paces and started - began + longest > seconds:
            break
        on_stage(cells[0].label)
        pace = _pace(plan, cells, slot, ceilings, costs[cells[0].config_hash])
        if compiles:
            on_stage(f"{cells[0].label}, compiled")
            project = plan.experiment.project
            pace = replace(pace, pay_back=time_compilation(cells[0].config, project, slot))
        paces.append(pace)
        longest = max(longest, time.monotonic() - started)
    return Bench(ceilings=ceilings, paces=tuple(paces), num_left_out=len(kinds) - len(paces))


def measure_ceilings(slot: Slot, precisions: list[str]) -> Ceilings:
    """Time matrix products of random numbers, at each precision, and copies larger than any cache."""
    device = choose_device(slot.device)
    size = 8192 if device.type == "cuda" else 2048
    matmul = {}
    for precision in precisions:
        numerics = Numerics(device, precision, slot.threads)
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        with numerics.active():
            matmul[precision] = 2 * size**3 / _seconds(lambda a=left, b=right: a @ b, device)  # type: ignore[misc]
    source = torch.randn(2**28 if device.type == "cuda" else 2**26, device=device)
    target = torch.empty_like(source)
    copied = 2 * source.nbytes / _seconds(lambda: target.copy_(source), device)
    return Ceilings(matmul=matmul, copy_bytes_per_s=copied)


def _pace(plan: Plan, cells: Sequence[Cell], slot: Slot, ceilings: Ceilings, cost: Cost) -> Pace:
    """Measure the first of cells that cost the same."""
    config = cells[0].config
    planned = plan.of_cell(cells[0])
    data_fingerprint = planned[0].trial.data_fingerprint if planned else None
    steps = take_steps(config, plan.experiment.project, slot, data_fingerprint)
    share = None
    if steps.images_per_s is not None and cost.flops is not None:
        share = _BACKWARD * cost.flops * steps.images_per_s / ceilings.matmul[config.precision]
        if slot.device != "cpu":
            keep_share(plan.experiment.project, config.to_json(), name_device(slot.device), share)
    return Pace(
        label=cells[0].label,
        num_cells=len(cells),
        precision=config.precision,
        parameters=cost.parameters,
        steps=steps,
        share_of_peak=share,
        data_images_per_s=_data_images_per_s(plan, config),
    )


def _data_images_per_s(plan: Plan, config: TrialConfig) -> float | None:
    if config.engine != "segbench" or config.augment_backend == "device":
        return None
    data = prepare(config, plan.experiment.project)
    with _one_thread():
        batches = TrainBatches(data, config, seed=0)
        try:
            images, began = 0, 0.0
            for epoch in range(1, 1000):
                for batch in batches.epoch(epoch):
                    if not began:  # the first batch imports
                        began = time.perf_counter()
                        continue
                    images += len(batch)
                    spent = time.perf_counter() - began
                    if spent > _DATA_S:
                        return images / spent
            return images / max(time.perf_counter() - began, 1e-9)
        finally:
            batches.close()


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the shortest time of a call, the first one left out."""
    times: list[float] = []
    end = time.perf_counter() + _CEILING_S
    while len(times) < 4 or time.perf_counter() < end:
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return min(times[1:])
