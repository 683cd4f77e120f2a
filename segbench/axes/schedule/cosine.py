"""Cosine annealing."""

from __future__ import annotations

import math
from collections.abc import Callable

from segbench.axes.schedule import variant


@variant
def cosine() -> Callable[[int, int], float]:
    """Lower the learning rate along half a cosine to 0 over all epochs.

    factor = (1 + cos(pi * (epoch - 1) / epochs)) / 2, epoch from 1: 1 in the first epoch; 0 would be reached
    one epoch after the last.

    Reference:
        Loshchilov & Hutter, 2017, arXiv:1608.03983, without restarts; the steps are those of PyTorch's
        `CosineAnnealingLR(T_max=epochs)`.
    """
    return lambda epoch, epochs: (1 + math.cos(math.pi * (epoch - 1) / epochs)) / 2
