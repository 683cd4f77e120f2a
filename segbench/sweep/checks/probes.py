"""What the levels of an experiment build, each thing once, whichever guards ask for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from segbench import registry
from segbench.axes import loss as losses
from segbench.config.experiment import Cell, Experiment
from segbench.config.trial import Choice, TrialConfig, canonical_json
from segbench.data import build_source
from segbench.data.batched import BatchAugmentation, device_steps
from segbench.data.parts import split_samples
from segbench.engine.numerics import seeded
from segbench.errors import message
from segbench.sweep.checks import scenes
from segbench.sweep.checks.probe import (
    CPU,
    NUMERICS,
    Measurement,
    NetworkProbe,
    check_runs,
    measure,
    narrowed,
    one_line,
    sides,
    unfetched,
)

Built = TypeVar("Built")


class Probes:
    """What the levels of an experiment build; whatever cannot be built is a failure, found once."""

    def __init__(self, experiment: Experiment, cells: Iterable[Cell]) -> None:
        self.experiment = experiment
        self.cells = tuple(cells)
        self._known: dict[str, Any] = {}
        self._failures: dict[str, None] = {}

    @property
    def configs(self) -> tuple[TrialConfig, ...]:
        """The configurations of the cells."""
        return tuple(cell.config for cell in self.cells)

    @property
    def failures(self) -> tuple[str, ...]:
        """Build all that the cells ask for; return what could not be built, one line each."""
        for config in self.configs:
            self.network(config)
            self.criterion(config.loss)
            self.augmentation(config)
            if self.network(config) is not None and self.criterion(config.loss) is not None:
                self.measured(config)
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
        for config in self.configs:
            probe = self.network(config)
            if probe is not None:
                found[_key("network", probe.config.model, config.norm, probe.size_px)] = probe
        yield from found.values()

    def network(self, config: TrialConfig, *, least_width: int = 0) -> NetworkProbe | None:
        """Return the narrowest network that works, at least so wide; None where none does."""
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
        found: NetworkProbe | None = self.once(key, find)
        return None if found is None else replace(found, config=replace(config, model=found.config.model))

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
                augment(*scenes.draw(size_px, channels, 0), seed)
            if config.augment_backend == "device":
                BatchAugmentation(device_steps(config))
            return augment

        key = ("augment", choice, config.augment_backend, size_px, channels)
        return self.once(key, lambda: self._attempt(self.place("augment"), choice.name, build))

    def measured(self, config: TrialConfig, *, least_width: int = 0, seed: int = 0) -> Measurement | None:
        """Return what the narrowed network and the loss of a configuration do; None where they fail."""
        probe = self.network(config, least_width=least_width)
        criterion = self.criterion(config.loss)
        if probe is None or criterion is None:
            return None
        key = ("measured", probe.config.model, config.norm, config.init, config.loss, probe.size_px, seed)
        name = f"{config.model.name} with {' + '.join(term.name for term in config.loss)}"
        return self.once(
            key, lambda: self._attempt(self.place("loss"), name, lambda: measure(probe, criterion, seed))
        )

    def once(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """Return what `make` gives, made once for a key of choices and plain values."""
        text = _key(*key)
        if text not in self._known:
            self._known[text] = make()
        return self._known[text]

    def _source(self, config: TrialConfig) -> Any:
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


def _key(*parts: Any) -> str:
    return canonical_json([_plain(part) for part in parts])


def _plain(part: Any) -> Any:
    if isinstance(part, Choice):
        return part.to_json()
    return [_plain(each) for each in part] if isinstance(part, tuple) else part
