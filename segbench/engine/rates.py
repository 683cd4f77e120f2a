"""The learning rate of every step."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from segbench.axes.schedule import Schedule
from segbench.engine.state import set_lr


class Rates:
    """Sets learning rates: the optimiser's own, times the factor of the schedule. It has no state."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, base: Sequence[float], schedule: Schedule, *, epochs: int
    ) -> None:
        """Take rates for the optimiser's own.

        Args:
            optimizer: Its rates are set.
            base: The rate of each of its groups, as it was built.
            schedule: The factor (`segbench.axes.schedule`).
            epochs: Epochs of the whole run.
        """
        self._optimizer = optimizer
        self._base = base
        self._first = base[0]
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
        self._first = self._base[0] * factor
        for group, base in zip(self._optimizer.param_groups, self._base, strict=True):
            set_lr(group, base * factor)

    @property
    def lr(self) -> float:
        """The first group's rate; where a GPU keeps it in float32, as it was set."""
        lr = self._optimizer.param_groups[0]["lr"]
        return self._first if isinstance(lr, torch.Tensor) else float(lr)


def rates_on_device(optimizer: torch.optim.Optimizer) -> list[float]:
    """Return the rate of every group, and keep it as a tensor where the step's kernels read it on the GPU.

    They then read what it is when they run, and a recorded step follows the schedule.
    """
    base = [float(group["lr"]) for group in optimizer.param_groups]
    for group, lr in zip(optimizer.param_groups, base, strict=True):
        device = group["params"][0].device
        if device.type == "cuda" and (group.get("fused") or group.get("capturable")):
            group["lr"] = torch.tensor(lr, dtype=torch.float32, device=device)
    return base
