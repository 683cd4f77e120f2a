"""Lower the rate where nothing improves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Interval

from segbench.axes.schedule import Schedule, variant
from segbench.axes.schedule._warmup import warmed


@variant
def plateau(
    *,
    factor: Annotated[float, Interval(gt=0, lt=1)] = 0.1,
    patience: Annotated[int, Ge(0)] = 10,
    threshold: Annotated[float, Ge(0)] = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: Annotated[int, Ge(0)] = 0,
    min_factor: Annotated[float, Interval(ge=0, le=1)] = 0.0,
    warmup_epochs: Annotated[float, Ge(0)] = 0.0,
    warmup_start: Annotated[float, Interval(gt=0, le=1)] = 0.01,
) -> Schedule:
    """Lower the learning rate when the objective has stopped improving.

    The rate is multiplied by `factor` after more than `patience` epochs in a row that did not improve on the
    best value before them; an improvement is larger than `threshold` times the size of that best value (rel),
    or than `threshold` (abs). The value is that of the experiment's `objective`, signed by its direction; an
    epoch where it is NaN is one that did not improve. The factor is computed anew from all epochs done, so a
    resumed trial goes on with the same one.

    Args:
        factor: What each drop multiplies the rate by.
        patience: Epochs without an improvement that are let pass; the next one drops the rate.
        threshold: The least improvement that counts.
        threshold_mode: Whether the threshold is relative to the best value.
        cooldown: Epochs after a drop that are not counted as failures.
        min_factor: The factor never falls below it.
        warmup_epochs: Epochs over which the factor first rises linearly, step by step; 0: none. They are not
            counted, and neither are their values.
        warmup_start: Factor of the warm-up's first step.

    Reference:
        PyTorch's `ReduceLROnPlateau`, whose `min_lr` is min_factor times the optimiser's rate, and which
        leaves out drops smaller than 1e-8 (`eps`).
    """
    drops = _Plateau(factor, patience, threshold, threshold_mode, cooldown, min_factor)
    return warmed(drops, warmup_epochs, warmup_start)


@dataclass(frozen=True)
class _Plateau:
    factor: float
    patience: int
    threshold: float
    threshold_mode: str
    cooldown: int
    min_factor: float
    is_adaptive: ClassVar[bool] = True

    def __call__(self, epoch: float, epochs: float, objective: Sequence[float]) -> float:
        now, best = 1.0, None
        num_bad = num_cooling = 0
        for value in objective:
            if self._is_improvement(value, best):
                best, num_bad = value, 0
            else:
                num_bad += 1
            if num_cooling > 0:
                num_cooling -= 1
                num_bad = 0
            if num_bad > self.patience:
                now = max(now * self.factor, self.min_factor)
                num_cooling, num_bad = self.cooldown, 0
        return now

    def _is_improvement(self, value: float, best: float | None) -> bool:
        if best is None:
            return value == value  # NaN is none
        size = abs(best) if self.threshold_mode == "rel" else 1.0
        return value > best + self.threshold * size
