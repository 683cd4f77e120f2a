"""PyTorch's own starting values, drawn from a given generator."""

from __future__ import annotations

import torch
from torch import nn

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Layers whose weight is (out, in, ...)."""

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
"""Layers whose weight is (in, out, ...)."""


def reset(module: nn.Module, generator: torch.Generator) -> None:
    """Call `module.reset_parameters()` as if `generator` were the global one, which is left as it was.

    A module without that method keeps what its constructor gave it. The module is on the CPU.
    """
    reset_parameters = getattr(module, "reset_parameters", None)
    if reset_parameters is None:
        return
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    before = torch.get_rng_state()
    try:
        # Not torch.manual_seed, which would also seed every CUDA device.
        torch.default_generator.manual_seed(seed)
        reset_parameters()
    finally:
        torch.set_rng_state(before)
