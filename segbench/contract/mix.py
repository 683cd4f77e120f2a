"""The contract of mixing: what is done to a batch of training images."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from segbench.contract import Broken, Subject
from segbench.contract.tensors import expect_finite, expect_same, expect_shape, mask, normal, seeded

_SIZES = ((2, 3, 16, 16), (5, 1, 16, 24))
_SEEDS = range(40)


class _Batch(NamedTuple):
    images: Tensor
    target: Tensor
    valid: Tensor


def keeps_size_and_type(subject: Subject) -> None:
    """Images, target and valid keep their sizes and types, and the target stays in [0, 1]."""
    mix = _mixing(subject)
    for shape in _SIZES:
        for seed in _SEEDS:
            given = _batch(shape)
            mixed = _Batch(*mix(*given, seed))
            for name, before, after in zip(given._fields, given, mixed, strict=True):
                expect_shape(after, tuple(before.shape), name)
                if after.dtype != before.dtype:
                    raise Broken(f"{name} {before.dtype} becomes {after.dtype}")
            expect_finite(mixed.images, "images")
            if mixed.target.min() < 0 or mixed.target.max() > 1:
                raise Broken(f"target reaches from {mixed.target.min():g} to {mixed.target.max():g}")


def leaves_valid_out(subject: Subject) -> None:
    """Where every pixel counts, valid is None and stays None, and the mixed images are the same."""
    mix = _mixing(subject)
    images, target, valid = _batch(_SIZES[0])
    for seed in _SEEDS:
        without, with_all = mix(images, target, None, seed), mix(images, target, torch.ones_like(valid), seed)
        if without[2] is not None:
            raise Broken(f"valid None becomes {type(without[2]).__name__}")
        expect_same(without[0], with_all[0], f"seed {seed}, images without and with valid")
        expect_same(without[1], with_all[1], f"seed {seed}, target without and with valid")


def moves_masks_with_images(subject: Subject) -> None:
    """What is done to an image is done to its target."""
    mix = _mixing(subject)
    for shape in _SIZES:
        target = mask(shape[0], 1, *shape[2:])
        for seed in _SEEDS:
            images, mixed, _ = mix(target.expand(shape).clone(), target, None, seed)
            if (images - mixed).abs().max() > 1e-5:
                raise Broken(f"seed {seed}: images that show their target no longer do")


def counts_no_ignored_pixel(subject: Subject) -> None:
    """A mixed pixel counts only where every pixel that went into it does; elsewhere its target is 0."""
    mix = _mixing(subject)
    for shape in _SIZES:
        _, target, valid = _batch(shape)
        ignored = (~valid).float().expand(shape).clone()
        for seed in _SEEDS:
            images, mixed_target, mixed = mix(ignored, target, valid, seed)
            if (mixed & (images > 1e-5).any(1, keepdim=True)).any():
                raise Broken(f"seed {seed}: a pixel counts that holds a share of one that does not")
            if (valid.all(0) & ~mixed).any():
                raise Broken(f"seed {seed}: a pixel that counts in every image no longer does")
            if mixed_target[~mixed].any():
                raise Broken(f"seed {seed}: a pixel that does not count has a target")


def leaves_one_image_alone(subject: Subject) -> None:
    """A batch of one image, such as the last of an epoch, comes back as it is."""
    mix = _mixing(subject)
    given = _batch((1, 3, 16, 16))
    for seed in _SEEDS:
        for name, before, after in zip(given._fields, given, mix(*given, seed), strict=True):
            expect_same(before, after, f"{name} of a batch of one")


def draws_from_the_seed_alone(subject: Subject) -> None:
    """The same seed gives the same pixels, whatever was drawn before, in another copy too."""
    mix, copy = _mixing(subject), _mixing(subject)
    given = _batch(_SIZES[0])
    forwards = [mix(*given, seed) for seed in _SEEDS]
    with seeded(1):
        backwards = [copy(*given, seed) for seed in reversed(_SEEDS)][::-1]
    for seed, (one, other) in enumerate(zip(forwards, backwards, strict=True)):
        for name, first, second in zip(given._fields, one, other, strict=True):
            expect_same(first, second, f"{name} of seed {seed} drawn twice")


def leaves_its_arguments_alone(subject: Subject) -> None:
    """The tensors given are not written to."""
    mix = _mixing(subject)
    given, held = _batch(_SIZES[0]), _batch(_SIZES[0])
    for seed in _SEEDS:
        mix(*given, seed)
    for name, before, after in zip(given._fields, held, given, strict=True):
        expect_same(before, after, f"{name} after the call")


def _mixing(subject: Subject) -> Any:
    mix = subject.build()
    if not callable(mix):
        rule = "the factory must return (images, target, valid, seed) -> (images, target, valid)"
        raise Broken(f"{rule}, got {type(mix).__name__}")
    return mix


def _batch(shape: tuple[int, int, int, int]) -> Any:
    counted = mask(shape[0], 1, *shape[2:], seed=1) == 0
    return _Batch(normal(*shape), mask(shape[0], 1, *shape[2:]) * counted, counted)
