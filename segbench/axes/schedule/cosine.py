"""Cosine annealing."""

from __future__ import annotations

import math
from typing import Annotated

from annotated_types import Ge, Interval

from segbench.axes.schedule import Schedule, variant
from segbench.axes.schedule._warmup import warmed


@variant(absent={"warmup_epochs": 0.0, "warmup_start": 0.01})
def cosine(
    *,
    warmup_epochs: Annotated[float, Ge(0)] = 0.0,
    warmup_start: Annotated[float, Interval(gt=0, le=1)] = 0.01,
) -> Schedule:
    """Lower the learning rate along half a cosine to 0 over all epochs.

    factor = (1 + cos(pi * (epoch - 1) / epochs)) / 2, epoch from 1: 1 in the first epoch; 0 would be reached
    one epoch after the last. It changes from epoch to epoch. After a warm-up, epoch and epochs count without
    it.

    Args:
        warmup_epochs: Epochs over which the factor first rises linearly, step by step; 0: none.
        warmup_start: Factor of the warm-up's first step.

    Reference:
        Loshchilov & Hutter, 2017, arXiv:1608.03983, without restarts; the steps are those of PyTorch's
        `CosineAnnealingLR(T_max=epochs)`.
    """
    return warmed(
        lambda epoch, epochs: (1 + math.cos(math.pi * (epoch - 1) / epochs)) / 2, warmup_epochs, warmup_start
    )
