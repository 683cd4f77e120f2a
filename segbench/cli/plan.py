"""`segbench plan`: what a sweep would do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from segbench.cli.options import (
    ExperimentArgument,
    JsonOption,
    OnlyOption,
    ScaleOption,
    SeedsOption,
    SetOption,
    SmokeOption,
    StrictOption,
)

if TYPE_CHECKING:
    from segbench.config.experiment import Cell
    from segbench.sweep.checks import Finding
    from segbench.sweep.plan import Plan


def plan(
    experiment: ExperimentArgument,
    scale: ScaleOption = None,
    set_: SetOption = None,
    smoke: SmokeOption = False,
    only: OnlyOption = None,
    seeds: SeedsOption = None,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a sweep would do.

    Cells, trials to run, trials done, how long it would take, and what the guards say. The exit code is 2
    where a sweep would be refused.
    """
    from segbench.config.load import load_experiment
    from segbench.sweep.checks import refuses
    from segbench.sweep.plan import plan_trials

    loaded = load_experiment(experiment, scale=scale, overrides=set_ or (), smoke=smoke)
    found = plan_trials(loaded).narrowed(only=only, seeds=seeds)
    findings = _findings(found)
    if as_json:
        import json

        content = {**_content(found), "findings": [finding.to_json() for finding in findings]}
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        _print(found)
        _print_findings(found, findings)
    if any(refuses(finding, is_strict=strict) for finding in findings):
        raise typer.Exit(2)


def _findings(plan: Plan) -> tuple[Finding, ...]:
    from segbench.cli.bars import file_bar
    from segbench.sweep.checks import check_plan, check_work, sorted_findings

    with file_bar("guards asked", has_lines=False) as on_progress:
        return sorted_findings([*check_plan(plan), *check_work(plan, on_progress=on_progress)])


def _print_findings(plan: Plan, findings: Sequence[Finding]) -> None:
    from collections import Counter

    from segbench.sweep.checks import num_guards

    for finding in findings:
        typer.echo(f"{finding.severity} {finding.code}: {finding.text}")
    counts = Counter(str(finding.severity) for finding in findings)
    said = ", ".join(f"{n} {what}" if n == 1 else f"{n} {what}s" for what, n in counts.items())
    typer.echo(f"{num_guards(plan)} guards looked: {said or 'nothing found'}.")


def _content(plan: Plan) -> dict[str, Any]:
    experiment = plan.experiment
    return {
        "experiment": experiment.name,
        "question": experiment.question,
        "is_finished": plan.is_finished and experiment.search is None,
        "to_run": len(plan.to_run),
        "to_reuse": len(plan.to_reuse),
        "time_s": _time_s(plan),
        "cells": [
            {
                "cell": cell.label,
                "levels": dict(cell.levels),
                "parameters": _parameters(plan, cell),
                "trials": [
                    {
                        "hash": entry.trial.hash,
                        "seed": entry.trial.seed,
                        "fold": entry.trial.fold,
                        "state": str(entry.state),
                        "reusable": _reusable(entry.reusable),
                    }
                    for entry in plan.of_cell(cell)
                ],
            }
            for cell in experiment.cells
            if plan.of_cell(cell)
        ],
        "orphans": [record.hash for record in plan.orphans],
        "unreadable": dict(plan.unreadable),
    }


def _print(plan: Plan) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    experiment = plan.experiment
    console = Console(highlight=False)
    console.print(f"{escape(experiment.name)}: {escape(experiment.question)}", soft_wrap=True)
    if experiment.search is not None:
        names = ", ".join(parameter.name for parameter in experiment.search.parameters)
        console.print(
            f"A search over {escape(names)}: {experiment.search.num_trials} proposals by "
            f"{escape(experiment.search.sampler)}. `segbench status` shows those that were made."
        )
        return
    table = Table(box=None, header_style="bold")
    for axis in experiment.axes:
        table.add_column(escape(axis.name))
    if not experiment.axes:
        table.add_column("cell")
    for name in ("done", "parameters"):
        table.add_column(name, justify="right")
    table.add_column("state")
    for cell in experiment.cells:
        entries = plan.of_cell(cell)
        if not entries:
            continue
        done = sum(entry.state.is_finished for entry in entries)
        parameters = _parameters(plan, cell)
        table.add_row(
            *([escape(cell.levels[axis.name]) for axis in experiment.axes] or [cell.label]),
            f"{done}/{len(entries)}",
            "-" if parameters is None else f"{parameters:,}",
            _states(plan, cell),
        )
    console.print(table)
    for line in _summary(plan):
        console.print(escape(line), soft_wrap=True)


def _summary(plan: Plan) -> list[str]:
    lines = []
    if plan.is_finished:
        lines.append("Every trial is finished: a sweep has nothing to do.")
    else:
        copied = f", {_trials(len(plan.to_reuse))} to copy from other experiments" if plan.to_reuse else ""
        seconds = _time_s(plan)
        time = (
            "no record yet of how long an epoch takes" if seconds is None else f"about {_duration(seconds)}"
        )
        lines.append(f"{_trials(len(plan.to_run))} to run{copied}; one after another: {time}.")
    if plan.orphans:
        lines.append(f"{_trials(len(plan.orphans))} on disk no longer in the design: kept, not reported.")
    lines += [f"Left out: {reason}" for _, reason in plan.unreadable]
    return lines


def _time_s(plan: Plan) -> float | None:
    """Return how long the trials to run take one after another; None where a cell's epoch was never timed."""
    from segbench.sweep.overview import seconds_per_epoch

    total = 0.0
    for entry in plan.to_run:
        cell = entry.trial.cell
        pace = seconds_per_epoch([e.record for e in plan.of_cell(cell) if e.record is not None])
        if pace is None:
            return None
        epochs_done = entry.record.epochs_done if entry.record is not None else 0
        total += pace * max(cell.config.epochs - epochs_done, 0)
    return total


def _parameters(plan: Plan, cell: Cell) -> int | None:
    records = (entry.record for entry in plan.of_cell(cell))
    return next((r.parameters for r in records if r is not None and r.parameters is not None), None)


def _states(plan: Plan, cell: Cell) -> str:
    from collections import Counter

    states = Counter(
        "copied in" if entry.reusable is not None and not entry.state.is_finished else str(entry.state)
        for entry in plan.of_cell(cell)
    )
    return ", ".join(f"{count} {state}" for state, count in states.items())


def _reusable(folder: Any) -> str | None:
    return None if folder is None else f"{folder.experiment.name}/{folder.hash}"


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
