"""Constant learning rate."""

from __future__ import annotations

from collections.abc import Callable

from segbench.axes.schedule import variant


@variant
def constant() -> Callable[[int, int], float]:
    """Keep the learning rate: factor 1 in every epoch."""
    return lambda epoch, epochs: 1.0
