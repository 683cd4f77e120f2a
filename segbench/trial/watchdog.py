"""Signs of life: when a trial that says nothing is held to be hanging.

A hang is silence, and only silence against what the trial has shown before tells it from work: an epoch may
take an hour. Training says something at every step, an evaluation at every batch, so a trial is given twenty
of its own usual epochs, and never less than five minutes. Before any epoch is known there is nothing to judge
by but a long time; before a trial's first step, while libraries and data are loaded, nothing is said at all.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from segbench.trial.events import EpochFinished, Event, TrialFinished, TrialRefused, TrialStarted

LEAST_PATIENCE_S: Final = 300.0
PATIENCE_EPOCHS: Final = 20
FIRST_PATIENCE_S: Final = 1800.0
"""While no epoch's time is known: preparing data, compiling and a first step may take long."""

_RECENT: Final = 5
_PAUSE_S: Final = 10.0
"""A watchdog that was not asked for so long was itself asleep, and has missed what was said."""


def patience_s(
    usual_epoch_s: float | None, hang_timeout_s: float | None = None, *, has_stepped: bool = True
) -> float:
    """Return how long a trial may be silent.

    Args:
        usual_epoch_s: Time of its usual epoch; None: not known yet.
        hang_timeout_s: What the user says instead.
        has_stepped: Whether this attempt has taken a step; what the user says holds from then on.
    """
    if hang_timeout_s is not None:
        return hang_timeout_s if has_stepped else max(hang_timeout_s, LEAST_PATIENCE_S)
    if usual_epoch_s is None:
        return FIRST_PATIENCE_S
    return max(LEAST_PATIENCE_S, PATIENCE_EPOCHS * usual_epoch_s)


class Pulse:
    """The signs of life of one trial, as its own process sees them: its lease's heart beats with it."""

    def __init__(
        self, hang_timeout_s: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._hang_timeout_s, self._clock = hang_timeout_s, clock
        self._last_s = clock()
        self._has_stepped = False
        self._epochs: deque[float] = deque(maxlen=_RECENT)

    def beat(self) -> None:
        """Note that something was done."""
        self._last_s = self._clock()

    def step(self) -> None:
        """Note that a step was taken."""
        self._has_stepped = True
        self.beat()

    def end_epoch(self, epoch_time_s: float) -> None:
        """Note that an epoch was done in this time."""
        self._epochs.append(epoch_time_s)
        self.beat()

    def is_alive(self) -> bool:
        """Whether the last sign is recent enough."""
        usual = median(self._epochs) if self._epochs else None
        most_s = patience_s(usual, self._hang_timeout_s, has_stepped=self._has_stepped)
        return self._clock() - self._last_s < most_s


@dataclass
class _Watched:
    hash: str
    heard_s: float
    has_stepped: bool = False
    epochs: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))


@dataclass(frozen=True)
class Hang:
    """A worker that has been silent for too long."""

    pid: int
    hash: str
    silent_s: float


class Watchdog:
    """Listens to workers, as their supervisor does, and says which of them hang.

    A worker is watched while it has a trial. Where a trial has no epoch yet, the longest usual epoch of the
    trials heard of so far stands for its own.
    """

    def __init__(
        self, hang_timeout_s: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._hang_timeout_s, self._clock = hang_timeout_s, clock
        self._watched: dict[int, _Watched] = {}
        self._longest_s: float | None = None
        self._asked_s = clock()

    def hear(self, pid: int, event: Event) -> None:
        """Take what a worker says."""
        if isinstance(event, TrialFinished | TrialRefused):
            self.forget(pid)
            return
        if isinstance(event, TrialStarted):
            self._watched[pid] = _Watched(event.hash, self._clock())
        watched = self._watched.get(pid)
        if watched is None:
            return
        watched.heard_s = self._clock()
        watched.has_stepped = not isinstance(event, TrialStarted)
        if isinstance(event, EpochFinished):
            watched.epochs.append(event.row.get("epoch_time_s", 0.0))
            self._longest_s = max(self._longest_s or 0.0, median(watched.epochs))

    def forget(self, pid: int) -> None:
        """Watch a worker no more: it has no trial, or is gone."""
        self._watched.pop(pid, None)

    def hangs(self) -> list[Hang]:
        """Return the workers that hang now, each once."""
        now = self._clock()
        if now - self._asked_s > _PAUSE_S:
            for watched in self._watched.values():
                watched.heard_s = now
        self._asked_s = now
        found = []
        for pid, watched in list(self._watched.items()):
            usual = median(watched.epochs) if watched.epochs else self._longest_s
            silent_s = now - watched.heard_s
            if silent_s >= patience_s(usual, self._hang_timeout_s, has_stepped=watched.has_stepped):
                found.append(Hang(pid, watched.hash, silent_s))
                self.forget(pid)
        return found
