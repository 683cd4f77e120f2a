"""Polynomial decay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Interval

from segbench.axes.schedule import Schedule, variant
from segbench.axes.schedule._warmup import warmed


@variant
def poly(
    *,
    power: Annotated[float, Gt(0)] = 0.9,
    warmup_epochs: Annotated[float, Ge(0)] = 0.0,
    warmup_start: Annotated[float, Interval(gt=0, le=1)] = 0.01,
) -> Schedule:
    """Lower the learning rate at every step along a power of the time left.

    factor = (1 - steps done / steps of the run) ** power: 1 at the first step; 0 would be reached one step
    after the last. After a warm-up, steps count without it.

    Args:
        power: 1: a straight line; below 1: slowly first.
        warmup_epochs: Epochs over which the factor first rises linearly, step by step; 0: none.
        warmup_start: Factor of the warm-up's first step.

    Reference:
        Liu et al., 2015, arXiv:1506.04579; with power 0.9 the "poly" policy of DeepLab (Chen et al., 2016,
        arXiv:1606.00915). The steps are those of PyTorch's `PolynomialLR(total_iters=steps of the run)`.
    """
    return warmed(_Poly(power), warmup_epochs, warmup_start)


@dataclass(frozen=True)
class _Poly:
    power: float
    is_per_step: ClassVar[bool] = True

    def __call__(self, epoch: float, epochs: float) -> float:
        return float((1 - (epoch - 1) / epochs) ** self.power)
