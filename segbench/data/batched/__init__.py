"""Augmentation of whole batches as tensors, on whatever device they lie (`augment_backend: device`)."""

from segbench.data.batched.augmentation import BatchAugmentation, DeviceBatches, Drawn, device_steps

__all__ = ["BatchAugmentation", "DeviceBatches", "Drawn", "device_steps"]
