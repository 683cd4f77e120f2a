"""Guards that compare what the levels of an axis build, and the run of all guards that build.

Two levels are one function where every part of their configurations does the same: steps on given
gradients, draws, outputs, losses and gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import combinations
from math import ceil, comb
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from segbench import registry
from segbench.config.experiment import Axis, Cell, Experiment
from segbench.config.pairing import Pairing
from segbench.config.trial import DECLARED, Choice, TrialConfig
from segbench.errors import message
from segbench.guards.finding import Finding, Guard, Severity, guard, guards, sorted_findings
from segbench.guards.networks import first_few
from segbench.guards.probes import WIDTHS, Measurement, NetworkProbe, Probes, draw_scene, one_line, quiet
from segbench.streams import stream_seed

_RTOL: Final = 1e-9
_STEPS_AN_EPOCH: Final = 4
_EPOCHS_STEPPED: Final = 3
_OBJECTIVES: Final = (
    lambda epoch: 0.01 * epoch,  # keeps improving
    lambda epoch: 0.5,  # stands still
    lambda epoch: 0.5 - abs(epoch - 4) / 100,  # turns
)
"""Courses of the objective that a schedule may answer to."""


@dataclass(frozen=True)
class Steps:
    """What optimiser, clipping and schedule of a configuration do with given gradients."""

    rates: np.ndarray
    path: tuple[Tensor, ...]

    @classmethod
    def of(cls, config: TrialConfig) -> Steps:
        """Take the steps."""
        with quiet():
            rates = list(_rates(config))
            return cls(np.array(rates, np.float32).astype(np.float64), tuple(_path(config, rates)))

    @cached_property
    def sizes(self) -> np.ndarray:
        """The largest element of each step: where these differ, so do the steps."""
        return np.array([float(step.abs().max()) for step in self.path])

    def agree_with(self, other: Steps) -> bool:
        """Whether both are alike up to rounding; told by few numbers where they are not."""
        arrays = (self.rates, other.rates), (self.sizes, other.sizes)
        if not all((np.abs(a - b) <= _RTOL * np.maximum(np.abs(a), np.abs(b))).all() for a, b in arrays):
            return False
        return all(_agree(a, b) for a, b in zip(self.path, other.path, strict=True))


def take_equal_steps(
    one: TrialConfig, other: TrialConfig, steps: Callable[[TrialConfig], Steps] = Steps.of
) -> bool:
    """Whether two configurations change weights alike wherever their gradients are the same.

    Args:
        one: A configuration.
        other: One with as many epochs.
        steps: Takes the steps of a configuration, or remembers them.
    """
    if (one.optimizer, one.schedule, one.grad_clip) == (other.optimizer, other.schedule, other.grad_clip):
        return True
    lrs = one.optimizer.knobs.get("lr"), other.optimizer.knobs.get("lr")
    if one.optimizer.name == other.optimizer.name and one.schedule == other.schedule and lrs[0] != lrs[1]:
        return False  # known without a step, which would import the compiler
    return steps(one).agree_with(steps(other))


def _rates(config: TrialConfig) -> Iterator[float]:
    """Yield the schedule's factor over all epochs, a few steps each, for every course of the objective."""
    factor = registry.build("schedule", config.schedule.name, **config.schedule.knobs)
    courses = _OBJECTIVES if getattr(factor, "is_adaptive", False) else _OBJECTIVES[:1]
    for course in _OBJECTIVES:
        done: list[float] = []
        for epoch in range(1, config.epochs + 1):
            for step in range(_STEPS_AN_EPOCH):
                at = epoch + step / _STEPS_AN_EPOCH if getattr(factor, "is_per_step", False) else epoch
                yield factor(at, config.epochs, done) if len(courses) > 1 else factor(at, config.epochs)
            done = [*done, course(epoch)]


def _path(config: TrialConfig, rates: Sequence[float]) -> Iterator[Tensor]:
    """Return the parameters after each of a few steps; gradients are small, middling and large in turn."""
    draw = torch.Generator().manual_seed(0)
    parameters = [
        nn.Parameter(torch.randn(shape, generator=draw, dtype=torch.float64))
        for shape in ((4, 3, 3, 3), (4,))
    ]
    optimizer = registry.build("optimizer", config.optimizer.name, parameters, **config.optimizer.knobs)
    bases = [float(group["lr"]) for group in optimizer.param_groups]
    path = []
    for step in range(_EPOCHS_STEPPED * _STEPS_AN_EPOCH):
        for group, base in zip(optimizer.param_groups, bases, strict=True):
            group["lr"] = base * rates[step % len(rates)]
        for parameter in parameters:
            noise = torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
            parameter.grad = noise * 10.0 ** (step % 4 - 2)
        if config.grad_clip is not None:
            nn.utils.clip_grad_norm_(parameters, config.grad_clip)
        before = [parameter.detach().clone() for parameter in parameters]
        optimizer.step()
        path += [parameter.detach() - old for parameter, old in zip(parameters, before, strict=True)]
    return iter(path)


def _agree(one: Tensor, other: Tensor) -> bool:
    size = max(float(one.abs().max()), float(other.abs().max()))
    return float((one - other).abs().max()) <= _RTOL * size


# Whether two configurations are numerically one function, compared part by part.


RTOL: Final = 1e-5
"""Parts of their size by which two results of one function may differ."""

NOISE: Final = 1e-6
"""Parts of the largest gradient below which a gradient is rounding: that of a bias before a norm, say."""

NUM_DRAWS: Final = 400
"""Draws of augmentations that must agree: what differs in one of a hundred draws is found."""

_UNSEEN: Final = tuple(name for name, about in DECLARED.items() if not about.marks.is_probed)
"""Fields that change a trial and that a probe does not see."""

_LIVELY: Final = Choice("he", {"mode": "fan_in", "transposed": True})
"""Starting weights under which features keep their size: without a norm, PyTorch's own let those of the deep
levels die away, and two networks that differ there would look alike."""

_NOT_PROBED: Final = ("width", "weights")
"""Knobs of networks that a probe replaces."""


@dataclass(frozen=True)
class Likeness:
    """How near two configurations are that train alike."""

    difference: float
    """The largest difference of outputs, losses (where they are one function) and gradients, in parts of the
    largest output, loss or gradient."""
    loss_difference: float
    """By how much the losses differ."""
    is_same_function: bool
    """False: only the gradients are the same."""


def likeness(probes: Probes, one: TrialConfig, other: TrialConfig) -> Likeness | None:
    """Return how alike two configurations are, None where they are two functions.

    Compared are fields, input scaling, draws of augmentation and mixing, the path of optimiser, clipping and
    schedule on given gradients, and what networks and losses do on fixed batches; parts that are written
    alike are not run. What looks alike is looked at again with other weights, pictures and a larger width.
    """
    if any(getattr(one, name) != getattr(other, name) for name in _UNSEEN):
        return None
    if any(one.model.knobs.get(name) != other.model.knobs.get(name) for name in _NOT_PROBED):
        return None
    if not (_scale_alike(one, other) and take_equal_steps(one, other)):
        return None
    if (one.augment, one.mix) != (other.augment, other.mix) and not _draw_alike(probes, one, other):
        return None
    parts = (one.model, one.norm, one.init, one.loss), (other.model, other.norm, other.init, other.loss)
    if parts[0] == parts[1]:
        return Likeness(0.0, 0.0, True)
    found = []
    pair = (one, other)
    for seed, least_width in ((0, 0), (1, WIDTHS[1]), (2, 0)):
        first, second = (probes.measured(config, least_width=least_width, seed=seed) for config in pair)
        if first is None or second is None:
            return None
        # Configurations of one network and loss have one measurement.
        compared = probes.once(("compared", id(first), id(second)), partial(compare, first, second))
        if compared is None:
            return None
        found.append(compared)
        if one.init == other.init:
            pair = replace(one, init=_LIVELY), replace(other, init=_LIVELY)
    return Likeness(
        max(each.difference for each in found),
        max(each.loss_difference for each in found),
        all(each.is_same_function for each in found),
    )


def compare(one: Measurement, other: Measurement) -> Likeness | None:
    """Compare what two networks and losses make of one batch; None where they are two functions."""
    sizes = [(size, other.sizes[name]) for name, size in one.sizes.items()]
    if any(abs(a - b) > RTOL * max(a, b) for a, b in sizes) or _sized_apart(one, other):
        return None  # told without a look at every element
    outputs = _largest(one.logits, other.logits, noise=0.0)
    gradients = _largest(one.gradients, other.gradients, noise=NOISE)
    if outputs > RTOL or gradients > RTOL:
        return None
    losses = max(_relative(one.losses[name], other.losses[name]) for name in one.losses)
    apart = max(abs(one.losses[name] - other.losses[name]) for name in one.losses)
    is_same = losses <= RTOL
    parts = (_in_parts(one.logits, other.logits), _in_parts(one.gradients, other.gradients))
    return Likeness(max(*parts, losses if is_same else 0.0), apart, is_same)


def _sized_apart(one: Measurement, other: Measurement) -> bool:
    """Whether the sizes of two gradients alone tell that `_largest` will find them different."""
    if one.gradients.keys() != other.gradients.keys():
        return True
    sizes = one.gradient_sizes, other.gradient_sizes
    apart = np.abs(sizes[0] - sizes[1]) - NOISE * sizes[0].max(initial=0.0)
    return bool((apart > 2 * RTOL * np.maximum(*sizes)).any())


def _largest(one: Mapping[str, Tensor], other: Mapping[str, Tensor], *, noise: float) -> float:
    """Return the largest difference in parts of a tensor's largest element, less rounding."""
    if one.keys() != other.keys() or any(one[name].shape != other[name].shape for name in one):
        return float("inf")
    size = max((float(value.abs().max()) for value in one.values() if value.numel()), default=0.0)
    largest = 0.0
    for name, value in one.items():
        if not value.numel():
            continue
        apart = max(float((value - other[name]).abs().max()) - noise * size, 0.0)
        own = max(float(value.abs().max()), float(other[name].abs().max()))
        if apart != apart:  # NaN: nothing can be said
            return float("inf")
        largest = max(largest, apart / own if own else 0.0)
    return largest


def _in_parts(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """Return the largest difference in parts of the largest element of all."""
    size = max((float(value.abs().max()) for value in one.values() if value.numel()), default=0.0)
    apart = max((float((v - other[n]).abs().max()) for n, v in one.items() if v.numel()), default=0.0)
    return apart / size if size else 0.0


def _relative(one: float, other: float) -> float:
    size = max(abs(one), abs(other))
    return abs(one - other) / size if size else 0.0


def _scale_alike(one: TrialConfig, other: TrialConfig) -> bool:
    if one.input == other.input:
        return True
    # Statistics of no real data: scaling by the data is alike to itself only.
    stats = (101.3, 97.1, 113.7), (61.9, 59.3, 67.7)
    first, second = (
        registry.build("input", config.input.name, lambda: stats, 255.0, **config.input.knobs)
        for config in (one, other)
    )
    return all(
        np.allclose(np.broadcast_to(a, 3), np.broadcast_to(b, 3), rtol=RTOL)
        for a, b in ((first.mean, second.mean), (first.std, second.std))
    )


def _draw_alike(probes: Probes, one: TrialConfig, other: TrialConfig) -> bool:
    if one.mix != other.mix and not _mix_alike(one.mix, other.mix):
        return False
    if one.augment == other.augment:
        return True
    augments = [probes.augmentation(config) for config in (one, other)]
    if augments[0] is None or augments[1] is None:
        return False
    image, mask = draw_scene(*probes.image_shape(one), 0)
    for number in range(NUM_DRAWS):
        seed = stream_seed(number, "guard")
        first, second = (augment(image, mask, seed) for augment in augments if augment is not None)
        if not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True)):
            return False
    return True


def _mix_alike(one: Choice, other: Choice) -> bool:
    images = torch.linspace(-1, 1, 4 * 3 * 16 * 16).view(4, 3, 16, 16)
    target = (images[:, :1].sin() > 0).float()
    first, second = (registry.build("mix", choice.name, **choice.knobs) for choice in (one, other))
    return all(
        torch.equal(a, b)
        for seed in range(NUM_DRAWS)
        for a, b in zip(
            first(images, target, None, seed)[:2], second(images, target, None, seed)[:2], strict=True
        )
    )


# Guards that compare what the levels of an axis build.


_MOST_PAIRS: Final = 500
"""Pairs of cells that are built and compared; of larger designs they are taken evenly, and every pair of
levels at least once."""

_NORMS: Final = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm)


@guard("SB101", Severity.WARNING, asks="probes")
def levels_are_different_functions(probes: Probes) -> Iterator[str]:
    """No two levels of an axis build numerically the same function, or train identically."""
    axes = probes.experiment.axes
    most = max(1, _MOST_PAIRS // max(1, sum(comb(len(axis.labels), 2) for axis in axes)))
    groups = _Groups(probes)
    for axis in axes:
        cells, contexts = _by_label(probes, axis)
        for first, second in combinations(axis.labels, 2):
            one, other = cells.get(first, {}), cells.get(second, {})
            shared = [number for number in one if number in other]
            found = {
                contexts[number]: likeness(probes, one[number].config, other[number].config)
                if groups.of(one[number]) == groups.of(other[number])
                else None
                for number in shared[:: ceil(len(shared) / most) or 1]
            }
            alike = {context: each for context, each in found.items() if each is not None}
            if alike:
                yield _same(probes, axis, (first, second), alike, is_everywhere=len(alike) == len(found))


@guard("SB123", Severity.WARNING, asks="probes")
def norms_are_swapped_everywhere(probes: Probes) -> Iterator[str]:
    """An axis that varies the norm leaves no other norm in place."""
    for rule in _left_in_place(probes, is_declared=False):
        see = "Say so in the text, or use a network that takes its norms from the axis"
        yield message(probes.place("norm"), rule, see=see)


@guard("SB123", Severity.NOTE, asks="probes")
def declared_norms_stay(probes: Probes) -> Iterator[str]:
    """Where `norm_scope` keeps some norms out of the swap, a reader knows which."""
    for rule in _left_in_place(probes, is_declared=True):
        yield message(probes.place("norm"), rule, see="That is what `norm_scope: double_convs` says")


def _by_label(probes: Probes, axis: Axis) -> tuple[dict[str, dict[int, Cell]], tuple[tuple[str, ...], ...]]:
    """Return level of an axis -> number of a context -> cell, and the contexts: the levels of the other axes.

    Two cells of one context make a pair.
    """
    found: dict[str, dict[int, Cell]] = {}
    numbers: dict[tuple[str, ...], int] = {}
    together = Pairing.of(probes.experiment).group(axis.name)
    for cell in probes.cells:
        if axis.name in cell.levels:
            context = tuple(f"{name}={label}" for name, label in cell.levels.items() if name not in together)
            number = numbers.setdefault(context, len(numbers))
            found.setdefault(cell.levels[axis.name], {})[number] = cell
    return found, tuple(numbers)


class _Groups:
    """Numbers cells by what no probe sees and by the steps that they take, each looked at once.

    Two cells that train alike have one number, so networks and losses are compared within a group alone: of a
    hundred learning rates none is.
    """

    def __init__(self, probes: Probes) -> None:
        self._probes = probes
        self._known: dict[str, tuple[str, int]] = {}
        self._first: dict[str, list[TrialConfig]] = {}
        self._stepped: dict[int, Steps] = {}

    def of(self, cell: Cell) -> tuple[str, int]:
        if cell.config_hash not in self._known:
            config = cell.config
            unseen = [getattr(config, name) for name in _UNSEEN]
            unseen += [config.model.knobs.get(name) for name in _NOT_PROBED]
            key = repr(unseen)
            first = self._first.setdefault(key, [])
            number = next((k for k, each in enumerate(first) if self._step_alike(each, config)), len(first))
            if number == len(first):
                first.append(config)
            self._known[cell.config_hash] = key, number
        return self._known[cell.config_hash]

    def _step_alike(self, one: TrialConfig, other: TrialConfig) -> bool:
        return take_equal_steps(one, other, self._steps)

    def _steps(self, config: TrialConfig) -> Steps:
        if id(config) not in self._stepped:  # the configurations are those of cells, which are kept
            key = ("steps", config.optimizer, config.schedule, config.grad_clip, config.epochs)
            self._stepped[id(config)] = self._probes.once(key, lambda: Steps.of(config))
        return self._stepped[id(config)]


def _same(
    probes: Probes,
    axis: Axis,
    labels: tuple[str, str],
    alike: Mapping[tuple[str, ...], Likeness],
    *,
    is_everywhere: bool,
) -> str:
    difference = max(each.difference for each in alike.values())
    if all(each.is_same_function for each in alike.values()):
        rule = "build numerically the same function: outputs, losses and gradients differ by at most"
        rule = f"{rule} {difference:.1g} of the largest"
        see = "What differs between them is the seed's noise: take one of them out"
    else:
        apart = max(each.loss_difference for each in alike.values())
        rule = "train identically: their losses differ in value"
        rule = f"{rule} (by up to {apart:.2g}), their gradients by at most {difference:.1g} of the largest"
        see = "The part of the loss that tells them apart has no gradient: take one of them out"
    at = "" if is_everywhere else " at " + "; ".join(", ".join(shared) for shared in alike)
    first, second = labels
    return message(probes.place(axis.name), f"the levels {first!r} and {second!r}{at} {rule}", see=see)


def _left_in_place(probes: Probes, *, is_declared: bool) -> Iterator[str]:
    """Say which norms of a network are the same in all levels of an axis that swaps norms."""
    found: dict[str, None] = {}
    for axis in probes.experiment.axes:
        for by_norm in _swapped(probes, axis, is_declared=is_declared):
            first, *others = by_norm.values()
            kept = [name for name, norm in first.items() if all(each.get(name) == norm for each in others)]
            if others and kept:
                where = first_few(f"{name}: {first[name].partition('(')[0]}" for name in kept)
                rule = f"{', '.join(by_norm)} take turns, but {len(kept)} of the network's norms"
                found[f"{rule} ({where}) are the same in all levels"] = None
    yield from found


def _swapped(probes: Probes, axis: Axis, *, is_declared: bool) -> list[dict[str, dict[str, str]]]:
    """Return the norms of each network under every norm that an axis gives it, by the norm's name."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    if len({cell.config.norm.name for cell in probes.cells}) < 2:
        return []
    for cell in probes.cells:
        probe = probes.network(cell.config)
        if probe is None or (cell.config.model.knobs.get("norm_scope") == "double_convs") != is_declared:
            continue
        shared = repr([cell.config.model, *(v for k, v in cell.levels.items() if k != axis.name)])
        by_norm = found.setdefault(shared, {})
        if cell.config.norm.name not in by_norm:
            with quiet():
                key = ("norms", probe.config.model, cell.config.norm, probe.size_px)
                by_norm[cell.config.norm.name] = probes.once(key, partial(_norms_of, probe))
    return list(found.values())


def _norms_of(probe: NetworkProbe) -> dict[str, str]:
    return _norms(probe.build())


def _norms(network: nn.Module) -> dict[str, str]:
    """Return the normalisation layers of a network, module by module."""
    return {
        name: repr(module)
        for name, module in network.named_modules()
        if isinstance(module, _NORMS) or type(module).__name__.endswith("Norm")
    }


def check_levels(
    experiment: Experiment,
    cells: Iterable[Cell],
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Finding, ...]:
    """Return what networks, losses and augmentations of some cells tell; errors first.

    Args:
        experiment: The design that the cells are of.
        cells: The cells to look at; levels are compared where both stand among them.
        on_progress: Told (guards done, guards in all).
    """
    probes = Probes(experiment, cells)
    asked = guards("probes")
    found: list[Finding] = []
    for number, each in enumerate(asked, start=1):
        found += _look(each, probes)
        if on_progress is not None:
            on_progress(number, len(asked))
    return sorted_findings(dict.fromkeys(found))


def _look(asked: Guard[Probes], probes: Probes) -> list[Finding]:
    """Put a guard to what was built; where the code of a user raises, that is said instead."""
    try:
        return asked(probes)
    except Exception as error:  # whatever it is, a sweep must not end here
        where = f"{probes.experiment.name}: {asked.code}"
        text = message(where, f"it cannot be told whether the rule holds ({asked.rule}): {one_line(error)}")
        return [Finding("SB124", Severity.WARNING, text)]
