"""How one network is built and measured before anything is trained: narrow, small, on a CPU.

A probe is the network of a configuration at the smallest width that builds with its norm, with weights
drawn as the engine draws them, on three fixed pictures of at most `SMALL_PX` or the least size that leaves
maps of 2x2, whichever is larger. Pretrained weights are not fetched. What is measured depends on the
configuration alone, in float32.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from segbench import registry
from segbench.axes import loss as losses
from segbench.axes.dataset import Source
from segbench.config.experiment import Cell, Experiment
from segbench.config.trial import Choice, Keys, TrialConfig
from segbench.data import build_source
from segbench.data.batched import BatchAugmentation, device_steps
from segbench.data.prepared import split_samples
from segbench.engine.network import build_network
from segbench.engine.numerics import Numerics, seeded
from segbench.errors import SegbenchError, message
from segbench.sizes import size_multiple

_OBJECTS = ((0.36, 0.62, 0.17, 0.25), (0.68, 0.34, 0.22, 0.12), (0.42, 0.33, 0.14, 0.2))
"""Centre row and column, half height and half width, in sides: nothing about them is symmetric."""

_DARK, _BRIGHT = 60.0, 190.0


def draw_scene(size_px: int, channels: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw an object with a satellite on uneven ground; every third picture has no object.

    Returns:
        Image (H,W,C) uint8 and mask (H,W) uint8 in {0, 1}.
    """
    rows, columns = np.mgrid[:size_px, :size_px] / size_px
    mask = np.zeros((size_px, size_px), np.uint8) if number % 3 == 2 else _object(rows, columns, number)
    ground = _DARK + 25 * np.sin(7 * rows + number) * np.cos(5 * columns) + 30 * columns
    texture = 12 * np.sin(40 * rows + 3 * number) * np.sin(37 * columns)
    planes = [
        ground + (0.6 + 0.2 * c) * 90 * mask + (1 + c % 3) * texture / 2 + 9 * c for c in range(channels)
    ]
    return np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8), mask


def draw_mask_as_image(size_px: int, channels: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw an object and an image that shows its mask: bright where the object is, dark elsewhere."""
    rows, columns = np.mgrid[:size_px, :size_px] / size_px
    mask = _object(rows, columns, number)
    plane = np.where(mask == 1, _BRIGHT, _DARK).astype(np.uint8)
    return np.repeat(plane[..., None], channels, axis=-1), mask


def _object(rows: np.ndarray, columns: np.ndarray, number: int) -> np.ndarray:
    row, column, height, width = _OBJECTS[number % len(_OBJECTS)]
    body = ((rows - row) / height) ** 2 + ((columns - column) / width) ** 2 <= 1
    satellite = (rows - row - 1.2 * height) ** 2 + (columns - column + 0.9 * width) ** 2 <= 0.06**2
    return (body | satellite).astype(np.uint8)


SMALL_PX: Final = 64
WIDTHS: Final = (8, 16, 32)
"""Widths that are tried in turn, below the network's own."""

CPU: Final = torch.device("cpu")
NUMERICS: Final = Numerics(CPU, "fp32", 1)
"""One thread: the same numbers on every machine. On two, torch 2.15 damages its heap in the backward pass of
a ResNet-U-Net of width 8 in channels_last, which ends the process."""

DRAWN: Final = ("dataset", "augment", "augment_backend")
"""Fields that decide what an augmentation draws from."""

_MOST_FORWARDS: Final = 2
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

    @cached_property
    def sizes(self) -> Mapping[str, float]:
        """The largest logit of each kind: where these differ, so do the networks."""
        return {name: float(values.abs().max()) for name, values in self.logits.items()}

    @cached_property
    def gradient_sizes(self) -> np.ndarray:
        """The largest element of each gradient, in order of their names; 0 of an empty one."""
        sizes = [float(v.abs().max()) if v.numel() else 0.0 for _, v in sorted(self.gradients.items())]
        return np.array(sizes)


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
        pairs = [draw_scene(self.side_px, self.channels, 3 * seed + n) for n in range(3)]
        images = torch.from_numpy(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2).float()
        target = torch.from_numpy(np.stack([mask for _, mask in pairs])).unsqueeze(1).float()
        return ((images - 127.5) / 64).contiguous(memory_format=torch.channels_last), target


@dataclass(frozen=True)
class Forward:
    """A network that was run on the fixed batch, ready for the gradients of any loss."""

    parameters: Mapping[str, nn.Parameter]
    evaluated: Tensor
    trained: Tensor
    """With its graph."""
    target: Tensor
    seed: int

    @classmethod
    def of(cls, probe: NetworkProbe, seed: int) -> Forward:
        """Build the network and run it, in evaluation and in training."""
        network = probe.build(seed)
        images, target = probe.batch(seed)
        parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        with seeded(seed, CPU):
            with torch.no_grad():
                evaluated = network.eval()(images)
            return cls(parameters, evaluated, network.train()(images), target, seed)


def measure(forward: Forward, criterion: nn.Module) -> Measurement:
    """Take a loss of what a network gave, and its gradients."""
    trained = forward.trained
    confident = (8 * trained.detach()).requires_grad_()
    with seeded(forward.seed, CPU):
        values = {
            "train": criterion(trained, forward.target),
            "confident": criterion(confident, forward.target),
        }
    found = dict.fromkeys(forward.parameters)
    if values["train"].requires_grad:
        wanted = [*forward.parameters.values()]
        gradients = torch.autograd.grad(values["train"], wanted, allow_unused=True, retain_graph=True)
        found = dict(zip(forward.parameters, gradients, strict=True))
    if values["confident"].requires_grad:
        (found["confident"],) = torch.autograd.grad(values["confident"], [confident], allow_unused=True)
    return Measurement(
        logits={"eval": forward.evaluated, "train": trained.detach()},
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


# What the levels of an experiment build, each thing once, whichever guards ask for it.


Built = TypeVar("Built")


class Probes:
    """What the levels of an experiment build; whatever cannot be built is a failure, found once."""

    def __init__(self, experiment: Experiment, cells: Iterable[Cell]) -> None:
        self.experiment = experiment
        self.cells = tuple(cells)
        self.keys = Keys()
        self._known: dict[tuple[str, ...], Any] = {}
        self._distinct: dict[tuple[str, ...], tuple[TrialConfig, ...]] = {}
        self._forwards: dict[tuple[str, ...], Forward] = {}
        self._measured: dict[tuple[int, int, int], tuple[TrialConfig, Measurement | None]] = {}
        self._failures: dict[str, None] = {}

    def distinct(self, *names: str) -> tuple[TrialConfig, ...]:
        """Return one configuration for every combination of some fields that occurs, the first of it.

        Every guard asks in this way: 10,000 cells of 100 learning rates and 100 losses are one network.
        """
        if names not in self._distinct:
            found: dict[tuple[str, ...], TrialConfig] = {}
            for cell in self.cells:
                key = self.keys.of(*(getattr(cell.config, name) for name in names))
                found.setdefault(key, cell.config)
            self._distinct[names] = tuple(found.values())
        return self._distinct[names]

    @property
    def failures(self) -> tuple[str, ...]:
        """Build all that the cells ask for; return what could not be built, one line each."""
        for config in self.distinct("dataset", "model", "norm", "init", "loss"):
            if self.network(config) is not None and self.criterion(config.loss) is not None:
                self.measured(config)
        for config in self.distinct("loss"):
            self.criterion(config.loss)
        for config in self.distinct(*DRAWN):
            self.augmentation(config)
        return tuple(self._failures)

    def place(self, axis: str) -> str:
        """How messages name a field of the experiment."""
        return f"{self.experiment.name}: {axis}"

    def image_shape(self, config: TrialConfig) -> tuple[int, int]:
        """Return side and channels of the images that a configuration trains on."""
        source = self.once(("source", config.dataset), lambda: self._source(config))
        return int(source.size_px), int(source.channels)

    def train_sizes(self, config: TrialConfig) -> frozenset[int]:
        """Return the sizes that batches have in training, of all folds."""

        def sizes() -> frozenset[int]:
            source = self._source(config)
            counts = [len(fold["train"]) for fold in split_samples(config, source)]
            batch = config.batch_size
            return frozenset(min(batch, n) for n in counts) | {n % batch for n in counts if n % batch}

        key = ("sizes", config.dataset, config.split, config.max_images, config.batch_size)
        return self.once(key, sizes)

    def networks(self) -> Iterator[NetworkProbe]:
        """Yield each network that could be built once, whatever loss or augmentation stands beside it."""
        found = {}
        for config in self.distinct("dataset", "model", "norm", "init"):
            probe = self.network(config)
            if probe is not None:
                found[self.keys.of(probe.config.model, config.norm, probe.size_px)] = probe
        yield from found.values()

    def network(self, config: TrialConfig, *, least_width: int = 0) -> NetworkProbe | None:
        """Return the narrowest network that works, at least so wide; None where none does."""
        found = self._narrowest(config, least_width)
        return None if found is None else replace(found, config=replace(config, model=found.config.model))

    def _narrowest(self, config: TrialConfig, least_width: int) -> NetworkProbe | None:
        """Return a probe as `network` does, its configuration the first one of such a network."""
        size_px, channels = self.image_shape(config)

        def find() -> NetworkProbe | None:
            own = NetworkProbe(replace(config, model=unfetched(config.model)), channels, size_px, size_px)
            for model in narrowed(own.config.model, least_width):
                for side_px in sides(config.model, size_px):
                    probe = replace(own, config=replace(config, model=model), side_px=side_px)
                    with suppress(Exception):  # perhaps too narrow or too small: the next may do
                        check_runs(probe)
                        return probe
            return self._attempt(self.place("model"), own.name, lambda: check_runs(own))

        key = ("network", config.model, config.norm, config.init, size_px, channels, least_width)
        return self.once(key, find)

    def criterion(self, terms: tuple[Choice, ...]) -> nn.Module | None:
        """Return the weighted sum of loss terms; None where it cannot be built or fails on a batch."""

        def build() -> nn.Module:
            criterion = losses.build(terms)
            target = torch.zeros(2, 1, 16, 16)
            target[0, :, 3:9, 2:11] = 1
            with seeded(0, CPU):
                criterion(torch.linspace(-2, 2, 512).view(2, 1, 16, 16).requires_grad_(), target).item()
            return criterion

        names = " + ".join(term.name for term in terms)
        return self.once(("loss", terms), lambda: self._attempt(self.place("loss"), names, build))

    def augmentation(self, config: TrialConfig) -> Callable[..., tuple[np.ndarray, np.ndarray]] | None:
        """Return the augmentation of a configuration; None where it cannot be built or fails on a picture."""
        choice, (size_px, channels) = config.augment, self.image_shape(config)

        def build() -> Any:
            augment = registry.build("augment", choice.name, **choice.knobs)
            for seed in range(24):  # a step that fails may be drawn seldom
                augment(*draw_scene(size_px, channels, 0), seed)
            if config.augment_backend == "device":
                BatchAugmentation(device_steps(config))
            return augment

        key = ("augment", choice, config.augment_backend, size_px, channels)
        return self.once(key, lambda: self._attempt(self.place("augment"), choice.name, build))

    def measured(self, config: TrialConfig, *, least_width: int = 0, seed: int = 0) -> Measurement | None:
        """Return what the narrowed network and the loss of a configuration do; None where they fail."""
        key = id(config), least_width, seed
        if key not in self._measured:
            self._measured[key] = config, self._measure(config, least_width, seed)
        return self._measured[key][1]

    def _measure(self, config: TrialConfig, least_width: int, seed: int) -> Measurement | None:
        probe = self._narrowest(config, least_width)
        criterion = self.criterion(config.loss)
        if probe is None or criterion is None:
            return None
        built = ("forward", probe.config.model, config.norm, config.init, probe.size_px, seed)
        name = f"{config.model.name} with {' + '.join(term.name for term in config.loss)}"

        def look() -> Measurement:
            whole = replace(probe, config=replace(config, model=probe.config.model))
            return measure(self._forward(built, partial(Forward.of, whole, seed)), criterion)

        return self.once((*built, config.loss), lambda: self._attempt(self.place("loss"), name, look))

    def once(self, key: tuple[Any, ...], make: Callable[[], Built]) -> Built:
        """Return what `make` gives, made once for a key of choices and plain values."""
        written = self.keys.of(*key)
        if written not in self._known:
            self._known[written] = make()
        known: Built = self._known[written]
        return known

    def _forward(self, key: tuple[Any, ...], run: Callable[[], Forward]) -> Forward:
        """Return a network's run, which the next losses share; kept of the last few networks."""
        written = self.keys.of(*key)
        if written not in self._forwards:
            while len(self._forwards) >= _MOST_FORWARDS:
                del self._forwards[next(iter(self._forwards))]
            self._forwards[written] = run()
        return self._forwards[written]

    def _source(self, config: TrialConfig) -> Source:
        return build_source(config, self.experiment.project)

    def _attempt(self, where: str, name: str, make: Callable[[], Built]) -> Built | None:
        """Return what is made; where that fails, one line about it is kept, and None returned."""
        try:
            with NUMERICS.active():
                return make()
        except Exception as error:  # whatever a user's code raises is the answer
            rule = f"{name} cannot be used: {one_line(error)}"
            self._failures.setdefault(
                message(where, rule, see="`segbench check FILE` runs a variant by itself")
            )
            return None
