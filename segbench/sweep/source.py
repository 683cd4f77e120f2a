"""Where a sweep's trials come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from segbench.store.queue import QueuedTrial
from segbench.sweep.events import Event


class TrialSource(Protocol):
    """What the supervisor asks for trials, and tells what became of them.

    A design knows all of its trials before it starts (`FixedTrials`). A search asks for more as others end.
    """

    @property
    def trials(self) -> Sequence[QueuedTrial]:
        """The queue: what is to be run, in order; what has ended may be left out."""

    @property
    def asked(self) -> Sequence[QueuedTrial]:
        """Everything asked for so far, in order: what the dashboard shows."""

    @property
    def is_closed(self) -> bool:
        """Whether no trial will be added any more."""

    @property
    def num_expected(self) -> int:
        """Trials in all, as far as one can tell."""

    @property
    def num_ended(self) -> int:
        """Trials that need no worker any more."""

    def open_trials(self) -> list[QueuedTrial]:
        """Return the trials that are to be run and were asked for before this sweep began."""

    def advance(self) -> list[QueuedTrial]:
        """Return the trials to add to the queue now."""

    def handle(self, event: Event) -> None:
        """Take an event of a running trial."""


class FixedTrials:
    """The trials of a design.

    Args:
        trials: What is to be run, in order; nothing of it has ended.
        num_ended: Trials of the design that need no worker any more.
        num_expected: Trials in all; None: these and those that have ended.
    """

    def __init__(
        self, trials: Sequence[QueuedTrial], *, num_ended: int = 0, num_expected: int | None = None
    ) -> None:
        self.trials = self.asked = tuple(trials)
        self.is_closed = True
        self.num_ended = num_ended
        self.num_expected = len(self.trials) + num_ended if num_expected is None else num_expected

    def open_trials(self) -> list[QueuedTrial]:
        return list({trial.hash: trial for trial in self.trials}.values())

    def advance(self) -> list[QueuedTrial]:
        return []

    def handle(self, event: Event) -> None:
        pass
