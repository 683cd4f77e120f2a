"""The tables of cells: what each reached, and what it costs."""

from __future__ import annotations

from typing import Final

from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.numbers import NONE
from segbench.report.tables.numbered import Numbered, cell_columns, cell_fields
from segbench.report.tables.parts import is_known, rows_of, without_empty
from segbench.report.tables.table import Column, Field, Table


def cells_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the outcome of every cell."""
    frame = rows_of(labels.ordered(analysis.cells))
    lost = [", ".join(f"{int(row[key])} {key}" for key in _LOST if row[key]) for row in frame]
    outcome = labels.metric(analysis.experiment.outcome)
    numbers = Numbered(
        labels,
        "cells",
        (
            ("n", "n"),
            (outcome, "mean"),
            ("95 % interval", "interval"),
            ("sd", "sd"),
            ("Last epoch", "mean_last"),
            (labels.metric(analysis.experiment.baseline.objective.metric), "val_mean"),
            ("Epoch", "selected_epoch"),
        ),
        frozenset({"val_mean", "selected_epoch"}),
    )
    rows = [
        (
            *cell_fields(labels, row["cell"]),
            *numbers.fields(row["cell"]),
            *([Field(text=words or NONE, tone="bad" if words else "")] if any(lost) else []),
        )
        for row, words in zip(frame, lost, strict=True)
    ]
    columns = (
        *cell_columns(labels),
        *numbers.columns,
        *([Column(title="Lost", is_number=False)] if any(lost) else []),
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
    has_waits = any(is_known(row["data_wait_s"]) for row in rows_of(analysis.cells))
    has_fronts = len(analysis.cells) > 1 and any(analysis.cells["front"])
    numbers = Numbered(
        labels,
        "cells",
        (
            ("Parameters", "parameters"),
            ("FLOPs", "flops"),
            ("s per epoch", "epoch_time_s"),
            ("Images per s", "images_per_s"),
            *([("s waiting", "data_wait_s")] if has_waits else []),
            ("Peak MiB", "peak_memory_mib"),
        ),
        frozenset({"data_wait_s"}),
    )
    rows = [
        (
            *cell_fields(labels, row["cell"]),
            *numbers.fields(row["cell"]),
            *([Field(text=_front(row["front"]) or NONE)] if has_fronts else []),
        )
        for row in rows_of(labels.ordered(analysis.cells))
    ]
    columns = (
        *cell_columns(labels),
        *numbers.columns,
        *([Column(title="Not beaten in", is_number=False)] if has_fronts else []),
    )
    note = (
        "FLOPs: of one forward pass of one image, two per multiply-add. Times, throughput of training and "
        "memory are medians over seeds on the hardware named under provenance."
    )
    if has_waits:
        note += " Waiting: seconds of an epoch in which training stood still for its next batch."
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


_LOST: Final = ("diverged", "failed", "missing")
_SHORT: Final = {
    "parameters": "parameters",
    "flops": "FLOPs",
    "epoch_time_s": "time",
    "peak_memory_mib": "memory",
}
