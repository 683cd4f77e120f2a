"""Runs every scenario and checks what is required of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Final

from benchmarks.calibration.measure import Shares, measure
from benchmarks.calibration.scenarios import (
    Scenario,
    at_the_ceiling,
    collapsing,
    diverging,
    grid,
    grouped,
    rounded,
    skewed,
)

SEED: Final = 20261121

PARTS: Final[Mapping[str, Callable[[], list[Scenario]]]] = {
    "grid": grid,
    "skewed": skewed,
    "grouped": grouped,
    "collapsing": collapsing,
    "diverging": diverging,
    "rounded": rounded,
    "ceiling": at_the_ceiling,
}


@dataclass(frozen=True)
class Measured:
    """A scenario with what was counted."""

    scenario: Scenario
    shares: Shares


@dataclass(frozen=True)
class Requirement:
    """Bounds that every scenario of a part keeps."""

    text: str
    column: str
    """Field of `Shares`."""
    low: float
    high: float
    part: str = "grid"

    def extremes(self, measured: Iterable[Measured]) -> tuple[float, float, int]:
        """Return the smallest and largest share, and how many scenarios have one."""
        shares = [s for m in measured if (s := getattr(m.shares, self.column)) == s]
        return (min(shares), max(shares), len(shares)) if shares else (float("nan"), float("nan"), 0)

    def is_met(self, measured: Iterable[Measured]) -> bool:
        smallest, largest, number = self.extremes(measured)
        return number > 0 and self.low <= smallest and largest <= self.high


def requirements(slack: float = 0.0) -> list[Requirement]:
    """Return what must hold; `slack` widens every bound, for tests with fewer runs."""
    error = 0.056 + slack
    return [
        Requirement("The interval for this test set covers", "covered", 0.94 - slack, 0.96 + slack),
        Requirement("The interval for new images covers", "covered_new", 0.93 - slack, 0.99 + slack),
        Requirement("Family-wise error, this test set", "false_difference", 0.0, error),
        Requirement("Error of equivalence, this test set", "false_equivalence", 0.0, error),
        Requirement("Family-wise error, new images", "false_difference_new", 0.0, error),
        Requirement("Error of equivalence, new images", "false_equivalence_new", 0.0, error),
        Requirement("Family-wise error over three looks", "false_difference_looks", 0.0, error),
        Requirement("Error of equivalence over three looks", "false_equivalence_looks", 0.0, error),
        Requirement(
            "Unequal groups: the interval for new images covers", "covered_new", 0.94 - slack, 1.0, "grouped"
        ),
        Requirement(
            "Unequal groups: family-wise error, new images", "false_difference_new", 0.0, error, "grouped"
        ),
        Requirement("Rounded scores: the interval covers", "covered", 0.94 - slack, 1.0, "rounded"),
        Requirement("Rounded scores: family-wise error", "false_difference", 0.0, error, "rounded"),
        Requirement("Rounded scores: error of equivalence", "false_equivalence", 0.0, error, "rounded"),
        Requirement(
            "Scores at the ceiling: the interval covers", "covered", 0.93 - slack, 0.97 + slack, "ceiling"
        ),
        Requirement("Scores at the ceiling: family-wise error", "false_difference", 0.0, error, "ceiling"),
        Requirement(
            "All arms diverge alike: family-wise error", "false_difference", 0.0, error, "diverging alike"
        ),
    ]


def of_part(measured: Mapping[str, Sequence[Measured]], part: str) -> Sequence[Measured]:
    """Return the scenarios of a requirement's part; `diverging alike` are those without a true difference."""
    if part == "diverging alike":
        return [m for m in measured["diverging"] if len(set(m.scenario.divergence)) == 1]
    return measured[part]


def run(
    num_runs: int, processes: int, on_done: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, list[Measured]]:
    """Measure all parts; the draws of a scenario depend on its place in its part alone."""
    tasks = {
        (part, number): (scenario, num_runs, (SEED, place, number))
        for place, (part, scenarios) in enumerate(PARTS.items())
        for number, scenario in enumerate(scenarios())
    }
    with ProcessPoolExecutor(processes) as pool:
        futures = {pool.submit(measure_one, *task): key for key, task in tasks.items()}
        found = {}
        for future in as_completed(futures):
            found[futures[future]] = future.result()
            on_done(len(found), len(tasks))
    return {part: _in_order(found, part) for part in PARTS}


def measure_one(scenario: Scenario, num_runs: int, seed: tuple[int, ...]) -> Measured:
    """Measure a scenario; errors are those of a family without effects."""
    return Measured(scenario, measure(scenario, num_runs, seed, has_family=scenario.effect == 0))


def _in_order(found: Mapping[tuple[str, int], Measured], part: str) -> list[Measured]:
    numbers: Sequence[int] = sorted(number for name, number in found if name == part)
    return [found[part, number] for number in numbers]
