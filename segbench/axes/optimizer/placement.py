"""Where the parameters are, which decides how an optimiser steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


def parameters_and_kernel(parameters: Iterable[Any]) -> tuple[list[Any], bool]:
    """Return the parameters (or parameter groups) as a list, and whether all of them are on a CUDA device.

    There the step is one fused kernel that a CUDA graph can hold. Device and kernel are recorded, not
    configured.
    """
    listed = list(parameters)
    tensors = [p for group in listed for p in (group["params"] if isinstance(group, dict) else [group])]
    return listed, bool(tensors) and all(isinstance(p, torch.Tensor) and p.is_cuda for p in tensors)
