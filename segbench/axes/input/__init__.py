from segbench.axes.input._scaling import Scaling, TrainStats
from segbench.registry import marker

variant = marker("input")

__all__ = ["Scaling", "TrainStats", "variant"]
