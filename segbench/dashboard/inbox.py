"""What a slow database has yet to be told: one entry a trial, however much happens to it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final

MOST_VALUES: Final = 10_000
"""Values kept in all; beyond it a trial's epochs are read from its file when its turn comes."""


@dataclass
class Change:
    """What happened to a trial since it was last written."""

    is_new: bool = False
    has_state: bool = False
    epochs: dict[int, float] = field(default_factory=dict)
    """Epoch -> objective."""
    has_more_epochs: bool = False
    """Whether some were left out: `epochs.csv` has all."""


class Inbox:
    """Changes by trial, in the order in which trials first changed; putting never waits for the taker."""

    def __init__(self) -> None:
        self._changes: dict[str, Change] = {}
        self._num_values = 0
        self._is_closed = False
        self._condition = threading.Condition()

    def __len__(self) -> int:
        return len(self._changes)

    def put_new(self, trial_hash: str) -> None:
        """Say that a trial was added."""
        with self._condition:
            self._change(trial_hash).is_new = True

    def put_state(self, trial_hash: str) -> None:
        """Say that a trial's record has changed."""
        with self._condition:
            self._change(trial_hash).has_state = True

    def put_epoch(self, trial_hash: str, epoch: int, value: float) -> None:
        """Give a trial's objective after an epoch."""
        with self._condition:
            change = self._change(trial_hash)
            if self._num_values >= MOST_VALUES:
                change.has_more_epochs = True
            elif epoch not in change.epochs:
                change.epochs[epoch] = value
                self._num_values += 1

    def take(self, timeout_s: float | None = None) -> tuple[str, Change] | None:
        """Return the oldest change; None where the time is over, or the inbox is closed and empty."""
        with self._condition:
            self._condition.wait_for(lambda: self._changes or self._is_closed, timeout_s)
            if not self._changes:
                return None
            trial_hash = next(iter(self._changes))
            change = self._changes.pop(trial_hash)
            self._num_values -= len(change.epochs)
            return trial_hash, change

    def clear(self) -> None:
        """Forget everything: the files are about to be read."""
        with self._condition:
            self._changes.clear()
            self._num_values = 0

    def close(self) -> None:
        """Let `take` end when nothing is left."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()

    @property
    def is_over(self) -> bool:
        """Whether it is closed and empty."""
        with self._condition:
            return self._is_closed and not self._changes

    def _change(self, trial_hash: str) -> Change:
        self._condition.notify_all()
        return self._changes.setdefault(trial_hash, Change())
