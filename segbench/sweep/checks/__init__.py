"""What is refused or warned about before any work starts; docs/guards.md has an entry for every code.

`storage` and `design` look at a plan alone. The other modules read the data or build networks; they run only
where something will be trained.
"""

from __future__ import annotations

from segbench.sweep.checks import design, storage
from segbench.sweep.checks.finding import Finding, Guard, Severity, guards_of, sorted_findings
from segbench.sweep.plan import Plan

__all__ = ["Finding", "Guard", "Severity", "check_plan"]


def check_plan(plan: Plan) -> tuple[Finding, ...]:
    """Return what a plan alone tells about a sweep before it starts; errors first. No torch, no data.

    Image sizes, folds and levels are checked when the file is read, the data set when the trials are planned.
    """
    guards = [*guards_of(storage), *guards_of(design)]
    return sorted_findings(finding for guard in guards for finding in guard(plan))
