"""Constant learning rate."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Interval

from segbench.axes.schedule import Schedule, variant
from segbench.axes.schedule._warmup import warmed


@variant(absent={"warmup_epochs": 0.0, "warmup_start": 0.01})
def constant(
    *,
    warmup_epochs: Annotated[float, Ge(0)] = 0.0,
    warmup_start: Annotated[float, Interval(gt=0, le=1)] = 0.01,
) -> Schedule:
    """Keep the learning rate: factor 1 in every epoch.

    Args:
        warmup_epochs: Epochs over which the factor first rises linearly, step by step; 0: none.
        warmup_start: Factor of the warm-up's first step.
    """
    return warmed(lambda epoch, epochs: 1.0, warmup_epochs, warmup_start)
