"""Values on their way from the host to a device, without anybody waiting."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch


def send(values: np.ndarray | torch.Tensor, device: torch.device) -> torch.Tensor:
    """Bring values to the device; to a GPU from pinned memory, so that the copy runs beside what follows.

    Args:
        values: Of any shape and type; on a CPU the tensor shares their memory.
        device: Where they go.
    """
    tensor = values if isinstance(values, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(values))
    if device.type != "cuda":
        return tensor
    return (tensor if tensor.is_pinned() else tensor.pin_memory()).to(device, non_blocking=True)


@lru_cache(maxsize=64)
def constants(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Return numbers as (k,) float32 on the device; they are not to be written to.

    A tensor made of a list would be copied there each time, and the host would wait for all it launched.
    """
    return torch.stack([torch.full((), value, dtype=torch.float32, device=device) for value in values])
