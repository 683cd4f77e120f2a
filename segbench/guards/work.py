"""Every guard that needs the plan alone. No torch, no data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from segbench.config.experiment import Cell
from segbench.guards import batches, data, design, seeds, storage
from segbench.guards.batches import Arms
from segbench.guards.finding import Finding, codes, guards_of, keep, recall, remembered, sorted_findings
from segbench.guards.seeds import facts_of_seeds
from segbench.guards.subjects import DataSubject, cells_of, data_key, facts_of, has_work
from segbench.plan.plan import Plan

MODULES: Final = (storage, design, seeds)


def check_plan(plan: Plan) -> tuple[Finding, ...]:
    """Return what a plan alone tells about a sweep before it starts; errors first.

    Image sizes, folds and levels are checked when the file is read, the data set when the trials are planned.
    """
    guards = [guard for module in (storage, design) for guard in guards_of(module)]
    found = [finding for guard in guards for finding in guard(plan)]
    return sorted_findings([*found, *_check_seeds(plan)])


def _check_seeds(plan: Plan) -> tuple[Finding, ...]:
    """Ask once for the same records: the answer needs pandas and scipy."""
    return remembered(
        plan.experiment.project,
        ["seeds", facts_of_seeds(plan)],
        lambda: [finding for guard in guards_of(seeds) for finding in guard(plan)],
    )


# Guards that look at the data and at the networks: only where something will be trained, and once.


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
    return len(codes() if has_work(plan) else codes(MODULES))


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
            known = tuple(finding for guard in guards_of(data) for finding in guard(seen))
            if seen.pixels is not None:
                keep(plan.experiment.project, subject, known)
        yield from known


def _check_levels(plan: Plan, facts: Facts, on_progress: OnProgress | None) -> tuple[Finding, ...]:
    subject = ["levels", facts]
    known = recall(plan.experiment.project, subject)
    if known is None:
        # Not at the top: a plan whose levels were looked at needs no torch.
        from segbench.guards.built import check_levels

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
