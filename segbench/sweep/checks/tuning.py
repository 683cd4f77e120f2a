"""The guard of a tuned design: every cell has the same chance. No torch, no data."""

from __future__ import annotations

from collections.abc import Iterator

from segbench.errors import message
from segbench.records import State
from segbench.sweep.checks.finding import Severity, guard
from segbench.sweep.plan import Plan


@guard("SB130", Severity.WARNING)
def budgets_are_equal(plan: Plan) -> Iterator[str]:
    """Every cell has had as many tuning trials that ended without failure as every other."""
    over = [tuning for tuning in plan.tunings if tuning.is_over]
    usable = {id(tuning): tuning.num_ended - tuning.count(State.FAILED) for tuning in over}
    most = max(usable.values(), default=0)
    short = [tuning for tuning in over if usable[id(tuning)] < most]
    if not short:
        return
    name = plan.experiment.name
    repeats = {tuning.repeat for tuning in over}
    counts = "; ".join(
        f"{t.cell.label}{f' (repeat {t.repeat})' if len(repeats) > 1 else ''} {usable[id(t)]}" for t in short
    )
    yield message(
        f"{name}: tune",
        f"tuning trials that failed leave cells a smaller budget than the {most} trials of others: {counts}",
        see=f"Each log.txt says why; `segbench sweep {name} --retry failed` runs them again",
    )
