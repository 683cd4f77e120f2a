"""PyTorch's own initialisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segbench.axes.init import variant
from segbench.axes.init.reset import reset

if TYPE_CHECKING:
    import torch
    from torch import nn


@variant
def default(module: nn.Module, generator: torch.Generator) -> None:
    """Draw each layer as PyTorch does: weight and bias uniform in +-1/sqrt(fan_in).

    It is the layer's own `reset_parameters()`, so normalisation layers start at 1 and 0, DyT's alpha at its
    knob. For transposed convolutions PyTorch's fan_in counts the output channels.

    Args:
        module: A module that holds parameters of its own, on the CPU; changed in place.
        generator: The module's own generator.
    """
    reset(module, generator)
