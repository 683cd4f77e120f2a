"""What a few steps of a configuration take, and its network's size: found by building and running it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from statistics import median

import torch

from segbench import registry
from segbench.axes.model import build
from segbench.config.project import Project
from segbench.config.trial import Choice, TrialConfig
from segbench.data.prepared import build_source, prepare
from segbench.engine.heap import hold_freed_memory
from segbench.engine.instruments import count_flops, count_parameters
from segbench.engine.numerics import Numerics
from segbench.engine.protocol import TrainingRun, build_run
from segbench.records import EpochRecord
from segbench.trial.devices import Slot

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
