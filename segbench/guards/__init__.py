"""What is refused or warned about before any work starts; docs/guards.md has an entry for every code.

A guard declares its code, its severity and what it is asked about (`finding`). `check_plan` asks the guards
of a plan and of its seeds. `check_work` asks those of arms, of pixels and of what the levels build, and
remembers the answers, so that nothing is looked at twice. `codes` names the guards without importing them.
"""

from __future__ import annotations

from segbench.guards.design import check_plan, check_work, num_guards
from segbench.guards.finding import Finding, Guard, Severity, refuses, sorted_findings

__all__ = [
    "Finding",
    "Guard",
    "Severity",
    "check_plan",
    "check_work",
    "num_guards",
    "refuses",
    "sorted_findings",
]
