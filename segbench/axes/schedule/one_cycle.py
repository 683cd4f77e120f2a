"""One cycle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Interval

from segbench.axes.schedule import Schedule, variant
from segbench.axes.schedule._warmup import warmed


@variant
def one_cycle(
    *,
    pct_start: Annotated[float, Interval(gt=0, lt=1)] = 0.3,
    div_factor: Annotated[float, Ge(1)] = 25.0,
    final_div_factor: Annotated[float, Ge(1)] = 1e4,
    anneal: Literal["cos", "linear"] = "cos",
    warmup_epochs: Annotated[float, Ge(0)] = 0.0,
    warmup_start: Annotated[float, Interval(gt=0, le=1)] = 0.01,
) -> Schedule:
    """Raise the learning rate to its peak, then lower it far below its start, step by step.

    With t = steps done / steps of the run, the factor goes from 1 / div_factor at t = 0 to 1 at
    t = pct_start, and on to 1 / (div_factor final_div_factor), which would be reached one step after the
    last. The optimiser's `lr` is the peak. Momentum and beta1 stay as they are: they are not cycled against
    the learning rate.

    Args:
        pct_start: Share of the steps in which the rate rises.
        div_factor: The peak over the first rate.
        final_div_factor: The first rate over the last.
        anneal: Between the ends along half a cosine, or on a straight line.
        warmup_epochs: Epochs over which the factor first rises linearly to 1 / div_factor; 0: none. The cycle
            takes the epochs that are left.
        warmup_start: Share of 1 / div_factor that the warm-up's first step has.

    Reference:
        Smith & Topin, 2019, arXiv:1708.07120, in the two phases of PyTorch's `OneCycleLR`. That one reaches
        peak and end a step sooner, since it counts from the first step to the last: with N steps these are
        its rates for total_steps = N + 1 and pct_start = (pct_start N + 1) / (N + 1).
    """
    cycle = _OneCycle(pct_start, 1 / div_factor, 1 / (div_factor * final_div_factor), anneal)
    return warmed(cycle, warmup_epochs, warmup_start)


@dataclass(frozen=True)
class _OneCycle:
    peak_at: float
    first: float
    last: float
    anneal: str
    is_per_step: ClassVar[bool] = True

    def __call__(self, epoch: float, epochs: float) -> float:
        done = (epoch - 1) / epochs
        if done < self.peak_at:
            return self._between(self.first, 1.0, done / self.peak_at)
        return self._between(1.0, self.last, (done - self.peak_at) / (1 - self.peak_at))

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal == "linear":
            return start + (end - start) * share
        return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
