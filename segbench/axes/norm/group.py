"""Group normalisation."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt
from torch import nn

from segbench.axes.norm import variant
from segbench.errors import ExperimentError, message


@variant
def group(
    channels: int, *, groups: Annotated[int, Ge(1)] = 8, eps: Annotated[float, Gt(0)] = 1e-5
) -> nn.Module:
    """Normalise over groups of channels within each image.

    y = gamma * (x - mean) / sqrt(var + eps) + beta, with mean and (biased) variance over the C / groups
    channels of a group, H and W; gamma and beta per channel, starting at 1 and 0.

    Args:
        channels: Feature channels C of the (N, C, H, W) input; a multiple of `groups`.
        groups: Channels are split into this many groups.
        eps: Added to the variance.

    Raises:
        ExperimentError: `groups` does not divide `channels`.

    Reference:
        Wu & He, 2018, arXiv:1803.08494; there 32 groups, here 8, which also divides narrow networks.
    """
    if channels % groups:
        divisors = ", ".join(str(n) for n in range(1, channels + 1) if channels % n == 0)
        rule = f"the groups must divide the {channels} channels of every layer"
        raise ExperimentError(message("norm.groups", rule, got=groups, see=f"Divisors: {divisors}"))
    return nn.GroupNorm(groups, channels, eps=eps)
