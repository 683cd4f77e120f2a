"""`segbench plan`: what a sweep would do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.cli.options import (
    AsOption,
    ExperimentArgument,
    JsonOption,
    OnlyOption,
    ScaleOption,
    SeedsOption,
    SetOption,
    SmokeOption,
    StrictOption,
)
from segbench.cli.resources import DeviceOption

if TYPE_CHECKING:
    from segbench.sweep.checks import Finding
    from segbench.sweep.costs import Costs
    from segbench.sweep.devices import Slot
    from segbench.sweep.plan import Plan


def plan(
    experiment: ExperimentArgument,
    scale: ScaleOption = None,
    set_: SetOption = None,
    smoke: SmokeOption = False,
    only: OnlyOption = None,
    seeds: SeedsOption = None,
    device: DeviceOption = "auto",
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Train a few steps of what was never timed on such a device."),
    ] = False,
    as_: AsOption = None,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a sweep would do.

    Cells with what they cost, trials to run and done, how long it would take, the smallest difference that
    the seeds can show, and what the guards say. The exit code is 2 where a sweep would be refused.
    """
    from segbench.cli.changes import print_changes, refusal
    from segbench.cli.plan_table import print_plan
    from segbench.config.load import load_experiment
    from segbench.sweep.changes import find_changes
    from segbench.sweep.checks import refuses
    from segbench.sweep.plan import plan_trials

    loaded = load_experiment(experiment, scale=scale, overrides=set_ or (), smoke=smoke, name=as_)
    if loaded.search is not None:
        from segbench.sweep.search_records import read_known

        read_known(loaded)  # refused here where it is to be warmed by what is not there
    whole = plan_trials(loaded)
    changes = find_changes(whole)
    found = whole.narrowed(only=only, seeds=seeds) if only or seeds else whole
    findings = _findings(found)
    slots = _slots(found, device)
    costs = _costs(found, slots[0], measures=measure)
    if as_json:
        import json

        content = {**_content(found, costs), "findings": [finding.to_json() for finding in findings]}
        content["changes"] = [] if changes is None else [*changes.lines, *changes.effects]
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        if changes is not None:
            print_changes(changes)
        print_plan(found, costs, slots)
        _print_findings(found, findings)
    if changes is not None and changes.superseded and not smoke:
        typer.echo(refusal(loaded.name, changes), err=True)
        raise typer.Exit(2)
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


def _slots(plan: Plan, device: str) -> list[Slot]:
    """Return the workers that a sweep would have."""
    from segbench.sweep.devices import plan_slots

    return plan_slots(
        device, num_trials=max(1, plan.num_to_run, len({entry.trial.hash for entry in plan.entries}))
    )


def _costs(plan: Plan, slot: Slot, *, measures: bool) -> Costs:
    from segbench.cli.bars import file_bar
    from segbench.data import decode
    from segbench.sweep.checks.subjects import distinct_data
    from segbench.sweep.costs import costs_of

    if measures:  # what is measured trains a few steps
        with file_bar("images decoded") as on_progress:
            for config in distinct_data(plan):
                decode(config, plan.experiment.project, on_progress=on_progress)
    with file_bar("configurations measured") as on_progress:
        return costs_of(plan, slot, measures=measures, on_progress=on_progress)


def _content(plan: Plan, costs: Costs) -> dict[str, Any]:
    from dataclasses import asdict

    from segbench.sweep.costs import time_s
    from segbench.sweep.resolution import smallest_difference
    from segbench.sweep.tuning import tuning_content

    experiment = plan.experiment
    resolvable = smallest_difference(plan)
    return {
        "experiment": experiment.name,
        "question": experiment.question,
        "design": asdict(experiment.design),
        "is_finished": plan.is_finished and experiment.search is None,
        "to_run": len(plan.to_run),
        "to_reuse": len(plan.to_reuse),
        "time_s": time_s(plan, costs),
        "smallest_difference": None if resolvable is None else resolvable[0],
        "cells": [
            {
                "cell": cell.label,
                "levels": dict(cell.levels),
                **asdict(costs[cell.config_hash]),
                "trials": [
                    {
                        "hash": entry.trial.hash,
                        "seed": entry.trial.seed,
                        "fold": entry.trial.fold,
                        "state": str(entry.state),
                        "reusable": _reusable(entry.reusable),
                    }
                    for entry in entries
                ],
            }
            for cell, entries in plan.by_cell()
        ],
        **({"tuning": tuning_content(plan)} if plan.tunings else {}),
        "later": len(plan.later),
        "orphans": [record.hash for record in plan.orphans],
        "unreadable": dict(plan.unreadable),
    }


def _reusable(folder: Any) -> str | None:
    return None if folder is None else f"{folder.experiment.name}/{folder.hash}"
