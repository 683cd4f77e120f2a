"""Every guard that builds what the levels ask for, on a CPU, before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from segbench.config.experiment import Cell, Experiment
from segbench.errors import message
from segbench.guards import augmentations, levels, losses, networks
from segbench.guards.finding import Finding, Guard, Severity, guards_of, sorted_findings
from segbench.guards.probes import Probes, one_line

MODULES: Final = (networks, losses, augmentations, levels)


def check_levels(
    experiment: Experiment,
    cells: Iterable[Cell],
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Finding, ...]:
    """Return what networks, losses and augmentations of some cells tell; errors first.

    Args:
        experiment: The design that the cells are of.
        cells: The cells to look at; levels are compared where both stand among them.
        on_progress: Told (guards done, guards in all).
    """
    probes = Probes(experiment, cells)
    guards = [guard for module in MODULES for guard in guards_of(module)]
    found: list[Finding] = []
    for number, guard in enumerate(guards, start=1):
        found += _look(guard, probes)
        if on_progress is not None:
            on_progress(number, len(guards))
    return sorted_findings(dict.fromkeys(found))


def _look(guard: Guard[Probes], probes: Probes) -> list[Finding]:
    """Put a guard to what was built; where the code of a user raises, that is said instead."""
    try:
        return guard(probes)
    except Exception as error:  # whatever it is, a sweep must not end here
        where = f"{probes.experiment.name}: {guard.code}"
        text = message(where, f"it cannot be told whether the rule holds ({guard.rule}): {one_line(error)}")
        return [Finding("SB124", Severity.WARNING, text)]
