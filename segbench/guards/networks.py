"""Guards that build every network, loss and augmentation by itself and run it.

Is a network a function of its images and its saved state alone? Does a loss take the logits it gets? Does
an augmentation move image and mask together, from the seed alone?
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from segbench.config.trial import Choice, TrialConfig
from segbench.engine.instruments import parameters_without_gradient
from segbench.engine.numerics import seeded
from segbench.errors import message
from segbench.guards.finding import Severity, guard
from segbench.guards.probes import (
    CPU,
    DRAWN,
    NetworkProbe,
    Probes,
    draw_mask_as_image,
    draw_scene,
    one_line,
    quiet,
)
from segbench.streams import stream_seed

_MOST_NAMED = 5


@guard("SB124", Severity.ERROR, asks="probes")
def levels_can_be_built(probes: Probes) -> Iterator[str]:
    """What a level asks for can be built, and runs forward and backward on three pictures."""
    yield from probes.failures


@guard("SB104", Severity.WARNING, asks="probes")
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


@guard("SB105", Severity.ERROR, asks="probes")
def is_saved_whole(probes: Probes) -> Iterator[str]:
    """Every tensor that the logits depend on is saved: the state of one network makes another like it."""
    for probe in probes.networks():
        with quiet():
            problem = _unsaved_state(probe)
        if problem is not None:
            see = "Make every weight in __init__ as an nn.Parameter, a module or a buffer"
            yield message(probes.place("model"), f"{probe.name} {problem}", see=see)


@guard("SB106", Severity.WARNING, asks="probes")
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


@guard("SB107", Severity.ERROR, asks="probes")
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


@guard("SB108", Severity.ERROR, asks="probes")
def trains_at_its_size(probes: Probes) -> Iterator[str]:
    """No layer refuses the feature maps that images of this size give."""
    for probe in probes.networks():
        shapes = _shapes(probes, probe)
        error = shapes.training_error
        if error is not None:
            rule = f"{probe.name} fails in training at this size: {error}"
            see = _advice(shapes.least_trainable())
            yield message(probes.place("dataset.size_px"), rule, got=probe.size_px, see=see)


@guard("SB108", Severity.WARNING, asks="probes")
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
    for config in probes.distinct("dataset", "split", "max_images", "batch_size", "model", "norm", "init"):
        probe = probes.network(config)
        if probe is None or 1 not in probes.train_sizes(config):
            continue
        key = probes.keys.of(probe.config.model, config.norm, config.batch_size, probe.size_px)
        if key not in seen:
            seen.add(key)
            yield config, probe


def _advice(side: int | None) -> str:
    return "A size twice as large does not help" if side is None else f"The least size that works is {side}"


_SATURATED = 20.0
"""Logits at which a sigmoid is 0 or 1 to eight digits."""

_RIGHT = (0.5, 1.0, 4.0)
"""Logits of a right answer, more or less sure."""

_MOST_LEFT = 0.05
"""A perfect answer costs less than this share of an undecided one."""


@guard("SB102", Severity.ERROR, asks="probes", consented=Severity.WARNING)
def terms_have_gradients(probes: Probes) -> Iterator[str]:
    """Every term of a loss has a gradient."""
    for term, criterion in _terms(probes):
        logits = _wavy().clone().requires_grad_()
        with quiet():
            value = criterion(logits, _target())
            if value.requires_grad:
                (gradient,) = torch.autograd.grad(value, [logits], allow_unused=True)
                if gradient is not None and gradient.any():
                    continue
        weight = float(term.knobs.get("weight", 1.0))
        rule = f"the term {term.name} (weight {weight:g}) has no gradient, so nothing learns from it"
        see = "Take it out, or a soft version of it: nothing may be rounded or thresholded"
        yield message(probes.place("loss"), rule, see=see)


@guard("SB103", Severity.ERROR, asks="probes", consented=Severity.WARNING)
def losses_get_what_they_take(probes: Probes) -> Iterator[str]:
    """Logits pass through one sigmoid: the loss's."""
    for term, criterion in _terms(probes):
        with quiet(), torch.no_grad():
            least = _least_cost(criterion)
            unsure, *sure = (criterion(s * (2 * _target() - 1), _target()).item() for s in (0.0, *_RIGHT))
        right = min(sure)
        if right > unsure:
            rule = f"the term {term.name} takes no logits: right ones cost {right:.3g}, zeros {unsure:.3g}"
            see = "Use one that applies the sigmoid itself, such as `dice`"
            yield message(probes.place("loss"), rule, see=see)
        elif least is not None:
            rule = f"the term {term.name} squashes logits twice: a perfect answer still costs {least:.3g}"
            yield message(probes.place("loss"), rule, see="Feed it what it takes: logits to `bce`")
    for config in probes.distinct("model", "loss"):
        probe, whole = probes.network(config), probes.criterion(config.loss)
        if probe is None or whole is None:
            continue
        key = ("emits", probe.config.model, probe.config.norm, probe.size_px)
        with quiet(), torch.no_grad():
            emits = probes.once(key, partial(_emits_probabilities, probe))
            is_wrong = emits and not _takes_probabilities(whole)
        if is_wrong:
            names = " + ".join(term.name for term in config.loss)
            rule = f"{probe.name} emits probabilities, but {names} takes logits and squashes them again"
            yield message(probes.place("model"), rule, see="Take the sigmoid or softmax out of the network")


def _terms(probes: Probes) -> Iterator[tuple[Choice, nn.Module]]:
    """Yield each term of all losses once."""
    terms = {repr(term): term for config in probes.distinct("loss") for term in config.loss}
    for term in terms.values():
        criterion = probes.criterion((term,))
        if criterion is not None:
            yield term, criterion


def _least_cost(criterion: nn.Module) -> float | None:
    """Return what a perfect answer costs at best where that is not nothing; None where it is.

    A loss that rises again for too sure an answer (label smoothing) is not meant.
    """
    target = _target()
    undecided, sure, surer = (
        criterion(scale * (2 * target - 1), target).item() for scale in (0.0, _SATURATED, 2 * _SATURATED)
    )
    is_flat = abs(surer - sure) <= 1e-4 * abs(undecided)
    return surer if is_flat and surer > _MOST_LEFT * undecided else None


def _takes_probabilities(criterion: nn.Module) -> bool:
    """Whether zeros and ones that equal the target are a perfect answer."""
    target = _target()
    right, wrong = criterion(target, target).item(), criterion(1 - target, target).item()
    return bool(right < _MOST_LEFT * wrong)


def _emits_probabilities(probe: NetworkProbe) -> bool:
    """Whether the output stays in [0, 1] whatever the weights are."""
    images, _ = probe.batch()
    for seed in range(3):
        network = probe.build(seed).eval()
        draw = torch.Generator().manual_seed(seed)
        for parameter in network.parameters():
            fan_in = max(1, parameter.numel() // max(1, parameter.shape[0] if parameter.ndim else 1))
            parameter.copy_(3 * torch.randn(parameter.shape, generator=draw) / fan_in**0.5)
        with seeded(seed, CPU):
            logits = network(3 * images)
        if not ((logits >= 0) & (logits <= 1)).all():
            return False
    return True


def _target() -> Tensor:
    target = torch.zeros(2, 1, 16, 16)
    target[0, :, 3:9, 2:11] = 1
    target[1, :, 8:14, 5:9] = 1
    return target


@cache
def _wavy() -> Tensor:
    return 3 * torch.sin(torch.arange(512.0)).view(2, 1, 16, 16)


_NUM_DRAWS: Final = 48
_LEAST_AGREEMENT: Final = 0.6
"""Share of the best agreement at any place, below which a mask is taken to lie elsewhere; and how good the
best must be for a picture to be judged at all: where the object has dropped out, it shows no place."""

_MOST_ODD: Final = 1
"""Draws that may look apart: a dropped-out object may happen to look like another one."""

_MASK_VALUES: Final = (0, 1, 255)
"""Ground, object, and pixels that do not count."""

_Augment = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


@guard("SB111", Severity.ERROR, asks="probes", consented=Severity.WARNING)
def draws_image_and_mask_together(probes: Probes) -> Iterator[str]:
    """What moves an image moves its mask."""
    for config, augment in _augmentations(probes):
        size_px, channels = probes.image_shape(config)
        apart = 0
        for number, seed in enumerate(_seeds()):
            image, mask = augment(*draw_mask_as_image(size_px, channels, number % 3), seed)
            apart += _lies_elsewhere(image.mean(axis=-1), mask == 1)
        if apart > _MOST_ODD:
            rule = f"{config.augment.name} moves images and masks apart in {apart} of {_NUM_DRAWS} draws"
            see = "Draw once, and do to the mask what is done to the image"
            yield message(probes.place("augment"), rule, see=see)


@guard("SB112", Severity.ERROR, asks="probes")
def draws_from_the_seed_alone(probes: Probes) -> Iterator[str]:
    """Other seeds give other draws and equal seeds equal ones, whatever the process drew before."""
    for config, augment in _augmentations(probes):
        image, mask = draw_scene(*probes.image_shape(config), 0)
        where, name = probes.place("augment"), config.augment.name
        see = "Draw from a generator made of the seed that it is given"
        seeds = range(_NUM_DRAWS // 3)
        first, again, elsewhere = (
            [_draw(augment, image, mask, seed, process=process) for seed in order]
            for order, process in ((seeds, 0), (reversed(seeds), 0), (seeds, 1))
        )
        if any(map(_differ, first, reversed(again))):
            rule = f"{name} gives other pixels for a seed the second time"
            yield message(where, f"{rule}: what it draws depends on what was drawn before", see=see)
        elif any(map(_differ, first, elsewhere)):
            rule = f"{name} draws from the process's generator, which repeats in every worker and epoch"
            yield message(where, rule, see=see)


@guard("SB113", Severity.ERROR, asks="probes")
def keeps_masks_whole_numbers(probes: Probes) -> Iterator[str]:
    """Masks are resized and turned by nearest neighbour, so they hold the values that they held before."""
    for config, augment in _augmentations(probes):
        image, mask = draw_scene(*probes.image_shape(config), 0)
        mask = mask.copy()
        mask[(_shifted(mask) != mask) & (mask == 0)] = 255
        where, name = probes.place("augment"), config.augment.name
        try:
            masks = [augment(image, mask, seed)[1] for seed in _seeds()]
        except Exception as error:  # one that refuses other values than 0 and 1 cannot spoil them
            if config.dataset.knobs.get("border") == "ignore":
                see = "A mask holds 0, 1 and, where pixels do not count, 255"
                yield message(
                    where, f"{name} cannot take pixels that do not count: {one_line(error)}", see=see
                )
            continue
        strange = sorted(set(np.unique(np.stack(masks)).tolist()) - set(_MASK_VALUES))
        if strange:
            rule = f"{name} interpolates masks: values of {_MASK_VALUES} become others"
            see = "Resize and turn masks by nearest neighbour (cv2.INTER_NEAREST)"
            yield message(where, rule, got=strange[:5], see=see)


def _augmentations(probes: Probes) -> Iterator[tuple[TrialConfig, _Augment]]:
    """Yield each augmentation, at each size of image, once."""
    found = {(repr(c.augment), probes.image_shape(c)): c for c in probes.distinct(*DRAWN)}
    for config in found.values():
        augment = probes.augmentation(config)
        if augment is not None:
            yield config, augment


def _lies_elsewhere(plane: np.ndarray, mask: np.ndarray) -> bool:
    """Whether an image that shows its mask shows it at another place, mirrored or turned.

    Agreement is the size of the correlation over the picture, so that tones may change, edges blur and parts
    drop out; it is compared with that of every shifted, mirrored and turned copy of the mask.
    """
    if not mask.any() or mask.all() or plane.std() < 1:
        return False
    shown = (plane - plane.mean()) / plane.std()
    here = abs(float((shown * (mask - mask.mean())).mean() / mask.std()))
    if here >= _LEAST_AGREEMENT:  # no place agrees better than 1
        return False
    tones = np.fft.rfft2(shown)
    turned = [np.rot90(side, turns) for side in (mask, mask[:, ::-1]) for turns in range(4)]
    agreements = [_correlations(tones, copy, plane.shape) for copy in turned if copy.shape == mask.shape]
    best = max(float(each.max()) for each in agreements)
    return bool(best >= _LEAST_AGREEMENT and here < _LEAST_AGREEMENT * best)


def _correlations(tones: np.ndarray, mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the size of the correlation with the mask at every shift."""
    wanted = (mask - mask.mean()) / mask.std()
    return np.abs(np.fft.irfft2(tones * np.conj(np.fft.rfft2(wanted)), s=shape)) / mask.size


def _draw(augment: _Augment, image: np.ndarray, mask: np.ndarray, seed: int, *, process: int) -> Any:
    with _process_state(process):
        return augment(image, mask, stream_seed(seed, "guard"))


@contextmanager
def _process_state(seed: int) -> Iterator[None]:
    """Run a block as if the process had just been seeded; leave its generators as they were."""
    import torch

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.default_generator.manual_seed(seed)
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])


def _differ(first: Any, second: Any) -> bool:
    return not all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def _seeds() -> Iterator[int]:
    return (stream_seed(number, "guard") for number in range(_NUM_DRAWS))


def _shifted(mask: np.ndarray) -> np.ndarray:
    """Return a mask grown by about a sixteenth of the side, downwards and to the right."""
    by = max(2, mask.shape[0] // 16)
    grown = mask.copy()
    grown[by:] |= mask[:-by]
    grown[:, by:] |= grown[:, :-by]
    return grown
