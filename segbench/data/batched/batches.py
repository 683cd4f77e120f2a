"""Training batches that are augmented where they are trained on."""

from __future__ import annotations

from collections.abc import Generator

import torch

from segbench import registry
from segbench.config.trial import TrialConfig
from segbench.data.batched.augmentation import BatchAugmentation
from segbench.data.batches import Batch, Epochs, Finish
from segbench.data.prepared import PreparedData
from segbench.data.resident import Pixels
from segbench.errors import ExperimentError, message
from segbench.streams import stream_seed

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
