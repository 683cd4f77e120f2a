"""Every guard that needs the plan alone. No torch, no data."""

from __future__ import annotations

from typing import Final

from segbench.sweep.checks import design, storage
from segbench.sweep.checks.finding import Finding, guards_of, sorted_findings
from segbench.sweep.plan import Plan

MODULES: Final = (storage, design)


def check_plan(plan: Plan) -> tuple[Finding, ...]:
    """Return what a plan alone tells about a sweep before it starts; errors first.

    Image sizes, folds and levels are checked when the file is read, the data set when the trials are planned.
    """
    guards = [guard for module in MODULES for guard in guards_of(module)]
    return sorted_findings(finding for guard in guards for finding in guard(plan))
