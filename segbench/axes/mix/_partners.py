"""Who is mixed with whom."""

from __future__ import annotations

import numpy as np
import torch


def draw_partners(generator: np.random.Generator, images: torch.Tensor) -> torch.Tensor:
    """Draw a permutation of the batch, (N,) int64 on the device of the images: image i goes with the i-th.

    An image may be its own partner, as in the reference code of CutMix and MixUp.
    """
    partners = torch.from_numpy(generator.permutation(len(images)))
    if images.device.type == "cuda":
        partners = partners.pin_memory()  # so that the copy waits for nothing
    return partners.to(images.device, non_blocking=True)
