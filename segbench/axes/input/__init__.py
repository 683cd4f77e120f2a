"""How pixels are scaled before the network sees them."""

from segbench.axes.input._scaling import Scaling, TrainStats
from segbench.registry import marker

variant = marker("input")

__all__ = ["Scaling", "TrainStats", "variant"]
