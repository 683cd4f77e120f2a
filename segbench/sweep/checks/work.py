"""Guards that look at the data and at the networks: only where something will be trained, and once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from segbench.config.experiment import Cell
from segbench.sweep.checks import batches, data, scaling
from segbench.sweep.checks import plan as plan_guards
from segbench.sweep.checks.batches import Arms
from segbench.sweep.checks.catalogue import codes
from segbench.sweep.checks.finding import Finding, guards_of, sorted_findings
from segbench.sweep.checks.memory import keep, recall, remembered
from segbench.sweep.checks.subjects import DataSubject, cells_of, data_key, facts_of, has_work
from segbench.sweep.plan import Plan

OnProgress = Callable[[int, int], None]
"""Told (guards asked, guards in all) while networks are built."""

Facts = Mapping[str, Any]
"""What decides the findings, as plain JSON types."""


def check_work(plan: Plan, *, on_progress: OnProgress | None = None) -> tuple[Finding, ...]:
    """Return what the data and the networks tell about a sweep before it starts; errors first.

    Nothing is looked at where nothing is left to train, and nothing twice: findings are remembered until the
    design, the data, a variant or a guard changes. No pixel is decoded: guards read the cache where there is
    one, and say so where there is none.

    Raises:
        DataError: The data set is missing, or cannot be split as asked.
    """
    if not has_work(plan):
        return ()
    facts = facts_of(plan)
    findings = [
        *_check_batches(plan, facts),
        *_check_data(plan, facts),
        *_check_levels(plan, facts, on_progress),
    ]
    return sorted_findings(dict.fromkeys(findings))


def num_guards(plan: Plan) -> int:
    """Return how many guards `check_plan` and `check_work` put to a plan."""
    return len(codes() if has_work(plan) else codes(plan_guards.MODULES))


def _check_batches(plan: Plan, facts: Facts) -> tuple[Finding, ...]:
    def look() -> list[Finding]:
        arms = Arms.of(plan)
        return [finding for guard in guards_of(batches) for finding in guard(arms)]

    return remembered(plan.experiment.project, ["batches", facts], look)


def _check_data(plan: Plan, facts: Facts) -> Iterator[Finding]:
    for key, cells in _sharing(cells_of(plan)).items():
        subject = ["data", key, facts]
        known = recall(plan.experiment.project, subject)
        if known is None:
            seen = DataSubject.of(plan.experiment, cells)
            known = tuple(
                finding
                for module in (data, scaling)
                for guard in guards_of(module)
                for finding in guard(seen)
            )
            if seen.pixels is not None:
                keep(plan.experiment.project, subject, known)
        yield from known


def _check_levels(plan: Plan, facts: Facts, on_progress: OnProgress | None) -> tuple[Finding, ...]:
    subject = ["levels", facts]
    known = recall(plan.experiment.project, subject)
    if known is None:
        # Not at the top: a plan whose levels were looked at needs no torch.
        from segbench.sweep.checks.built import check_levels

        known = check_levels(plan.experiment, cells_of(plan), on_progress=on_progress)
        if all(finding.code != "SB124" for finding in known):  # what cannot be built now may be tomorrow
            keep(plan.experiment.project, subject, known)
    return known


def _sharing(cells: Iterable[Cell]) -> dict[str, tuple[Cell, ...]]:
    """Return the cells by the data and split that they share."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(data_key(cell.config), []).append(cell)
    return {key: tuple(each) for key, each in found.items()}
