"""Pixels in 0..1."""

from __future__ import annotations

from segbench.axes.input import Scaling, TrainStats, variant


@variant
def unit(train_stats: TrainStats, max_value: float) -> Scaling:
    """Divide by the largest value that a pixel can have: 0..1.

    Args:
        train_stats: Not used.
        max_value: The largest value that a pixel can have.
    """
    return Scaling(mean=(0.0,), std=(float(max_value),))
