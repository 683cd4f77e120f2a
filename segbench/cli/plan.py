"""What `segbench plan` prints: the cells with what they cost, and the sweep as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
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
from segbench.cli.printing import console, duration
from segbench.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from segbench.guards import Finding
    from segbench.plan.costs import Cost, Costs
    from segbench.plan.plan import Plan, PlanEntry
    from segbench.trial.devices import Slot


def print_plan(plan: Plan, costs: Costs, slots: Sequence[Slot]) -> None:
    """Print a plan, for a sweep with these workers; of a search only what it searches."""
    from rich.markup import escape

    from segbench.config.experiment import Search

    experiment = plan.experiment
    to = console()
    to.print(f"{escape(experiment.name)}: {escape(experiment.question)}", soft_wrap=True)
    if isinstance(search := experiment.kind, Search):
        from segbench.sweep.studies import describe_search

        names = ", ".join(parameter.name for parameter in search.parameters)
        to.print(
            f"A search over {escape(names)}: {escape(describe_search(search))}. "
            "`segbench status` shows those that were made.",
            soft_wrap=True,
        )
        return
    if plan.entries or not plan.tunings:
        _print_cells(plan, costs, to)
    if plan.tunings:
        from segbench.plan.plan import tuning_lines

        for line in tuning_lines(plan):
            to.print(escape(line), soft_wrap=True)
    for line in _summary(plan, costs, slots):
        to.print(escape(line), soft_wrap=True)


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
        _print_long(names, numbers, rows, to)
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for name in names:
        table.add_column(escape(name))
    for name in numbers:
        table.add_column(name, justify="right")
    table.add_column("state")
    for row in rows:
        table.add_row(*map(escape, row))
    to.print(table)


def _print_long(
    names: Sequence[str], numbers: Sequence[str], rows: Sequence[Sequence[str]], to: Console
) -> None:
    """Print a row a line, as wide as it is."""
    from rich.cells import cell_len

    head = (*names, *numbers, "state")
    widths = [max(map(cell_len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        padded = []
        for place, (text, width) in enumerate(zip(row, widths, strict=True)):
            room = " " * (width - cell_len(text))
            padded.append(room + text if len(names) <= place < len(head) - 1 else text + room)
        lines.append("  ".join(padded).rstrip())
    to.out("\n".join(lines), highlight=False)


_COLUMNS: Final[Mapping[str, Callable[[Cost], str]]] = {
    "parameters": lambda cost: _text(cost.parameters, "{:,}"),
    "GFLOP": lambda cost: _text(None if cost.flops is None else cost.flops / 1e9, "{:.3g}"),
    "s/epoch": lambda cost: _text(cost.epoch_time_s, "{:.3g}"),
    "MiB": lambda cost: _text(cost.memory_mib, "{:,.0f}"),
}
"""Column -> text of a cost, empty where nobody knows."""


def _text(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _summary(plan: Plan, costs: Costs, slots: Sequence[Slot]) -> list[str]:
    lines = []
    if plan.tunings:
        from segbench.plan.plan import tuning_size

        lines.append(f"{tuning_size(plan)}.")
    if plan.is_finished:
        lines.append("Every trial is finished: a sweep has nothing to do.")
    else:
        copied = (
            f", {counted(len(plan.to_reuse), 'trial')} to copy from other experiments"
            if plan.to_reuse
            else ""
        )
        lines.append(f"{counted(plan.num_to_run, 'trial')} to run{copied}; {_time(plan, costs, slots)}.")
    lines += _aliases(plan)
    lines += _look(plan)
    lines += _whence(costs.values())
    lines += _resolution(plan)
    if plan.orphans:
        lines.append(
            f"{counted(len(plan.orphans), 'trial')} on disk no longer in the design: kept, not reported."
        )
    lines += [f"Left out: {reason}" for _, reason in plan.unreadable]
    return lines


def _look(plan: Plan) -> list[str]:
    """Say which look the trials belong to, and how many only later looks may ask for."""
    if not plan.later:
        return []
    from segbench.plan.plan import look_words

    experiment = plan.experiment
    now = experiment.first_seeds(len({entry.trial.seed for entry in plan.entries}))
    later = counted(len(plan.later), "further trial")
    return [f"{look_words(experiment, now)}; {later} only if a later look asks for them."]


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


def _aliases(plan: Plan) -> list[str]:
    """Return the alias table of a fraction."""
    experiment = plan.experiment
    if experiment.design.kind != "fractional":
        return []
    from segbench.config.pairing import alias_lines, title

    lines = alias_lines(experiment.design)
    numbers = {"num_cells": len(experiment.cells), "num_axes": len(experiment.axes)}
    head = title(experiment.design, **numbers)
    if not lines:
        return [f"{head}. No effects of up to two axes have aliases of up to three."]
    return [f"{head}. Effects that it cannot tell from each other:", *(f"  {line}" for line in lines)]


def _whence(costs: Collection[Cost]) -> list[str]:
    """Say what the columns are, and where times come from."""
    lines = []
    if any(cost.flops for cost in costs):
        lines.append("GFLOP: a forward pass of one image, two operations a multiply-add.")
    sources = dict.fromkeys(cost.source for cost in costs if cost.source)
    if sources:
        lines.append(f"Time and memory: {'; '.join(sources)}.")
    return lines


def _resolution(plan: Plan) -> list[str]:
    """Say which differences the seeds can show."""
    from segbench.plan.power import smallest_difference

    found = smallest_difference(plan)
    if found is None:
        return []
    difference, spread = found
    experiment = plan.experiment
    margin = f", the margin is {experiment.margin:g}" if experiment.margin else ""
    return [
        f"{len(experiment.seeds)} seeds show differences in {experiment.outcome} of {difference:.2g} or more "
        f"with 80 % power{margin}: per-seed differences have {spread.text}."
    ]


def _states(entries: Sequence[PlanEntry]) -> str:
    states = Counter(
        "copied in" if entry.reusable is not None and not entry.state.is_finished else str(entry.state)
        for entry in entries
    )
    return ", ".join(f"{count} {state}" for state, count in states.items())


# `segbench plan`: what a sweep would do.


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
    from segbench.cli.printing import print_changes, refusal
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
    from segbench.cli.printing import file_bar
    from segbench.guards import check_plan, check_work, sorted_findings

    with file_bar("guards asked", has_lines=False) as on_progress:
        return sorted_findings([*check_plan(plan), *check_work(plan, on_progress=on_progress)])


def _print_findings(plan: Plan, findings: Sequence[Finding]) -> None:
    from collections import Counter

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
    from segbench.cli.printing import file_bar
    from segbench.data import decode
    from segbench.guards.subjects import distinct_data
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
