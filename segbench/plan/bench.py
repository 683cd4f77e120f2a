"""How fast a machine trains an experiment's networks, beside what its arithmetic and its data can do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import torch

from segbench.config.experiment import Cell
from segbench.config.trial import TrialConfig
from segbench.data.batches import TrainBatches
from segbench.data.prepared import prepare
from segbench.engine.numerics import Numerics, choose_device
from segbench.plan.costs import FULL, Cost, costs_of, keep_share, kinds_of, take_steps
from segbench.plan.plan import Plan
from segbench.plan.steps import PayBack, Steps, time_compilation
from segbench.trial.devices import Slot
from segbench.trial.provenance import name_device

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
