"""The learning rate of every step."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from segbench.axes.schedule import Schedule
from segbench.engine.state import set_lr


class Rates:
    """Sets learning rates: the optimiser's own, times the factor of the schedule. It has no state."""

    def __init__(self, optimizer: torch.optim.Optimizer, schedule: Schedule, *, epochs: int) -> None:
        """Take the optimiser's present rates for its own.

        Args:
            optimizer: As it was built.
            schedule: The factor (`segbench.axes.schedule`).
            epochs: Epochs of the whole run.
        """
        self._optimizer = optimizer
        self._base = [float(group["lr"]) for group in optimizer.param_groups]
        self._schedule = schedule
        self._epochs = epochs
        self._is_per_step = bool(getattr(schedule, "is_per_step", False))
        self._is_adaptive = bool(getattr(schedule, "is_adaptive", False))

    def set(self, epoch: int, step: int, num_steps: int, objective: Sequence[float]) -> None:
        """Set the rate of a step.

        Args:
            epoch: From 1.
            step: Within the epoch, from 1.
            num_steps: Steps in the epoch.
            objective: Its value after each epoch done, the higher the better.
        """
        if step > 1 and not self._is_per_step:
            return
        at = epoch + (step - 1) / num_steps if self._is_per_step else epoch
        known = (objective,) if self._is_adaptive else ()
        factor = self._schedule(at, self._epochs, *known)
        for group, base in zip(self._optimizer.param_groups, self._base, strict=True):
            set_lr(group, base * factor)
