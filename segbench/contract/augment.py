"""The contract of an augmentation."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from segbench.contract import Broken, Subject

_SIZES = (32, 64)
_SEEDS = range(40)


def keeps_size_and_type(subject: Subject) -> None:
    """Image and mask keep their sizes and types, and the mask stays in {0, 1}."""
    augment = _augmentation(subject)
    for size in _SIZES:
        image, mask = _pair(size)
        for seed in _SEEDS:
            new_image, new_mask = augment(image, mask, seed)
            if new_image.shape != image.shape or new_image.dtype != np.uint8:
                raise Broken(f"{image.shape} uint8 becomes {new_image.shape} {new_image.dtype}")
            if new_mask.shape != mask.shape or new_mask.dtype != np.uint8:
                raise Broken(f"a mask {mask.shape} uint8 becomes {new_mask.shape} {new_mask.dtype}")
            if not set(np.unique(new_mask).tolist()) <= {0, 1}:
                raise Broken(f"a mask in {{0, 1}} becomes one with {np.unique(new_mask).tolist()}")


def draws_from_the_seed_alone(subject: Subject) -> None:
    """The same seed gives the same pixels, whatever was drawn before, in another copy and another process."""
    augment = _augmentation(subject)
    copy = pickle.loads(pickle.dumps(augment))
    image, mask = _pair(32)
    forwards = [augment(image, mask, seed) for seed in _SEEDS]
    np.random.seed(1)  # noqa: NPY002 - the global state must not count
    backwards = [copy(image, mask, seed) for seed in reversed(_SEEDS)][::-1]
    for seed, (one, other) in enumerate(zip(forwards, backwards, strict=True)):
        if not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True)):
            raise Broken(f"seed {seed} gives other pixels the second time")


def leaves_its_arguments_alone(subject: Subject) -> None:
    """The arrays given are not written to: they are the cache."""
    augment = _augmentation(subject)
    image, mask = _pair(32)
    image.flags.writeable = mask.flags.writeable = False
    for seed in _SEEDS:
        augment(image, mask, seed)


def _augmentation(subject: Subject) -> Any:
    augment = subject.build()
    if not callable(augment):
        raise Broken(
            f"the factory must return (image, mask, seed) -> (image, mask), got {type(augment).__name__}"
        )
    return augment


def _pair(size: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    image = draw.integers(0, 256, (size, size, 3), dtype=np.uint8)
    mask = np.zeros((size, size), np.uint8)
    mask[size // 4 : size // 2, size // 8 :] = 1
    return image, mask
