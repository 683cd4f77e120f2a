"""Guards that build every network and run it: is it a function of its images and its saved state alone?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from segbench.config.trial import TrialConfig
from segbench.engine.instruments import parameters_without_gradient
from segbench.engine.numerics import seeded
from segbench.errors import message
from segbench.guards.finding import Severity, guard
from segbench.guards.probes import CPU, NetworkProbe, Probes, one_line, quiet

_MOST_NAMED = 5


@guard("SB124", Severity.ERROR)
def levels_can_be_built(probes: Probes) -> Iterator[str]:
    """What a level asks for can be built, and runs forward and backward on three pictures."""
    yield from probes.failures


@guard("SB104", Severity.WARNING)
def is_deterministic_in_evaluation(probes: Probes) -> Iterator[str]:
    """In evaluation equal images give equal logits, and nothing in the network changes."""
    for probe in probes.networks():
        with quiet():
            drawn_in, changed = _evaluate_twice(probe)
        where = probes.place("model")
        if drawn_in is not None:
            rule = f"{probe.name} gives other logits for the same images in evaluation; they differ from"
            see = "Draw only where `self.training` is True, and make parameters in __init__"
            yield message(where, f"{rule} {drawn_in} on", see=see)
        if changed:
            rule = f"{probe.name} changes its state in evaluation ({first_few(changed)})"
            yield message(where, rule, see="Move running values only where `self.training` is True")


@guard("SB105", Severity.ERROR)
def is_saved_whole(probes: Probes) -> Iterator[str]:
    """Every tensor that the logits depend on is saved: the state of one network makes another like it."""
    for probe in probes.networks():
        with quiet():
            problem = _unsaved_state(probe)
        if problem is not None:
            see = "Make every weight in __init__ as an nn.Parameter, a module or a buffer"
            yield message(probes.place("model"), f"{probe.name} {problem}", see=see)


@guard("SB106", Severity.WARNING)
def trains_every_parameter(probes: Probes) -> Iterator[str]:
    """The gradient of the logits reaches every parameter that is trained."""
    for probe in probes.networks():
        with quiet():
            names = parameters_without_gradient(probe.build(0), probe.batch(0)[0])
            if names:  # a unit may be dead at one start; what nothing uses is without gradient at every one
                again = parameters_without_gradient(probe.build(1), probe.batch(1)[0])
                names = tuple(name for name in names if name in again)
        if names:
            rule = f"{probe.name} has {len(names)} parameters without gradient ({first_few(names)})"
            see = "They stay as they were drawn: use them in forward, or take them out"
            yield message(probes.place("model"), rule, see=see)


def first_few(names: Any) -> str:
    """Write the first few names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _evaluate_twice(probe: NetworkProbe) -> tuple[str | None, list[str]]:
    """Return the innermost module at which two evaluations part, and the entries of the state that move."""
    network, (images, _) = probe.build().eval(), probe.batch()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first, second = (_outputs(network, images, seed) for seed in (1, 2))
    after = network.state_dict()
    changed = [name for name, value in before.items() if name in after and not _agree(value, after[name])]
    parted = (
        one[0]
        for one, other in zip(first, second, strict=False)
        if one[0] != other[0] or not _agree(one[1], other[1])
    )
    return next(parted, None), changed


def _outputs(network: nn.Module, images: Tensor, seed: int) -> list[tuple[str, Tensor]]:
    """Return (module, output) in the order in which modules finish: inner ones before outer ones."""
    found: list[tuple[str, Tensor]] = []

    def keep(name: str) -> Any:
        def hook(module: nn.Module, given: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                found.append((f"{name} ({type(module).__name__})", output.detach().clone()))

        return hook

    handles = [
        module.register_forward_hook(keep(name or "the network's own forward"))
        for name, module in network.named_modules()
    ]
    try:
        with torch.no_grad(), seeded(seed, CPU):
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _unsaved_state(probe: NetworkProbe) -> str | None:
    """Say what of a network is made in forward, or is lost where its state is loaded into a second one."""
    first, (images, _) = probe.build(0), probe.batch()
    made: dict[str, None] = {}

    def note(module: nn.Module, name: str, parameter: Any) -> None:
        if parameter is not None:
            made.setdefault(f"{type(module).__name__}.{name}")

    handle = register_module_parameter_registration_hook(note)
    try:
        with torch.no_grad(), seeded(0, CPU):
            first.train()(images)  # moves running statistics too
    finally:
        handle.remove()
    if made:
        where = f"makes parameters in forward ({first_few(made)})"
        return f"{where}: random at each call, never trained and never saved"
    saved, second = first.state_dict(), probe.build(1)
    apart = sorted(saved.keys() ^ second.state_dict().keys())
    if apart:
        return f"has another state after a forward pass ({first_few(apart)})"
    second.load_state_dict(saved)
    logits = []
    for network in (first, second):
        with torch.no_grad(), seeded(0, CPU):
            logits.append(network.eval()(images))
    if _agree(*logits):
        return None
    others = _unsaved(second)
    lost = [name for name, value in _unsaved(first).items() if not _agree(value, others.get(name))]
    what = f"the state misses {first_few(lost)}" if lost else "the state misses something that forward uses"
    return f"gives other logits once its state is loaded into a second network: {what}"


def _unsaved(network: nn.Module) -> dict[str, Tensor]:
    """Return tensors that the state does not hold: plain attributes, buffers that are not persistent."""
    saved = network.state_dict().keys()
    return {
        path: value
        for prefix, module in network.named_modules()
        for name, value in {**vars(module), **module._buffers}.items()
        if isinstance(value, Tensor) and (path := f"{prefix}.{name}".lstrip(".")) not in saved
    }


def _agree(first: Tensor, second: Tensor | None) -> bool:
    if second is None or first.shape != second.shape:
        return False
    return torch.allclose(first.double(), second.double(), rtol=1e-6, atol=1e-7, equal_nan=True)


# Guards about sizes of feature maps and batches: the narrow network at the size of the experiment.


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
            rule = f"the feature maps of {probe.name} shrink to 1x1 ({first_few(names)})"
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
