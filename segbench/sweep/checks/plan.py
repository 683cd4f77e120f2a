"""Every guard that needs the plan alone. No torch, no data."""

from __future__ import annotations

from typing import Final

from segbench.sweep.checks import design, machine, seeds, storage, tuning
from segbench.sweep.checks.finding import Finding, guards_of, sorted_findings
from segbench.sweep.checks.memory import remembered
from segbench.sweep.checks.seeds import facts_of_seeds
from segbench.sweep.plan import Plan

MODULES: Final = (storage, machine, design, seeds, tuning)


def check_plan(plan: Plan) -> tuple[Finding, ...]:
    """Return what a plan alone tells about a sweep before it starts; errors first.

    Image sizes, folds and levels are checked when the file is read, the data set when the trials are planned.
    """
    guards = [guard for module in (storage, machine, design, tuning) for guard in guards_of(module)]
    found = [finding for guard in guards for finding in guard(plan)]
    return sorted_findings([*found, *_check_seeds(plan)])


def _check_seeds(plan: Plan) -> tuple[Finding, ...]:
    """Ask once for the same records: the answer needs pandas and scipy."""
    return remembered(
        plan.experiment.project,
        ["seeds", facts_of_seeds(plan)],
        lambda: [finding for guard in guards_of(seeds) for finding in guard(plan)],
    )
