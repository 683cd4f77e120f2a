"""Orthogonal initialisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt
from torch import nn

from segbench.axes.init import variant
from segbench.axes.init.reset import TRANSPOSED, WEIGHTED, reset

if TYPE_CHECKING:
    import torch


@variant
def orthogonal(module: nn.Module, generator: torch.Generator, *, gain: Annotated[float, Gt(0)] = 1.0) -> None:
    """Draw weights of (also transposed) convolutions and linear layers as orthogonal matrices, biases 0.

    The weight, flattened to a matrix W of (out, in * kernel size), is gain times a matrix with orthonormal
    rows, or columns where it has more rows than columns, from the QR decomposition of a normal draw. A
    transposed convolution's is flattened to (in, out * kernel size): where its stride is its kernel's size,
    it is that matrix's transpose which spreads a pixel over the pixels it becomes, and features keep their
    length. All other layers start as by default: normalisation at 1 and 0, DyT's alpha at its knob.

    Args:
        module: A module that holds parameters of its own, on the CPU; changed in place.
        generator: The module's own generator.
        gain: Scales the matrix; sqrt(2) allows for ReLU.

    Reference:
        Saxe et al., 2014, arXiv:1312.6120.
    """
    if not isinstance(module, WEIGHTED + TRANSPOSED):
        reset(module, generator)
        return
    nn.init.orthogonal_(module.weight, gain=gain, generator=generator)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
