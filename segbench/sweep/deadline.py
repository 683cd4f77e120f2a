"""A wall-clock bound: what is still worth starting, and when to stop at an epoch's end."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

from segbench.errors import ExperimentError, message

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
