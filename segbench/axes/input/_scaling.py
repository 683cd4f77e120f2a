"""What the network sees of a pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

TrainStats: TypeAlias = Callable[[], tuple[tuple[float, ...], tuple[float, ...]]]
"""Measures means and standard deviations per channel, in pixel units, over the training images."""


@dataclass(frozen=True)
class Scaling:
    """The network sees `(pixel - mean) / std`, pixel in 0..max_value.

    One value stands for all channels, otherwise there is one a channel.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
