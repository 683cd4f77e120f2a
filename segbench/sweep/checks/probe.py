"""How one network is built and measured before anything is trained: narrow, small, on a CPU.

A probe is the network of a configuration at the smallest width that builds with its norm, with weights drawn
as the engine draws them, on three fixed pictures (`scenes`) of at most `SMALL_PX` or the least size that
leaves maps of 2x2, whichever is larger. Pretrained weights are not fetched. What is measured depends on the
configuration alone, in float32.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from segbench import registry
from segbench.config.trial import Choice, TrialConfig
from segbench.engine.network import build_network
from segbench.engine.numerics import Numerics, seeded
from segbench.errors import SegbenchError
from segbench.sizes import size_multiple
from segbench.sweep.checks import scenes

SMALL_PX: Final = 64
WIDTHS: Final = (8, 16, 32)
"""Widths that are tried in turn, below the network's own."""

CPU: Final = torch.device("cpu")
NUMERICS: Final = Numerics(CPU, "fp32", 1)
"""One thread: the same numbers on every machine. On two, torch 2.15 damages its heap in the backward pass of
a ResNet-U-Net of width 8 in channels_last, which ends the process."""

_MOST_KEPT: Final = 4096
"""Elements of a gradient that are kept, evenly spread: enough to tell two functions apart."""


@dataclass(frozen=True)
class Measurement:
    """What a network and a loss make of the fixed batch."""

    logits: Mapping[str, Tensor]
    """In evaluation (`eval`) and in training (`train`)."""
    losses: Mapping[str, float]
    """Of the training logits, as they are (`train`) and eight times as large (`confident`)."""
    gradients: Mapping[str, Tensor]
    """By name of the parameter, thinned out; and by `confident`, of those logits."""


@dataclass(frozen=True)
class NetworkProbe:
    """A network as it is probed."""

    config: TrialConfig
    """With the network narrowed."""
    channels: int
    side_px: int
    """Size at which it is measured."""
    size_px: int
    """Size at which it is to be trained."""

    @property
    def name(self) -> str:
        return self.config.model.name

    def build(self, seed: int = 0) -> nn.Module:
        """Build it as the engine does."""
        return build_network(self.config, in_channels=self.channels, seed=seed, numerics=NUMERICS)

    def batch(self, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Return scaled images (3,C,H,W) and their target (3,1,H,W), the last without an object."""
        pairs = [scenes.draw(self.side_px, self.channels, 3 * seed + n) for n in range(3)]
        images = torch.from_numpy(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2).float()
        target = torch.from_numpy(np.stack([mask for _, mask in pairs])).unsqueeze(1).float()
        return ((images - 127.5) / 64).contiguous(memory_format=torch.channels_last), target


def measure(probe: NetworkProbe, criterion: nn.Module, seed: int) -> Measurement:
    """Run a network and a loss forward and backward on the fixed batch."""
    network = probe.build(seed)
    images, target = probe.batch(seed)
    parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
    with seeded(seed, CPU):
        with torch.no_grad():
            evaluated = network.eval()(images)
        trained = network.train()(images)
        confident = (8 * trained.detach()).requires_grad_()
        values = {"train": criterion(trained, target), "confident": criterion(confident, target)}
    found = dict.fromkeys(parameters)
    if values["train"].requires_grad:
        gradients = torch.autograd.grad(values["train"], [*parameters.values()], allow_unused=True)
        found = dict(zip(parameters, gradients, strict=True))
    if values["confident"].requires_grad:
        (found["confident"],) = torch.autograd.grad(values["confident"], [confident], allow_unused=True)
    return Measurement(
        logits={"eval": evaluated, "train": trained.detach()},
        losses={name: value.item() for name, value in values.items()},
        gradients={
            name: torch.zeros(1) if gradient is None else thinned(gradient)
            for name, gradient in found.items()
        },
    )


def thinned(values: Tensor) -> Tensor:
    """Return at most `_MOST_KEPT` elements, evenly spread."""
    flat = values.detach().flatten()
    return flat[:: -(-len(flat) // _MOST_KEPT)].clone()


def one_line(error: Exception) -> str:
    """Write an error on one line, with the innermost place that is not in a library."""
    if isinstance(error, SegbenchError):
        return " ".join(str(error).split()).rstrip(".")
    lines = str(error).strip().splitlines() or [""]
    text = f"{type(error).__name__}: {lines[0].rstrip('.')}"
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename and Path(__file__).name not in frame.filename
    ]
    return f"{text} ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else text


@contextmanager
def quiet() -> Iterator[None]:
    """Run a block in the probes' arithmetic and leave the process's generators as they were."""
    with NUMERICS.active(), seeded(0, CPU):
        yield


def check_runs(probe: NetworkProbe) -> NetworkProbe:
    """Return the probe where it runs forward; raise what it raises."""
    images, target = probe.batch()
    with torch.no_grad(), quiet():
        logits = probe.build().train()(images)
    if not isinstance(logits, Tensor) or logits.shape != target.shape:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"logits must have the shape {tuple(target.shape)}, got {got}")
    return probe


def narrowed(model: Choice, least_width: int) -> Iterator[Choice]:
    """Yield a model with the widths to try, its own last."""
    width = model.knobs.get("width")
    if isinstance(width, int):
        for narrow in WIDTHS:
            if least_width <= narrow < width:
                yield Choice(model.name, {**model.knobs, "width": narrow})
    yield model


def unfetched(model: Choice) -> Choice:
    """Return a model without pretrained weights, which a probe does not download."""
    knob = registry.find("model", model.name).knobs.get("weights")
    if knob is None:
        return model
    takes_word = knob.default == "none" or "'none'" in knob.annotation
    return Choice(model.name, {**model.knobs, "weights": "none" if takes_word else None})


def sides(model: Choice, size_px: int) -> tuple[int, ...]:
    """Return the sizes to try: a small one, that of the experiment, one whose maps are larger."""
    multiple = size_multiple(model.name, model.knobs) or 1
    small = max(2 * multiple, -(-SMALL_PX // multiple) * multiple)
    return tuple(dict.fromkeys((min(size_px, small), size_px, max(size_px, small))))
