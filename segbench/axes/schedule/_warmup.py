"""Linear warm-up before any schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from segbench.axes.schedule import Schedule


def warmed(schedule: Schedule, warmup_epochs: float, warmup_start: float) -> Schedule:
    """Put a warm-up before a schedule; without epochs it is the schedule itself.

    While less than `warmup_epochs` epochs are done, factor = first (start + (1 - start) done / warmup_epochs)
    at every step, where done = epoch - 1 and first is the schedule's own first factor. Then the schedule runs
    as it would over the epochs that are left; one that looks at the objective sees it from the first whole
    epoch after the warm-up on.
    """
    return Warmed(schedule, warmup_epochs, warmup_start) if warmup_epochs > 0 else schedule


@dataclass(frozen=True)
class Warmed:
    """A schedule after its warm-up."""

    schedule: Schedule
    warmup_epochs: float
    warmup_start: float
    is_per_step: ClassVar[bool] = True

    @property
    def is_adaptive(self) -> bool:
        return bool(getattr(self.schedule, "is_adaptive", False))

    def __call__(self, epoch: float, epochs: float, *objective: Sequence[float]) -> float:
        done = epoch - 1
        if done < self.warmup_epochs:
            first = self.schedule(1, epochs, *(() for _ in objective))
            return first * (self.warmup_start + (1 - self.warmup_start) * done / self.warmup_epochs)
        at = epoch if getattr(self.schedule, "is_per_step", False) else math.floor(epoch)
        seen = math.ceil(self.warmup_epochs)
        return self.schedule(
            max(at - self.warmup_epochs, 1),
            epochs - self.warmup_epochs,
            *(values[seen:] for values in objective),
        )
