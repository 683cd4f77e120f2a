"""He initialisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import nn

from segbench.axes.init import variant
from segbench.axes.init.reset import TRANSPOSED, WEIGHTED, reset

if TYPE_CHECKING:
    import torch


@variant
def he(
    module: nn.Module,
    generator: torch.Generator,
    *,
    mode: Literal["fan_out", "fan_in"] = "fan_out",
    transposed: bool = True,
) -> None:
    """Draw weights of convolutions and linear layers from N(0, 2 / fan), biases 0.

    fan is the kernel's size times the weight's channels: outputs for `fan_out`, inputs for `fan_in`; for
    transposed convolutions PyTorch counts the two the other way round, and so does this. All other layers
    start as by default: normalisation at 1 and 0, DyT's alpha at its knob.

    Args:
        module: A module that holds parameters of its own, on the CPU; changed in place.
        generator: The module's own generator.
        mode: `fan_out` keeps the size of gradients in the backward pass, `fan_in` that of features in the
            forward.
        transposed: Whether transposed convolutions are drawn so as well; False leaves them at PyTorch's
            default.

    Reference:
        He et al., 2015, arXiv:1502.01852, equations 10 and 14, for ReLU.
    """
    drawn = WEIGHTED + TRANSPOSED if transposed else WEIGHTED
    if not isinstance(module, drawn):
        reset(module, generator)
        return
    nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu", generator=generator)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
