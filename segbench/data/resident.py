"""Decoded images in a device's memory, where they fit: batches are picked there instead of sent."""

from __future__ import annotations

import numpy as np
import torch

from segbench.data.prepared import PreparedData
from segbench.data.sending import send

_SHARE = 0.5
"""Of a GPU's free memory that a data set may fill."""

_STAGED_IMAGES = 256
"""Images sent at a time."""


class Pixels:
    """Images and masks of a data set by sample number, as uint8 planes on the device."""

    def __init__(self, data: PreparedData, device: torch.device, *, are_held: bool = True) -> None:
        """Bring all of them to a GPU whose memory holds them.

        Args:
            data: The data set.
            device: Where batches are wanted.
            are_held: False: every batch is sent when it is taken.
        """
        self._data, self._device = data, device
        self._resident = _resident(data, device) if are_held and device.type == "cuda" else None

    @property
    def is_resident(self) -> bool:
        """Whether all of them lie in the device's memory."""
        return self._resident is not None

    def take(self, numbers: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images (N,C,H,W) and masks (N,1,H,W), uint8, of these samples."""
        if self._resident is None:
            images = send(self._data.images[numbers], self._device).permute(0, 3, 1, 2)
            return images, send(self._data.masks[numbers], self._device).unsqueeze(1)
        rows = send(np.asarray(numbers, dtype=np.int64), self._device)
        images, masks = self._resident
        return images[rows], masks[rows]


_held: tuple[tuple[object, torch.device], tuple[torch.Tensor, torch.Tensor]] | None = None
"""The data set that this process holds on a GPU: later trials of it find it there."""


def _resident(data: PreparedData, device: torch.device) -> tuple[torch.Tensor, torch.Tensor] | None:
    global _held
    key = (getattr(data.images, "filename", None) or id(data.images), device)
    if _held is not None and _held[0] == key:
        return _held[1]
    _held = None  # its memory counts as free below
    if data.images.nbytes + data.masks.nbytes > _SHARE * torch.cuda.mem_get_info(device)[0]:
        return None
    count, height, width, channels = data.images.shape
    images = torch.empty((count, channels, height, width), dtype=torch.uint8, device=device)
    masks = torch.empty((count, 1, height, width), dtype=torch.uint8, device=device)
    for start in range(0, count, _STAGED_IMAGES):
        rows = slice(start, start + _STAGED_IMAGES)
        # copies: the cache is mapped and read-only
        images[rows] = send(np.array(data.images[rows]), device).permute(0, 3, 1, 2)
        masks[rows] = send(np.array(data.masks[rows]), device).unsqueeze(1)
    _held = key, (images, masks)
    return _held[1]
