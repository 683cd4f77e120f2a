"""Pixels as they are."""

from __future__ import annotations

from segbench.axes.input import Scaling, TrainStats, variant


@variant
def raw(train_stats: TrainStats, max_value: float) -> Scaling:
    """Leave pixels at 0..255, to show what scaling is worth.

    Args:
        train_stats: Not used.
        max_value: Not used.
    """
    return Scaling(mean=(0.0,), std=(1.0,))
