"""The contract of an augmentation."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from scipy import ndimage

from segbench.contract import Broken, Subject
from segbench.data.batches import draws_from_the_process
from segbench.samples import IGNORED

_SIZES = (32, 64)
_SEEDS = range(40)


def keeps_size_and_type(subject: Subject) -> None:
    """Image and mask keep their sizes and types, and the mask stays in {0, 1, 255}."""
    augment = _augmentation(subject)
    for size in _SIZES:
        image, mask = _pair(size)
        for seed in _SEEDS:
            new_image, new_mask = augment(image, mask, seed)
            if new_image.shape != image.shape or new_image.dtype != np.uint8:
                raise Broken(f"{image.shape} uint8 becomes {new_image.shape} {new_image.dtype}")
            if new_mask.shape != mask.shape or new_mask.dtype != np.uint8:
                raise Broken(f"a mask {mask.shape} uint8 becomes {new_mask.shape} {new_mask.dtype}")
            if not set(np.unique(new_mask).tolist()) <= {0, 1, IGNORED}:
                raise Broken(f"a mask in {{0, 1, 255}} becomes one with {np.unique(new_mask).tolist()}")


def moves_image_and_mask_together(subject: Subject) -> None:
    """Where image and mask are moved, both are moved alike: an image that shows its mask still shows it."""
    augment = _augmentation(subject)
    mask = _outline(64)
    image = np.where(mask[..., None] == 1, 200, 50).astype(np.uint8).repeat(3, axis=2)
    for seed in _SEEDS:
        new_image, new_mask = augment(image, mask, seed)
        share = _agreement(new_image, new_mask)
        if share < _LEAST_AGREEMENT:
            raise Broken(
                f"with seed {seed} {share:.0%} of the pixels agree with the mask that the image shows, fewer "
                f"than {_LEAST_AGREEMENT:.0%}: are image and mask drawn apart?"
            )


def draws_differ_between_seeds(subject: Subject) -> None:
    """Other seeds give other pixels, unless the augmentation never changes anything."""
    augment = _augmentation(subject)
    image, mask = _pair(32)
    found = [augment(image, mask, seed)[0] for seed in _SEEDS]
    if all(np.array_equal(found[0], other) for other in found) and not np.array_equal(found[0], image):
        raise Broken(f"all of {len(_SEEDS)} seeds give the same pixels: does it draw from the seed?")


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


def leaves_the_generators_of_the_process_alone(subject: Subject) -> None:
    """Nothing is drawn from the global generators of random, numpy and torch: the network draws beside it."""
    augment = _augmentation(subject)
    image, mask = _pair(32)
    for seed in _SEEDS:
        _, touches = draws_from_the_process(lambda seed=seed: augment(image, mask, seed))  # type: ignore[misc]
        if touches:
            raise Broken(
                f"with seed {seed} a global generator changed; draw from one of its own, such as "
                "np.random.default_rng(seed)"
            )


def _augmentation(subject: Subject) -> Any:
    augment = subject.build()
    if not callable(augment):
        raise Broken(
            f"the factory must return (image, mask, seed) -> (image, mask), got {type(augment).__name__}"
        )
    return augment


_LEAST_AGREEMENT = 0.85
"""Interpolation and smoothing blur the image's edge; of two masks that are mirrored apart far fewer pixels
agree."""


def _outline(size: int) -> np.ndarray:
    """Return a mask without symmetry that covers about half of the frame."""
    rows, columns = np.mgrid[0:size, 0:size] / size
    shape: np.ndarray = (columns < 0.35 + 0.4 * rows) & (rows > 0.15)
    return shape.astype(np.uint8)


def _agreement(image: np.ndarray, mask: np.ndarray) -> float:
    """Return the share of pixels that are bright where the mask is 1, and dark elsewhere.

    The image is smoothed, so that noise does not count, and the threshold is the one that parts it best, so
    that a change of brightness does not.
    """
    grey = ndimage.uniform_filter(image.mean(axis=2), 5)
    thresholds = np.unique(np.quantile(grey, np.linspace(0, 1, 33)))
    return max(float(((grey > threshold) == (mask == 1)).mean()) for threshold in thresholds)


def _pair(size: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    image = draw.integers(0, 256, (size, size, 3), dtype=np.uint8)
    mask = np.zeros((size, size), np.uint8)
    mask[size // 4 : size // 2, size // 8 :] = 1
    mask[size // 2 : size // 2 + 2, size // 8 :] = IGNORED
    return image, mask
