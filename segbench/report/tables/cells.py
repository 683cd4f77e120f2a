"""The tables of cells: what each reached, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, Numbers, count, magnitude, significant
from segbench.report.tables.parts import is_known, rows_of, without_empty
from segbench.report.tables.table import Column, Field, Table


def cells_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the outcome of every cell."""
    numbers = Numbers(labels.style.digits)
    frame = rows_of(labels.ordered(analysis.cells))
    axes = labels.axes
    has_lost = any(row[key] for row in frame for key in ("diverged", "failed", "missing"))
    traced = _tracer(labels)
    rows = []
    for row in frame:
        lost = [f"{int(row[key])} {key}" for key in ("diverged", "failed", "missing") if row[key]]
        names = [Field(text=labels.name(str(row[axis])) or NONE) for axis in axes] or [
            Field(text=labels.cell(row["cell"]))
        ]
        rows.append(
            (
                *names,
                Field(text=count(row["n"]), sort=row["n"], hover=traced(row, "n")),
                Field(text=numbers.value(row["mean"]), sort=row["mean"], hover=traced(row, "mean")),
                Field(
                    text=numbers.interval(row["low"], row["high"]),
                    sort=row["low"],
                    high=row["high"],
                    hover=traced(row, "interval"),
                ),
                Field(text=numbers.value(row["sd"]), sort=row["sd"], hover=traced(row, "sd")),
                Field(
                    text=numbers.value(row["mean_last"]),
                    sort=row["mean_last"],
                    hover=traced(row, "mean_last"),
                ),
                Field(
                    text=numbers.value(row["val_mean"]), sort=row["val_mean"], hover=traced(row, "val_mean")
                ),
                Field(
                    text=_plain(row["selected_epoch"]),
                    sort=row["selected_epoch"],
                    hover=traced(row, "selected_epoch"),
                ),
                *([Field(text=", ".join(lost) or NONE, tone="bad" if lost else "")] if has_lost else []),
            )
        )
    outcome = labels.metric(analysis.experiment.outcome)
    objective = labels.metric(analysis.experiment.baseline.objective.metric)
    columns = (
        *(Column(title=labels.name(axis), is_number=False) for axis in axes or ["cell"]),
        Column(title="n"),
        Column(title=outcome),
        Column(title="95 % interval"),
        Column(title="sd"),
        Column(title="Last epoch"),
        Column(title=objective, in_print=False),
        Column(title="Epoch", in_print=False),
        *([Column(title="Lost", is_number=False)] if has_lost else []),
    )
    weights = "" if analysis.experiment.foreign else " at the selected weights"
    note = (
        f"Means over n seeds of {outcome}{weights}, with t-intervals over seeds. Intervals of two cells do "
        "not judge their difference; the effects do."
    )
    table = Table(
        name="cells", caption="Outcome of every cell.", columns=columns, rows=tuple(rows), note=note
    )
    return without_empty(table) if analysis.experiment.foreign else table


def costs_table(analysis: Analysis, labels: Labels) -> Table:
    """Return size, time and memory of every cell."""
    axes = labels.axes
    traced = _tracer(labels)
    has_fronts = len(analysis.cells) > 1 and any(analysis.cells["front"])
    rows = []
    for row in rows_of(labels.ordered(analysis.cells)):
        names = [Field(text=labels.name(str(row[axis])) or NONE) for axis in axes] or [
            Field(text=labels.cell(row["cell"]))
        ]
        rows.append(
            (
                *names,
                Field(
                    text=magnitude(row["parameters"]), sort=row["parameters"], hover=traced(row, "parameters")
                ),
                Field(text=magnitude(row["flops"]), sort=row["flops"], hover=traced(row, "flops")),
                Field(
                    text=significant(row["epoch_time_s"]),
                    sort=row["epoch_time_s"],
                    hover=traced(row, "epoch_time_s"),
                ),
                Field(
                    text=significant(row["images_per_s"]),
                    sort=row["images_per_s"],
                    hover=traced(row, "images_per_s"),
                ),
                Field(
                    text=count(row["peak_memory_mib"]),
                    sort=row["peak_memory_mib"],
                    hover=traced(row, "peak_memory_mib"),
                ),
                *([Field(text=_front(row["front"]) or NONE)] if has_fronts else []),
            )
        )
    columns = (
        *(Column(title=labels.name(axis), is_number=False) for axis in axes or ["cell"]),
        Column(title="Parameters"),
        Column(title="FLOPs"),
        Column(title="s per epoch"),
        Column(title="Images per s"),
        Column(title="Peak MiB"),
        *([Column(title="Not beaten in", is_number=False)] if has_fronts else []),
    )
    note = (
        "FLOPs: of one forward pass of one image, two per multiply-add. Times, throughput of training and "
        "memory are medians over seeds on the hardware named under provenance."
    )
    if has_fronts:
        note += (
            " Not beaten in a cost: no other cell has as good a mean "
            f"{labels.metric(analysis.experiment.outcome)} for as little of it, and one of the two better. "
            "Means alone are compared, without their intervals."
        )
    has_costs = any(
        is_known(row["parameters"]) or is_known(row["epoch_time_s"]) for row in rows_of(analysis.cells)
    )
    return Table(
        name="costs",
        caption="Cost of every cell.",
        columns=columns,
        rows=tuple(rows) if has_costs else (),
        note=note,
    )


def _front(names: str) -> str:
    """Name the costs of a front in short."""
    words = [_SHORT[name] for name in names.split()]
    return "all" if len(words) == len(_SHORT) else ", ".join(words)


_SHORT: Final = {
    "parameters": "parameters",
    "flops": "FLOPs",
    "epoch_time_s": "time",
    "peak_memory_mib": "memory",
}


def _tracer(labels: Labels) -> Callable[[Mapping[str, Any], str], str]:
    return lambda row, name: labels.traces.hover("cells", str(row["cell"]), name)


def _plain(value: float) -> str:
    return f"{value:g}" if is_known(value) else NONE
