"""What is refused or warned about before any work starts; docs/guards.md has an entry for every code.

`check_plan` looks at the plan alone: `storage`, `design` and `seeds`. `check_work` looks at what is to be
trained: `batches` at the index, `data` at the decoded pixels, `built` at what the levels build, which it
remembers (`memory`), so that nothing is looked at twice. `codes` names the guards without importing them.
"""

from __future__ import annotations

from segbench.guards.finding import Finding, Guard, Severity, refuses, sorted_findings
from segbench.guards.work import check_plan, check_work, num_guards

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
