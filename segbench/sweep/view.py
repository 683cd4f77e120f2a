"""The numbers behind a progress display, kept by the events of running trials."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from segbench.records import State
from segbench.sweep.events import (
    EpochFinished,
    EpochProgress,
    Event,
    TrialFinished,
    TrialRefused,
    TrialStarted,
)


@dataclass
class RunningTrial:
    """A trial in progress."""

    label: str
    seed: int
    fold: int
    epochs: int
    epochs_done: int
    since: float
    """When the epoch in progress began, on the display's clock."""
    fraction: float = 0.0
    """Of the epoch in progress, 0 to 1."""
    train_loss: float | None = None
    val_dice: float | None = None
    epoch_times_s: list[float] = field(default_factory=list)

    def time_left_s(self, now: float) -> float | None:
        """Estimate from the trial's own epochs, or from its first one's part; None: too early."""
        if self.epoch_times_s:
            recent = self.epoch_times_s[-5:]
            epoch_s = sum(recent) / len(recent)
        elif self.fraction > 0.1:
            epoch_s = (now - self.since) / self.fraction
        else:
            return None
        return max(0.0, (self.epochs - self.epochs_done - self.fraction) * epoch_s)


class SweepView:
    """How far a sweep is.

    Args:
        total: Trials of the experiment.
        done: Trials that had ended before this sweep.
        waiting: Trials to do: hash -> epochs left.
        workers: Trials that can run at a time.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        *,
        total: int,
        done: int,
        waiting: Mapping[str, int],
        workers: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.done, self.failed, self.workers = total, done, 0, workers
        self.waiting = dict(waiting)
        self.running: dict[str, RunningTrial] = {}
        self.clock = clock
        self._began = clock()
        self._epoch_times_s: list[float] = []
        self._last_started = ""

    @property
    def elapsed_s(self) -> float:
        return self.clock() - self._began

    def add_waiting(self, trial_hash: str, epochs: int) -> None:
        """Count one more trial that will run (a search's proposal)."""
        self.waiting[trial_hash] = epochs

    def handle(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, TrialStarted):
            self.waiting.pop(event.hash, None)
            self.running[event.hash] = RunningTrial(
                label=event.label,
                seed=event.seed,
                fold=event.fold,
                epochs=event.epochs,
                epochs_done=event.epochs_done,
                since=self.clock(),
            )
            return
        trial = self.running.get(event.hash)
        if isinstance(event, EpochProgress) and trial is not None:
            trial.fraction = min(1.0, event.fraction)
        elif isinstance(event, EpochFinished) and trial is not None and event.epoch > trial.epochs_done:
            trial.epochs_done, trial.fraction, trial.since = event.epoch, 0.0, self.clock()
            trial.train_loss = event.row.get("train_loss")
            trial.val_dice = event.row.get("val_dice")
            trial.epoch_times_s.append(event.row.get("epoch_time_s", 0.0))
            self._epoch_times_s.append(trial.epoch_times_s[-1])
        elif isinstance(event, TrialFinished):
            self.running.pop(event.hash, None)
            if event.state == State.INTERRUPTED:
                if trial is not None:
                    self.waiting[event.hash] = trial.epochs - trial.epochs_done
                return
            self.done += event.state != State.FAILED
            self.failed += event.state == State.FAILED
        elif isinstance(event, TrialRefused):
            self.running.pop(event.hash, None)
            self.waiting.pop(event.hash, None)
            self.failed += 1

    def lose(self, trial_hash: str) -> None:
        """Take back a trial whose worker died: it waits again."""
        trial = self.running.pop(trial_hash, None)
        if trial is not None:
            self.waiting[trial_hash] = trial.epochs - trial.epochs_done

    def time_left_s(self) -> float | None:
        """Estimate from the mean epoch so far; None before the first one."""
        if not self._epoch_times_s:
            return None
        running = sum(t.epochs - t.epochs_done - t.fraction for t in self.running.values())
        left = running + sum(self.waiting.values())
        at_a_time = max(1, min(self.workers, len(self.running) + len(self.waiting)))
        return left * sum(self._epoch_times_s) / len(self._epoch_times_s) / at_a_time
