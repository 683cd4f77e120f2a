"""Dynamic tanh."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn

from segbench.axes.norm import variant


@variant
def dyt(channels: int, *, per_channel: bool = True, start: Annotated[float, Gt(0)] = 1.0) -> nn.Module:
    """Squash each feature with a learned tanh instead of normalising it.

    y = gamma * tanh(alpha * x) + beta, without any statistics; gamma and beta per channel, starting at 1 and
    0. Every `init` leaves these starting values as they are.

    Args:
        channels: Feature channels C of the (N, C, H, W) input.
        per_channel: Whether each channel has an alpha of its own; False: one for the whole layer.
        start: Where alpha starts.

    Reference:
        Zhu et al., 2025, arXiv:2503.10622. There alpha is one number a layer and starts at 0.5:
        `{dyt: {per_channel: false, start: 0.5}}`. The default follows the reference study of this axis.
    """
    return DynamicTanh(channels, channels if per_channel else 1, start)


class DynamicTanh(nn.Module):
    """The layer that `dyt` describes."""

    def __init__(self, channels: int, num_alphas: int, start: float) -> None:
        super().__init__()
        self.start = start
        self.alpha = nn.Parameter(torch.empty(num_alphas))
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.constant_(self.alpha, self.start)
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, features: Tensor) -> Tensor:
        alpha, weight, bias = (p[:, None, None] for p in (self.alpha, self.weight, self.bias))
        # In the parameters' precision, then back, as normalisation layers do under autocast.
        return (weight * torch.tanh(alpha * features) + bias).to(features.dtype)

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, num_alphas={len(self.alpha)}, start={self.start}"
