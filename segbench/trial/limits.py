"""When a process ends, and when a silent one is held to be hanging.

A lost terminal does not end a process. A signal asks it to stop, once politely and twice at once. A time
limit says what is still worth starting, and when to stop at an epoch's end.

A hang is silence, and only what the trial has shown before tells silence from work: an epoch may take an
hour. Training says something at every step and an evaluation at every batch, so a trial is given twenty of
its own usual epochs, and never less than the limit it starts with.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from types import FrameType
from typing import Any, Final

from segbench.errors import ExperimentError, message
from segbench.trial.events import EpochFinished, Event, TrialFinished, TrialRefused, TrialStarted


def outlive_terminal() -> None:
    """Go on without output where the terminal is closed or its connection lost.

    SIGHUP, which then comes, ends nothing; what is written to a terminal that is gone is dropped, where it
    would raise `OSError` (EIO) and end whoever writes. Pipes and files are left alone.
    """
    signal.signal(signal.SIGHUP, lambda number, frame: _leave_lost_terminals())
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, _Outliving) and stream.isatty():
            setattr(sys, name, _Outliving(stream))


class _Outliving:
    """A text stream to a terminal; without the terminal it writes nowhere."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return int(self._stream.write(text))
        except OSError as error:
            _go_on_if_lost(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            _go_on_if_lost(error)


def _go_on_if_lost(error: OSError) -> None:
    if error.errno != errno.EIO:
        raise error
    _leave_lost_terminals()


def _leave_lost_terminals() -> None:
    """Let standard input and output lead nowhere where they were a terminal that is gone."""
    for number in (0, 1, 2):
        try:
            termios.tcgetattr(number)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                nowhere = os.open(os.devnull, os.O_RDWR)
                os.dup2(nowhere, number)
                os.close(nowhere)


# Asking a process to stop: once politely, twice at once.


class StopRequest:
    """Set by SIGINT, SIGTERM, or by whoever calls `set`; the work looks at it between two epochs."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __call__(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Sleep, or return True as soon as the request comes."""
        return self._event.wait(seconds)

    def install(self) -> None:
        """Handle signals: the second SIGINT or SIGTERM raises `KeyboardInterrupt`; SIGHUP ends nothing.

        SIGUSR1, which `segbench stop` sends, asks politely however often it comes.
        """
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGUSR1, lambda number, frame: self._event.set())
        outlive_terminal()

    def watch_parent(self) -> None:
        """Set the request when the process that started this one is gone: standard input ends then."""
        threading.Thread(
            target=self._wait_for_parent, args=(os.getppid(),), name="parent", daemon=True
        ).start()

    def _wait_for_parent(self, parent: int) -> None:
        try:
            while os.read(0, 1024):
                pass
        except OSError:
            while os.getppid() == parent and not self._event.wait(1.0):
                pass
        self._event.set()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._event.is_set():
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing disturbs the record of the interruption
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            raise KeyboardInterrupt
        self._event.set()


# A wall-clock bound: what is still worth starting, and when to stop at an epoch's end.


RESERVE_S: Final = 10.0
"""Kept back from a time limit, for saving, ending processes and writing the index."""

OUT_OF_TIME: Final = 75
"""Exit code of a supervised worker that a time limit ended."""

_CAUTION: Final = 1.2
"""An epoch may take this much longer than the slowest of those before it."""

_UNITS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION: Final = re.compile(
    r"(?:(?P<d>\d+)d)?(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?"
)


def parse_duration(text: str, where: str = "--time-limit") -> float:
    """Return a duration in seconds: `90s`, `50m`, `8h`, `1h30m`, `2d`.

    Raises:
        ExperimentError: It is none, or nothing long.
    """
    found = _DURATION.fullmatch(text.strip())
    parts = {unit: float(n) for unit, n in found.groupdict().items() if n} if found else {}
    seconds = sum(_UNITS[unit] * number for unit, number in parts.items())
    if seconds <= 0:
        rule = "a duration is a number with its unit: 90s, 50m, 8h, 1h30m or 2d"
        raise ExperimentError(message(where, rule, got=text))
    return seconds


class Deadline:
    """A moment of this host's monotonic clock; a clock that is set back does not move it."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at_s = clock() + seconds

    def left_s(self) -> float:
        """Return the time left; negative when it is over."""
        return self._at_s - self._clock()


class OutOfTime(Exception):
    """The deadline came within an epoch; what was saved before it stays."""


class TimeLimit:
    """What one worker may still begin before a deadline, judged by the epochs it has seen.

    Args:
        deadline: When it must be over.
        reserve_s: Kept back before it.
    """

    def __init__(self, deadline: Deadline, reserve_s: float = RESERVE_S) -> None:
        self._deadline, self._reserve_s = deadline, reserve_s
        self._first_s: dict[str, float] = {}

    def note_first(self, shape: str, seconds: float) -> None:
        """Remember how long a trial of a shape took from its start to its first saved epoch."""
        self._first_s[shape] = max(seconds, self._first_s.get(shape, 0.0))

    def may_start(self, shape: str) -> bool:
        """Whether a trial of a shape can make an epoch; one of an unknown shape as the slowest known."""
        needed_s = self._first_s.get(shape, max(self._first_s.values(), default=0.0))
        return self._has(needed_s)

    def may_go_on(self, epoch_s: float, *, is_last: bool) -> bool:
        """Whether there is time for another epoch, and for the test images after the last one."""
        return self._has(2 * epoch_s if is_last else epoch_s)

    def is_over(self) -> bool:
        """Whether even an epoch in progress must end."""
        return self._deadline.left_s() <= self._reserve_s

    def _has(self, needed_s: float) -> bool:
        left_s = self._deadline.left_s() - self._reserve_s
        return left_s > 0 and left_s >= _CAUTION * needed_s


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
    """The signs of life of one trial: its lease's heart beats with it, and its supervisor watches it."""

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

    @property
    def usual_epoch_s(self) -> float | None:
        """The median of the last epochs; None before the first."""
        return median(self._epochs) if self._epochs else None

    @property
    def silent_s(self) -> float:
        """Time since the last sign."""
        return self._clock() - self._last_s

    def is_alive(self, usual_epoch_s: float | None = None) -> bool:
        """Whether the last sign is recent enough, with another trial's usual epoch as long as it has none."""
        usual = usual_epoch_s if self.usual_epoch_s is None else self.usual_epoch_s
        return self.silent_s < patience_s(usual, self._hang_timeout_s, has_stepped=self._has_stepped)


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
        self._watched: dict[int, tuple[str, Pulse]] = {}
        """Worker -> the hash of its trial, and the signs of life."""
        self._longest_s: float | None = None
        self._asked_s = clock()

    def hear(self, pid: int, event: Event) -> None:
        """Take what a worker says."""
        if isinstance(event, TrialFinished | TrialRefused):
            self.forget(pid)
        elif isinstance(event, TrialStarted):
            self._watched[pid] = event.hash, Pulse(self._hang_timeout_s, self._clock)
        elif pid in self._watched:
            _, pulse = self._watched[pid]
            pulse.step()
            if isinstance(event, EpochFinished):
                pulse.end_epoch(event.row.get("epoch_time_s", 0.0))
                self._longest_s = max(self._longest_s or 0.0, pulse.usual_epoch_s or 0.0)

    def forget(self, pid: int) -> None:
        """Watch a worker no more: it has no trial, or is gone."""
        self._watched.pop(pid, None)

    def hangs(self) -> list[Hang]:
        """Return the workers that hang now, each once."""
        now = self._clock()
        if now - self._asked_s > _PAUSE_S:
            for _, pulse in self._watched.values():
                pulse.beat()
        self._asked_s = now
        found = [
            Hang(pid, trial_hash, pulse.silent_s)
            for pid, (trial_hash, pulse) in self._watched.items()
            if not pulse.is_alive(self._longest_s)
        ]
        for hang in found:
            self.forget(hang.pid)
        return found
