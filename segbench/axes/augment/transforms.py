"""A list of albumentations transforms."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from segbench.axes.augment import Augmentation, variant
from segbench.axes.augment._albumentations import build_steps, resolve_steps
from segbench.errors import ExperimentError, message
from segbench.samples import IGNORED


@variant
def transforms(*, steps: list[Any]) -> Augmentation:
    """Apply albumentations transforms in turn to image and mask together, masks by nearest neighbour.

    In a file the list itself stands for it: `augment: [HorizontalFlip, {Rotate: {limit: 30}}]`. `size_px` may
    stand for the arguments size, height and width: `{RandomResizedCrop: {size: size_px}}` keeps the images'
    size, whatever it is.

    Args:
        steps: Class names, or `{Class: {argument: value}}`; `OneOf`, `SomeOf`, `RandomOrder` and `Sequential`
            hold such lists under `transforms`.

    Raises:
        ExperimentError: A class or an argument is unknown or of the wrong type; holds all problems.
    """
    return _Transforms(resolve_steps(steps, "augment"))


class _Transforms:
    def __init__(self, steps: Sequence[Mapping[str, Any]]) -> None:
        self.steps = list(steps)
        self._composed: dict[tuple[int, ...], Any] = {}
        build_steps(steps)  # so that steps that cannot be built are refused here

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.steps,)

    def __call__(self, image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        # set_random_seed would start every transform from the same number, so that all of them would draw in
        # lockstep (both flips or none); one shared state keeps their draws independent
        compose = self._compose(image.shape[:2])
        compose.set_random_state(np.random.Generator(np.random.PCG64(seed)), random.Random(seed))
        try:
            changed = compose(image=image, mask=mask)
        except Exception as error:  # each transform has its own kinds
            raise ExperimentError(
                message(
                    "augment",
                    f"the steps cannot be applied to an image of {image.shape}: {error}".rstrip("."),
                )
            ) from error
        new_image, new_mask = changed["image"], changed["mask"]
        if new_image.shape != image.shape or new_mask.shape != mask.shape or new_image.dtype != image.dtype:
            raise ExperimentError(
                message(
                    "augment",
                    f"the steps must keep size and type, {image.shape} {image.dtype}",
                    got=f"{new_image.shape} {new_image.dtype}",
                    see="Crops need `size: size_px`, or `height: size_px` and `width: size_px`",
                )
            )
        if ((new_mask > 1) & (new_mask != IGNORED)).any():
            raise ExperimentError(
                message(
                    "augment",
                    "the steps must keep masks in {0, 1, 255}",
                    got=int(new_mask.max()),
                    see="Set `fill_mask: 0`",
                )
            )
        return new_image, new_mask

    def _compose(self, size_px: tuple[int, ...]) -> Any:
        if size_px not in self._composed:
            self._composed[size_px] = build_steps(self.steps, (size_px[0], size_px[1]))
        return self._composed[size_px]
