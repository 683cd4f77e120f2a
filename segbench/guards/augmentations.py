"""Guards that draw from augmentations: image and mask together, from the seed alone, masks by nearest."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from segbench.config.trial import TrialConfig
from segbench.errors import message
from segbench.guards import scenes
from segbench.guards.finding import Severity, guard
from segbench.guards.probes import Probes, one_line
from segbench.streams import stream_seed

_NUM_DRAWS: Final = 48
_LEAST_AGREEMENT: Final = 0.6
"""Share of the best agreement at any place, below which a mask is taken to lie elsewhere; and how good the
best must be for a picture to be judged at all: where the object has dropped out, it shows no place."""

_MOST_ODD: Final = 1
"""Draws that may look apart: a dropped-out object may happen to look like another one."""

_MASK_VALUES: Final = (0, 1, 255)
"""Ground, object, and pixels that do not count."""

_Augment = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


@guard("SB111", Severity.ERROR, consented=Severity.WARNING)
def draws_image_and_mask_together(probes: Probes) -> Iterator[str]:
    """What moves an image moves its mask."""
    for config, augment in _augmentations(probes):
        size_px, channels = probes.image_shape(config)
        apart = 0
        for number, seed in enumerate(_seeds()):
            image, mask = augment(*scenes.draw_mask_as_image(size_px, channels, number % 3), seed)
            apart += _lies_elsewhere(image.mean(axis=-1), mask == 1)
        if apart > _MOST_ODD:
            rule = f"{config.augment.name} moves images and masks apart in {apart} of {_NUM_DRAWS} draws"
            see = "Draw once, and do to the mask what is done to the image"
            yield message(probes.place("augment"), rule, see=see)


@guard("SB112", Severity.ERROR)
def draws_from_the_seed_alone(probes: Probes) -> Iterator[str]:
    """Other seeds give other draws and equal seeds equal ones, whatever the process drew before."""
    for config, augment in _augmentations(probes):
        image, mask = scenes.draw(*probes.image_shape(config), 0)
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


@guard("SB113", Severity.ERROR)
def keeps_masks_whole_numbers(probes: Probes) -> Iterator[str]:
    """Masks are resized and turned by nearest neighbour, so they hold the values that they held before."""
    for config, augment in _augmentations(probes):
        image, mask = scenes.draw(*probes.image_shape(config), 0)
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
    found = {(repr(c.augment), probes.image_shape(c)): c for c in probes.configs}
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
