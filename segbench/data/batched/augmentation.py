"""Training batches whose augmentation, a list of transforms, runs on the device that trains on them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import numpy as np
import torch

from segbench import registry
from segbench.config.trial import TrialConfig
from segbench.data.batched import pixels
from segbench.data.batched.pixels import Warp, maps_where, mirror_maps, symmetry_maps
from segbench.data.batched.steps import Leaf, Steps, read_steps
from segbench.data.batches import Batch, Epochs, Finish, Pixels, constants, send
from segbench.data.prepared import PreparedData
from segbench.errors import ExperimentError, message
from segbench.streams import stream_seed


@dataclass(frozen=True)
class _DrawnLeaf:
    """One transform's draws for the images of an epoch, in its order."""

    leaf: Leaf
    places: np.ndarray
    """Places in the order of the images it changes, ascending."""
    on: torch.Tensor
    """(I,) bool, on the device."""
    values: Mapping[str, torch.Tensor]
    """A row for every image, on the device."""


@dataclass(frozen=True)
class Drawn:
    """What was drawn for the images of an epoch, in their order: on the device before the first step."""

    num_images: int
    leaves: tuple[_DrawnLeaf, ...]


class BatchAugmentation:
    """Changes batches of images and masks together.

    What is drawn for an image depends on (seed, epoch, sample number) alone, whatever batch it is in; noise
    and displacement fields, a number a pixel, come from the device's generator, which whoever calls has
    seeded. Transforms are albumentations' by name and options, and change images as those do to within
    rounding (tests/unit/data compares both, draw by draw and in distribution); several geometric ones in
    turn read the pixels once instead of once each.
    """

    def __init__(self, steps: Sequence[Mapping[str, Any]]) -> None:
        """Lay out the steps, as `axes.augment.resolve_steps` returns them.

        Raises:
            ExperimentError: Some of them are for the CPU alone.
        """
        self._steps: Steps = read_steps(steps)

    @property
    def is_idle(self) -> bool:
        """Whether it never changes anything."""
        return not self._steps.leaves

    @property
    def needs_noise(self) -> bool:
        """Whether some transform draws numbers for pixels."""
        return any(leaf.name in ("GaussNoise", "ElasticTransform") for leaf in self._steps.leaves)

    def draw(
        self,
        seed: int,
        epoch: int,
        numbers: np.ndarray,
        *,
        size_px: tuple[int, int],
        device: torch.device,
    ) -> Drawn:
        """Draw for the samples of an epoch, in this order, and bring it to the device."""
        draws = _uniform(seed, epoch, self._steps.num_draws, int(numbers.max(initial=0)) + 1)[numbers]
        return Drawn(
            len(numbers), tuple(_draw_leaf(leaf, draws, size_px, device) for leaf in self._steps.leaves)
        )

    def __call__(
        self,
        images: torch.Tensor,
        masks: torch.Tensor,
        drawn: Drawn,
        start: int,
        generator: torch.Generator | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Change a run of an epoch's images.

        Args:
            images: (N,C,H,W) float32, whole levels in 0..255.
            masks: (N,1,H,W) uint8.
            drawn: What was drawn for the epoch.
            start: Place of the first of these images in it.
            generator: Of the device; where `needs_noise`.

        Returns:
            Images and masks, of the same shapes and types.
        """
        for is_geometric, group in groupby(drawn.leaves, key=lambda each: each.leaf.kind.is_geometric):
            part, leaves = _Part(start, images, masks, generator), tuple(group)
            images, masks = part.warped(leaves) if is_geometric else (part.recoloured(leaves), masks)
        return images, masks


def _uniform(seed: int, epoch: int, num_draws: int, num_samples: int) -> np.ndarray:
    """Return a row of uniform numbers for every sample; a row is the same however many follow."""
    generator = np.random.Generator(np.random.PCG64(stream_seed(seed, "augment batches", epoch)))
    return generator.random((num_samples, num_draws))


def _draw_leaf(leaf: Leaf, draws: np.ndarray, size_px: tuple[int, int], device: torch.device) -> _DrawnLeaf:
    on = leaf.is_on(draws)
    values = leaf.parameters(draws, size_px)
    return _DrawnLeaf(
        leaf,
        np.flatnonzero(on),
        send(on, device),
        {name: send(each, device) for name, each in values.items()},
    )


@dataclass(frozen=True)
class _Part:
    """A run of images and what it takes to change them."""

    start: int
    images: torch.Tensor
    masks: torch.Tensor
    generator: torch.Generator | None

    @property
    def size_px(self) -> tuple[int, int]:
        return self.images.shape[2], self.images.shape[3]

    def warped(self, leaves: Sequence[_DrawnLeaf]) -> tuple[torch.Tensor, torch.Tensor]:
        """Apply geometric transforms; images that none of them changes stay as they are, bit for bit."""
        rows = self._rows(leaves)
        if not len(rows):
            return self.images, self.masks
        warp = Warp(len(rows), self.size_px, self.images.device)
        fields = [self._field(drawn, len(rows)) for drawn in leaves]  # drawn in the order of the list
        at = self._index(rows)
        for drawn, field in zip(reversed(leaves), reversed(fields), strict=True):
            on = drawn.on[self.start + at]
            values = {name: each[self.start + at] for name, each in drawn.values.items()}
            _go_back(warp, drawn.leaf.name, on, values, field)
        images, masks = warp.read(self.images[at], self.masks[at])
        return self.images.index_copy(0, at, images), self.masks.index_copy(0, at, masks)

    def recoloured(self, leaves: Sequence[_DrawnLeaf]) -> torch.Tensor:
        """Apply transforms of levels, each to the images it is on for."""
        images = self.images
        for drawn in leaves:
            rows = self._rows([drawn])
            if not len(rows):
                continue
            at = self._index(rows)
            values = {name: each[self.start + at] for name, each in drawn.values.items()}
            changed = _LEVELS[drawn.leaf.name](images[at], values, drawn.leaf.options, self.generator)
            images = images.index_copy(0, at, changed)
        return images

    def _rows(self, leaves: Sequence[_DrawnLeaf]) -> np.ndarray:
        """Return which of these images some of the transforms are on for, as the CPU knows it."""
        end = self.start + len(self.images)
        found = [
            drawn.places[slice(*np.searchsorted(drawn.places, (self.start, end)))] - self.start
            for drawn in leaves
        ]
        return np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)

    def _index(self, rows: np.ndarray) -> torch.Tensor:
        return send(rows.astype(np.int64), self.images.device)

    def _field(self, drawn: _DrawnLeaf, num_images: int) -> torch.Tensor | None:
        if drawn.leaf.name != "ElasticTransform":
            return None
        assert self.generator is not None
        options = drawn.leaf.options
        return pixels.elastic_field(
            num_images,
            self.size_px,
            self.generator,
            alpha=float(options["alpha"]),
            sigma=float(options["sigma"]),
            uniform=options["noise_distribution"] == "uniform",
            same=bool(options["same_dxdy"]),
        )


def _go_back(
    warp: Warp, name: str, on: torch.Tensor, values: Mapping[str, torch.Tensor], field: torch.Tensor | None
) -> None:
    size_px = warp.height, warp.width
    if name in ("HorizontalFlip", "VerticalFlip"):
        warp.through_map(mirror_maps(on, size_px, axis=0 if name == "HorizontalFlip" else 1), fills=False)
    elif name == "D4":
        warp.through_map(symmetry_maps(on, values["symmetry"], size_px), fills=False)
    elif name == "RandomResizedCrop":
        whole = constants((0, 0, warp.width, warp.height), on.device)
        warp.through_crop(torch.where(on[:, None], values["box"], whole))
    elif field is not None:
        warp.through_field(field * on[:, None, None, None])
    else:
        warp.through_map(maps_where(on, values["map"]), fills=True)


_Level = Callable[
    [torch.Tensor, Mapping[str, torch.Tensor], Mapping[str, Any], torch.Generator | None], torch.Tensor
]


def _brightness_contrast(images: Any, values: Any, options: Any, generator: Any) -> torch.Tensor:
    by_max = bool(options["brightness_by_max"])
    return pixels.brightness_contrast(images, values["factor"], values["added"], by_max=by_max)


def _jitter(images: torch.Tensor, values: Any, options: Any, generator: Any) -> torch.Tensor:
    changes = (pixels.brightness, pixels.contrast, pixels.saturation, pixels.hue)
    names = ("brightness", "contrast", "saturation", "hue")
    for turn in range(len(changes)):
        which = values["order"][:, turn, None, None, None]
        changed = [change(images, values[name]) for change, name in zip(changes, names, strict=True)]
        for number, each in enumerate(changed):
            images = torch.where(which == number, each, images)
    return images


def _noise(images: Any, values: Any, options: Any, generator: Any) -> torch.Tensor:
    per_channel = bool(options["per_channel"])
    return pixels.noise(images, values["sd"], values["mean"], generator, per_channel=per_channel)


def _blur(images: Any, values: Any, options: Any, generator: Any) -> torch.Tensor:
    return pixels.blur(images, values["sigma"], largest=float(options["sigma_limit"][1]))


_LEVELS: Final[Mapping[str, _Level]] = {
    "RandomBrightnessContrast": _brightness_contrast,
    "HueSaturationValue": lambda images, values, options, generator: pixels.hue_saturation_value(
        images, values["hue"], values["saturation"], values["value"]
    ),
    "RGBShift": lambda images, values, options, generator: pixels.shift(images, values["shift"]),
    "RandomGamma": lambda images, values, options, generator: pixels.gamma(images, values["gamma"]),
    "ColorJitter": _jitter,
    "GaussNoise": _noise,
    "GaussianBlur": _blur,
}


_PIXELS_AT_ONCE = 2**22
"""Pixels augmented at a time: whole batches, at least one. It decides which noise an image gets."""


class DeviceBatches(Epochs):
    """Augmented batches of the training images, as `TrainBatches` yields them, made on the device.

    Order and draws are functions of (seed, epoch, sample) as there, but other ones: the configuration says
    which (`augment_backend`). Several batches are augmented at a time; noise is drawn for them together from
    (seed, epoch, first batch), by the device's generator, so that a CPU draws other noise than a GPU.
    """

    pixels: Pixels

    def __init__(self, data: PreparedData, config: TrialConfig, seed: int, *, device: torch.device) -> None:
        """Lay out the augmentation.

        Raises:
            ExperimentError: It is for the CPU alone.
        """
        super().__init__(data, config, seed)
        self._device = device
        self._size_px = data.images.shape[1], data.images.shape[2]
        self._augmentation = BatchAugmentation(device_steps(config))
        self.pixels = Pixels(data, device)
        self._finish = Finish(data.scaling, device, has_ignored=data.has_ignored)
        per_batch = self._batch_size * self._size_px[0] * self._size_px[1]
        self._at_once = max(1, _PIXELS_AT_ONCE // per_batch) * self._batch_size

    def epoch(self, epoch: int) -> Generator[Batch, None, None]:
        """Yield the batches of an epoch, which counts from 1."""
        order = self.order(epoch)
        drawn = self._augmentation.draw(self._seed, epoch, order, size_px=self._size_px, device=self._device)
        noise = torch.Generator(self._device) if self._augmentation.needs_noise else None
        for start in range(0, len(order), self._at_once):
            numbers = order[start : start + self._at_once]
            images, masks = self.pixels.take(numbers)
            if noise is not None:
                noise.manual_seed(stream_seed(self._seed, "noise", epoch, start // self._batch_size))
            changed, labels = self._augmentation(images.to(torch.float32), masks, drawn, start, noise)
            # a copy: what is left as it is may lie elsewhere
            whole = self._finish.scale(
                changed.clone(memory_format=torch.contiguous_format), labels, torch.from_numpy(numbers)
            )
            yield from whole.parts(self._batch_size)

    def close(self) -> None:
        """Nothing runs beside the training."""


def device_steps(config: TrialConfig) -> list[dict[str, dict[str, object]]]:
    """Return the transforms that do what a configuration's augmentation does.

    Raises:
        ExperimentError: It has none.
    """
    augmentation = registry.build("augment", config.augment.name, **config.augment.knobs)
    steps = getattr(augmentation, "steps", None)
    if steps is None:
        rule = "the augmentation has no `steps`, so it cannot be given to whole batches"
        see = "Use `augment_backend: cpu`"
        raise ExperimentError(message("augment_backend", rule, got=config.augment.name, see=see))
    return list(steps)
