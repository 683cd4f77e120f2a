"""What a configuration costs, found by building and running it."""

from __future__ import annotations

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
from segbench.sweep.devices import Slot

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
        finally:
            run.close()
    except Exception:  # out of memory, a network that does not train: the sweep tells which
        return Steps()
    images_per_s = median([record.images_per_s for record in records])
    num_few, num_whole = ({part: len(d.split[part]) for part in ("train", "val")} for d in (data, whole))
    val_s = median([max(r.epoch_time_s - num_few["train"] / r.images_per_s, 0.0) for r in records])
    waits = [r.data_wait_s * r.images_per_s / num_few["train"] for r in records]
    return Steps(
        epoch_time_s=num_whole["train"] / images_per_s + val_s * num_whole["val"] / num_few["val"],
        memory_mib=max(record.peak_memory_mib for record in records),
        images_per_s=images_per_s,
        data_wait=None if any(wait != wait for wait in waits) else median(waits),
        setup_s=setup_s,
    )


def _epochs(run: TrainingRun) -> list[EpochRecord]:
    """Return the records of epochs that last long enough together, without the first."""
    records = []
    for record in run:
        records.append(record)
        if len(records) > 1 and sum(r.epoch_time_s for r in records[1:]) >= _LEAST_S:
            break
    return records[1:]


def _without_weights(model: Choice) -> Choice:
    """Return a network's choice without learnt weights, which change no size and may have to be fetched."""
    knob = registry.find("model", model.name).knobs.get("weights")
    if knob is None or knob.is_required:
        return model
    return Choice(model.name, {**model.knobs, "weights": knob.default})
