"""Learning-rate schedules: pure functions of the epoch, so a resumed trial needs no state."""

from segbench.registry import marker

variant = marker("schedule")
