"""Building a trial's network, with weights that depend on the seed and the names of its modules alone."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import nn

from segbench import registry
from segbench.axes.model import build
from segbench.axes.model.pretrained import is_pretrained
from segbench.config.trial import TrialConfig
from segbench.engine.first_draw import SkippedDraws
from segbench.engine.numerics import Numerics, seeded
from segbench.streams import stream_seed


def build_network(config: TrialConfig, *, in_channels: int, seed: int, numerics: Numerics) -> nn.Module:
    """Build the network and initialise every module that holds parameters of its own.

    A module draws from a generator made from (seed, "init", its name), on the CPU, so networks that share
    names share weights, whatever else they hold and whichever device they run on. Parameters that the
    initialisation leaves alone come from the stream (seed, "build"). Modules whose `is_pretrained` is True
    keep what they learnt.
    """
    model = _build(config, in_channels, seed, skips=True) or _build(config, in_channels, seed, skips=False)
    assert model is not None
    return model.to(numerics.device, memory_format=numerics.memory_format)


def _build(config: TrialConfig, in_channels: int, seed: int, *, skips: bool) -> nn.Module | None:
    """Build on the CPU; None where a draw was skipped that counts.

    That is one of a parameter that the initialisation leaves alone, and any that comes after one that a layer
    made some other way: both would come from another place of the stream.
    """
    cpu = torch.device("cpu")
    draws = SkippedDraws()
    with seeded(stream_seed(seed, "build"), cpu), draws if skips else nullcontext():
        begin = torch.get_rng_state()
        model: nn.Module = build(config.model, config.norm, in_channels, 1)
        if skips and not torch.equal(torch.get_rng_state(), begin):
            return None
        draws.is_built = True
        initialise = registry.load(registry.find("init", config.init.name))
        for name, module in model.named_modules():
            if next(module.parameters(recurse=False), None) is not None and not is_pretrained(module):
                generator = torch.Generator().manual_seed(stream_seed(seed, "init", name))
                initialise(module, generator, **config.init.knobs)
    return model if draws.is_whole(model) else None
