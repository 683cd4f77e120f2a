"""Guards about sizes of feature maps and batches: the narrow network at the size of the experiment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor, nn

from segbench.config.trial import TrialConfig
from segbench.errors import message
from segbench.sweep.checks.finding import Severity, guard
from segbench.sweep.checks.networks import listed
from segbench.sweep.checks.probe import NetworkProbe, one_line, quiet
from segbench.sweep.checks.probes import Probes

_SINGLE: Final = (1, 1)
_POOLS: Final = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


@guard("SB107", Severity.ERROR)
def takes_single_images(probes: Probes) -> Iterator[str]:
    """A single image can be evaluated; and trained on, where a batch will hold one."""
    where = probes.place("model")
    for probe in probes.networks():
        error = _shapes(probes, probe).evaluation_error
        if error is not None:
            see = "Images are predicted one by one: nothing in evaluation may need a second one"
            yield message(where, f"{probe.name} fails on a single image in evaluation: {error}", see=see)
    for config, probe in _with_single_images(probes):
        shapes = _shapes(probes, probe)
        error = shapes.error(1, probe.size_px, training=True)
        if error is not None and shapes.error(2, probe.size_px, training=True) is None:
            is_last = config.batch_size > 1
            cause = "the last batch of an epoch holds one" if is_last else "every batch holds one"
            rule = f"{probe.name} fails in training on a single image, and {cause}: {error}"
            see = "Choose a batch_size that leaves no image alone, or a norm without batch statistics"
            yield message(where, rule, got=config.batch_size, see=see)


@guard("SB108", Severity.ERROR)
def trains_at_its_size(probes: Probes) -> Iterator[str]:
    """No layer refuses the feature maps that images of this size give."""
    for probe in probes.networks():
        shapes = _shapes(probes, probe)
        error = shapes.training_error
        if error is not None:
            rule = f"{probe.name} fails in training at this size: {error}"
            see = _advice(shapes.least_trainable())
            yield message(probes.place("dataset.size_px"), rule, got=probe.size_px, see=see)


@guard("SB108", Severity.WARNING)
def keeps_maps_wide(probes: Probes) -> Iterator[str]:
    """No feature map shrinks to 1x1, where a 3x3 convolution sees nothing but its padding."""
    for probe in probes.networks():
        shapes = _shapes(probes, probe)
        if shapes.evaluation_error is not None or shapes.training_error is not None:
            continue
        names = shapes.shrunk(probe.size_px)
        if names:
            rule = f"the feature maps of {probe.name} shrink to 1x1 ({listed(names)})"
            see = _advice(shapes.least_wide())
            yield message(probes.place("dataset.size_px"), rule, got=probe.size_px, see=see)


@dataclass(frozen=True)
class _Map:
    """A feature map that a module gave."""

    name: str
    size: tuple[int, int]
    is_pooled: bool
    """Whether the module pools to a size that it is given."""


class _Shapes:
    """A network that is asked what images of a size become in it."""

    def __init__(self, probe: NetworkProbe) -> None:
        self._channels = probe.channels
        self._size_px = probe.size_px
        self._network = probe.build()
        self._errors: dict[tuple[int, int, bool], str | None] = {}

    @cached_property
    def evaluation_error(self) -> str | None:
        """What the network raises on a single image of the experiment's size in evaluation."""
        try:
            self._maps_at_size = self._maps(self._size_px)
        except Exception as error:  # whatever it raises is the answer
            return one_line(error)
        return None

    @cached_property
    def training_error(self) -> str | None:
        """What it raises in training at that size: asked only where a map of 1x1 gives it a reason."""
        if self.evaluation_error is None and not _single(self._maps_at_size):
            return None
        return self.error(2, self._size_px, training=True)

    def error(self, num_images: int, side: int, *, training: bool) -> str | None:
        """Return what the network raises on so many images of a size, on one line; None where it runs."""
        key = num_images, side, training
        if key not in self._errors:
            try:
                self._run(num_images, side, training=training)
                self._errors[key] = None
            except Exception as error:  # whatever it raises is the answer
                self._errors[key] = one_line(error)
        return self._errors[key]

    def shrunk(self, side: int) -> list[str]:
        """Return the modules whose maps are 1x1 at this size and larger at twice the size.

        Global pooling gives 1x1 at any size and is meant to.
        """
        maps = self._maps_at_size if side == self._size_px else self._maps(side)
        single = _single(maps)
        if not single:
            return []
        at_twice = self._maps(2 * side)
        return list(dict.fromkeys(maps[i].name for i in single if at_twice[i].size != _SINGLE))

    def least_trainable(self) -> int | None:
        """Return the least larger size that can be trained on; None where twice the size cannot."""
        return next((side for side in self._larger() if self.error(2, side, training=True) is None), None)

    def least_wide(self) -> int | None:
        """Return the least larger size without shrunk maps; None where twice the size has them."""
        return next((side for side in self._larger() if not self.shrunk(side)), None)

    def _larger(self) -> range:
        multiple = int(getattr(self._network, "size_multiple", 1))
        first = (self._size_px // multiple + 1) * multiple
        return range(first, max(2 * self._size_px, first) + 1, multiple)

    def _maps(self, side: int) -> list[_Map]:
        found: list[_Map] = []
        handles = [
            module.register_forward_hook(_keep_size(name, found))
            for name, module in self._network.named_modules()
            if not list(module.children())
        ]
        try:
            self._run(1, side, training=False)
        finally:
            for handle in handles:
                handle.remove()
        return found

    def _run(self, num_images: int, side: int, *, training: bool) -> None:
        images = torch.linspace(-1, 1, num_images * self._channels * side * side)
        with quiet(), torch.no_grad():
            self._network.train(training)(images.view(num_images, self._channels, side, side))


def _shapes(probes: Probes, probe: NetworkProbe) -> _Shapes:
    config = probe.config
    shapes: _Shapes = probes.once(
        ("shapes", config.model, config.norm, probe.size_px), lambda: _Shapes(probe)
    )
    return shapes


def _keep_size(name: str, found: list[_Map]) -> Any:
    def hook(module: nn.Module, given: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            found.append(_Map(name, (output.shape[2], output.shape[3]), isinstance(module, _POOLS)))

    return hook


def _single(maps: list[_Map]) -> list[int]:
    """Return the positions of maps of 1x1, without those that a layer of global pooling began."""
    found, is_pooled = [], False
    for position, each in enumerate(maps):
        is_pooled = each.size == _SINGLE and (is_pooled or each.is_pooled)
        if each.size == _SINGLE and not is_pooled:
            found.append(position)
    return found


def _with_single_images(probes: Probes) -> Iterator[tuple[TrialConfig, NetworkProbe]]:
    """Yield each network that a batch of one image will be trained on, with a configuration that does so."""
    seen = set()
    for config in probes.configs:
        probe = probes.network(config)
        if probe is None or 1 not in probes.train_sizes(config):
            continue
        key = repr((probe.config.model, config.norm, config.batch_size, probe.size_px))
        if key not in seen:
            seen.add(key)
            yield config, probe


def _advice(side: int | None) -> str:
    return "A size twice as large does not help" if side is None else f"The least size that works is {side}"
