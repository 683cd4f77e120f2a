"""What a configuration costs, found by building and running it."""

from __future__ import annotations

from dataclasses import replace

import torch

from segbench import registry
from segbench.axes.model import build
from segbench.config.project import Project
from segbench.config.trial import Choice, TrialConfig
from segbench.data.prepared import build_source, prepare
from segbench.engine.heap import hold_freed_memory
from segbench.engine.instruments import count_flops, count_parameters
from segbench.engine.numerics import Numerics
from segbench.engine.protocol import build_run
from segbench.sweep.devices import Slot

BATCHES = 2
"""Batches of an epoch of `time_steps`; its second epoch counts, so that what happens once does not."""


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


def time_steps(config: TrialConfig, project: Project, slot: Slot) -> tuple[float | None, float | None]:
    """Train a few batches and return the seconds that an epoch takes, validation included, and MiB of memory.

    None where the run failed: it says so when it is run.

    Raises:
        DataError: The data cannot be read.
    """
    few = replace(config, max_images=BATCHES * config.batch_size, epochs=2, early_stopping=None)
    whole = prepare(config, project)
    data = prepare(few, project)
    hold_freed_memory()  # as the workers do: it decides time and memory
    try:
        run = build_run(few, data, seed=0, device=slot.device, threads=slot.threads)
        try:
            last = list(run)[-1]
        finally:
            run.close()
    except Exception:  # out of memory, a network that does not train: the sweep tells which
        return None, None
    train_s = len(data.split["train"]) / last.images_per_s
    val_s = max(last.epoch_time_s - train_s, 0.0)
    epoch_s = train_s * len(whole.split["train"]) / len(data.split["train"])
    epoch_s += val_s * len(whole.split["val"]) / len(data.split["val"])
    return epoch_s, last.peak_memory_mib


def _without_weights(model: Choice) -> Choice:
    """Return a network's choice without learnt weights, which change no size and may have to be fetched."""
    knob = registry.find("model", model.name).knobs.get("weights")
    if knob is None or knob.is_required:
        return model
    return Choice(model.name, {**model.knobs, "weights": knob.default})
