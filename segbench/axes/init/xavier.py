"""Xavier initialisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Gt
from torch import nn

from segbench.axes.init import variant
from segbench.axes.init.reset import TRANSPOSED, WEIGHTED, reset

if TYPE_CHECKING:
    import torch


@variant(absent={"within": "everywhere"})
def xavier(
    module: nn.Module,
    generator: torch.Generator,
    *,
    gain: Annotated[float, Gt(0)] = 1.0,
    within: Literal["everywhere", "residual_blocks"] = "everywhere",
) -> None:
    """Draw weights of (also transposed) convolutions and linear layers from U(-a, a), biases 0.

    a = gain * sqrt(6 / (fan_in + fan_out)), each fan the kernel's size times the channels. All other layers
    start as by default: normalisation at 1 and 0, DyT's alpha at its knob.

    Args:
        module: A module that holds parameters of its own, on the CPU; changed in place.
        generator: The module's own generator.
        gain: Scales the bound; sqrt(2) allows for ReLU.
        within: `everywhere`, or `residual_blocks`: only layers inside residual blocks are drawn so, shortcuts
            included. All other layers start as by default, so a network without such blocks does as a whole.

    Reference:
        Glorot & Bengio, 2010, AISTATS, equation 16.
    """
    is_left = within == "residual_blocks" and not getattr(module, "is_in_residual_block", False)
    if is_left or not isinstance(module, WEIGHTED + TRANSPOSED):
        reset(module, generator)
        return
    nn.init.xavier_uniform_(module.weight, gain=gain, generator=generator)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
