"""`segbench plan`: what a sweep would do, as the cells with their costs and the sweep as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from segbench.cli.options import (
    AsOption,
    DeviceOption,
    ExperimentArgument,
    JsonOption,
    OnlyOption,
    ScaleOption,
    SeedsOption,
    SetOption,
    SmokeOption,
    StrictOption,
)
from segbench.cli.printing import console, duration, file_bar, print_changes, print_json, refusal
from segbench.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from segbench.guards import Finding
    from segbench.plan.costs import Cost, Costs
    from segbench.plan.plan import Plan, PlanEntry
    from segbench.trial.devices import Slot


def print_plan(plan: Plan, costs: Costs, slots: Sequence[Slot]) -> None:
    """Print a plan, for a sweep with these workers; of a search only what it searches."""
    from segbench.config.experiment import Search
    from segbench.plan.plan import tuning_lines

    experiment = plan.experiment
    to = console()
    to.out(f"{experiment.name}: {experiment.question}", highlight=False)
    if isinstance(search := experiment.kind, Search):
        from segbench.sweep.studies import describe_search

        names = ", ".join(parameter.name for parameter in search.parameters)
        made = "`segbench status` shows those that were made."
        to.out(f"A search over {names}: {describe_search(search)}. {made}", highlight=False)
        return
    if plan.entries or not plan.tunings:
        _print_cells(plan, costs, to)
    tunings = tuning_lines(plan) if plan.tunings else []
    for line in (*tunings, *_summary(plan, costs, slots)):
        to.out(line, highlight=False)


_MOST_WRAPPED = 500
"""Rows up to which a table is fitted to the terminal; laying out 10,000 would take rich 8 s."""


def _print_cells(plan: Plan, costs: Costs, to: Console) -> None:
    axes = [axis.name for axis in plan.experiment.axes]
    known = [name for name, value in _COLUMNS.items() if any(value(cost) for cost in costs.values())]
    rows = []
    for cell, entries in plan.by_cell():
        done = sum(entry.state.is_finished for entry in entries)
        cost = costs[cell.config_hash]
        rows.append(
            (
                *([cell.levels.get(axis, "-") for axis in axes] or [cell.label]),
                f"{done}/{len(entries)}",
                *(_COLUMNS[name](cost) or "-" for name in known),
                _states(entries),
            )
        )
    names, numbers = axes or ["cell"], ("done", *known)
    if len(rows) > _MOST_WRAPPED:
        _print_unwrapped((*names, *numbers, "state"), rows, range(len(names), len(names) + len(numbers)), to)
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for name in (*names, *numbers, "state"):
        table.add_column(escape(name), justify="right" if name in numbers else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    to.print(table)


def _print_unwrapped(
    head: Sequence[str], rows: Sequence[Sequence[str]], right: Container[int], to: Console
) -> None:
    """Print one line per row, as wide as it is; columns of some numbers stand to the right."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        padded = []
        for place, (text, width) in enumerate(zip(row, widths, strict=True)):
            room = " " * (width - cell_len(text))
            padded.append(room + text if place in right else text + room)
        to.out("  ".join(padded).rstrip(), highlight=False)


_COLUMNS: Final[Mapping[str, Callable[[Cost], str]]] = {
    "parameters": lambda cost: _text(cost.parameters, "{:,}"),
    "GFLOP": lambda cost: _text(None if cost.flops is None else cost.flops / 1e9, "{:.3g}"),
    "s/epoch": lambda cost: _text(cost.epoch_time_s, "{:.3g}"),
    "MiB": lambda cost: _text(cost.memory_mib, "{:,.0f}"),
}
"""Column -> text of a cost, empty where nobody knows."""


def _text(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _summary(plan: Plan, costs: Costs, slots: Sequence[Slot]) -> Iterator[str]:
    """Say what is to run, how long that takes, where the numbers come from and what the seeds can show."""
    from segbench.config.pairing import alias_lines, title
    from segbench.plan.plan import look_words, tuning_size
    from segbench.plan.power import smallest_difference

    experiment = plan.experiment
    if plan.tunings:
        yield f"{tuning_size(plan)}."
    if plan.is_finished:
        yield "Every trial is finished: a sweep has nothing to do."
    else:
        reused = counted(len(plan.to_reuse), "trial") if plan.to_reuse else ""
        copied = f", {reused} to copy from other experiments" if reused else ""
        yield f"{counted(plan.num_to_run, 'trial')} to run{copied}; {_time(plan, costs, slots)}."
    if experiment.design.kind == "fractional":
        lines = alias_lines(experiment.design)
        head = title(experiment.design, num_cells=len(experiment.cells), num_axes=len(experiment.axes))
        told = "Effects that it cannot tell from each other:"
        yield f"{head}. {told if lines else 'No effects of up to two axes have aliases of up to three.'}"
        yield from (f"  {line}" for line in lines)
    if plan.later:
        now = experiment.first_seeds(len({entry.trial.seed for entry in plan.entries}))
        later = counted(len(plan.later), "further trial")
        yield f"{look_words(experiment, now)}; {later} only if a later look asks for them."
    if any(cost.flops for cost in costs.values()):
        yield "GFLOP: a forward pass of one image; a multiply-add counts as two operations."
    sources = dict.fromkeys(cost.source for cost in costs.values() if cost.source)
    if sources:
        yield f"Time and memory: {'; '.join(sources)}."
    if (found := smallest_difference(plan)) is not None:
        difference, spread = found
        margin = f", the margin is {experiment.margin:g}" if experiment.margin else ""
        yield (
            f"{len(experiment.seeds)} seeds show differences in {experiment.outcome} of {difference:.2g} or "
            f"more with 80 % power{margin}: per-seed differences have {spread.text}."
        )
    if plan.orphans:
        yield f"{counted(len(plan.orphans), 'trial')} on disk no longer in the design: kept, not reported."
    yield from (f"Left out: {reason}" for _, reason in plan.unreadable)


def _time(plan: Plan, costs: Costs, slots: Sequence[Slot]) -> str:
    """Say how long the trials to run take, one after another and with the workers of a sweep."""
    from segbench.plan.costs import time_s

    seconds = time_s(plan, costs)
    if seconds is None:
        return "one after another: no record yet of how long an epoch takes; `--measure` takes a few steps"
    workers = min(len(slots), plan.num_to_run)
    text = f"one after another: about {duration(seconds)}"
    if slots[0].device == "cuda":
        text += f" ({seconds / 3600:.2g} GPU hours)"
    return text if workers < 2 else f"{text}; with {workers} workers: about {duration(seconds / workers)}"


def _states(entries: Sequence[PlanEntry]) -> str:
    states = Counter(
        "copied in" if entry.reusable is not None and not entry.state.is_finished else str(entry.state)
        for entry in entries
    )
    return ", ".join(f"{count} {state}" for state, count in states.items())


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
    from segbench.config.load import load_experiment
    from segbench.guards import refuses
    from segbench.plan.history import find_changes
    from segbench.plan.plan import plan_trials
    from segbench.sweep.studies import study_of

    loaded = load_experiment(experiment, scale=scale, overrides=set_ or (), smoke=smoke, name=as_)
    study_of(loaded).check()
    whole = plan_trials(loaded)
    changes = find_changes(whole)
    found = whole.narrowed(only=only, seeds=seeds) if only or seeds else whole
    findings = _findings(found)
    slots = _slots(found, device)
    costs = _costs(found, slots[0], measures=measure)
    if as_json:
        content = {**_content(found, costs), "findings": [finding.to_json() for finding in findings]}
        content["changes"] = [] if changes is None else [*changes.lines, *changes.effects]
        print_json(content)
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
    from segbench.guards import check_plan, check_work, sorted_findings

    with file_bar("guards asked", has_lines=False) as on_progress:
        return sorted_findings([*check_plan(plan), *check_work(plan, on_progress=on_progress)])


def _print_findings(plan: Plan, findings: Sequence[Finding]) -> None:
    from segbench.guards import num_guards

    for finding in findings:
        typer.echo(f"{finding.severity} {finding.code}: {finding.text}")
    counts = Counter(str(finding.severity) for finding in findings)
    said = ", ".join(counted(n, what) for what, n in counts.items())
    typer.echo(f"{num_guards(plan)} guards looked: {said or 'nothing found'}.")


def _slots(plan: Plan, device: str) -> list[Slot]:
    """Return the workers that a sweep would have."""
    from segbench.trial.devices import plan_slots

    return plan_slots(
        device, num_trials=max(1, plan.num_to_run, len({entry.trial.hash for entry in plan.entries}))
    )


def _costs(plan: Plan, slot: Slot, *, measures: bool) -> Costs:
    from segbench.data import decode
    from segbench.guards.data import distinct_data
    from segbench.plan.costs import costs_of

    if measures:  # what is measured trains a few steps
        with file_bar("images decoded") as on_progress:
            for config in distinct_data(plan):
                decode(config, plan.experiment.project, on_progress=on_progress)
    with file_bar("configurations measured") as on_progress:
        return costs_of(plan, slot, measures=measures, on_progress=on_progress)


def _content(plan: Plan, costs: Costs) -> dict[str, Any]:
    from dataclasses import asdict

    from segbench.plan.costs import time_s
    from segbench.plan.plan import tuning_content
    from segbench.plan.power import smallest_difference

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
                        "reusable": entry.reusable
                        and f"{entry.reusable.experiment.name}/{entry.reusable.hash}",
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
