"""Whether two configurations are numerically one function, compared part by part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from segbench import registry
from segbench.config.trial import Choice, TrialConfig
from segbench.streams import stream_seed
from segbench.sweep.checks import scenes
from segbench.sweep.checks.probe import WIDTHS, Measurement
from segbench.sweep.checks.probes import Probes
from segbench.sweep.checks.steps import take_equal_steps

RTOL: Final = 1e-5
"""Parts of their size by which two results of one function may differ."""

NOISE: Final = 1e-6
"""Parts of the largest gradient below which a gradient is rounding: that of a bias before a norm, say."""

NUM_DRAWS: Final = 400
"""Draws of augmentations that must agree: what differs in one of a hundred draws is found."""

_UNSEEN: Final = (
    "dataset",
    "split",
    "batch_size",
    "accumulate",
    "epochs",
    "precision",
    "deterministic",
    "compile",
    "early_stopping",
    "engine",
    "augment_backend",
    "max_images",
    "ema",
    "surface_tolerance_px",
    "objective",
)
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
        measured = [probes.measured(config, least_width=least_width, seed=seed) for config in pair]
        if measured[0] is None or measured[1] is None:
            return None
        compared = compare(measured[0], measured[1])
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
    outputs = _largest(one.logits, other.logits, noise=0.0)
    gradients = _largest(one.gradients, other.gradients, noise=NOISE)
    if outputs > RTOL or gradients > RTOL:
        return None
    losses = max(_relative(one.losses[name], other.losses[name]) for name in one.losses)
    apart = max(abs(one.losses[name] - other.losses[name]) for name in one.losses)
    is_same = losses <= RTOL
    parts = (_in_parts(one.logits, other.logits), _in_parts(one.gradients, other.gradients))
    return Likeness(max(*parts, losses if is_same else 0.0), apart, is_same)


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
    image, mask = scenes.draw(*probes.image_shape(one), 0)
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
