"""The other test metrics of every cell: whatever the records hold beside the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pandas as pd

from segbench.config.experiment import Experiment
from segbench.quantities import QUANTITIES, Kind, find_quantity
from segbench.records import axis_column
from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.numbers import NONE
from segbench.report.steps import mean_steps
from segbench.report.table import Field, Table
from segbench.report.topics.topic import (
    Column,
    Frame,
    Number,
    TablePart,
    Text,
    Topic,
    cell_columns,
    interval,
)
from segbench.report.trace import Row, rows_of, show_count, show_of_row
from segbench.stats.intervals import summarise

_ROOM: Final = 90
"""Characters that a line of the PDF has room for, gaps between columns included."""
_GAP: Final = 2


def metrics_frame(experiment: Experiment, table: pd.DataFrame) -> pd.DataFrame:
    """Return `Analysis.metrics`: every recorded test metric but the outcome, at the selected weights.

    Means over seeds with their t-intervals; the folds of a seed are averaged first.
    """
    keys = ["cell", *(axis_column(axis.name) for axis in experiment.axes)]
    names = _recorded(table, experiment.outcome)
    per_seed = table.groupby([*keys, "seed"], sort=False, dropna=False, observed=True)[names].mean()
    long = per_seed.reset_index().melt([*keys, "seed"], names, "metric", "value")
    return summarise(long, [*keys, "metric"], "value")


def _recorded(table: pd.DataFrame, outcome: str) -> list[str]:
    """Return the metrics that some trial has, in the order of columns, those made elsewhere last."""
    found: list[str] = []
    for name in [*QUANTITIES, *(name for name in map(str, table) if name not in QUANTITIES)]:
        quantity = find_quantity(name) if name in table and name != outcome else None
        is_shown = quantity is not None and quantity.kind is Kind.TEST and not quantity.is_at_last
        if is_shown and table[name].notna().any():
            found.append(name)
    return found


def _title(name: str) -> str:
    quantity = find_quantity(name)
    metric = None if quantity is None else quantity.metric
    if metric is None:
        return name
    words = f"{metric.words[:1].upper()}{metric.words[1:]}"
    return f"{words} ({metric.unit})" if metric.unit else words


def _numbers(analysis: Analysis) -> list[Column]:
    t = "Mean ± t(0.975, n − 1) · sd / √n over seeds."
    of = "at the selected weights."
    return [
        Number(
            name="n",
            words="seeds",
            formula="Seeds that completed and measured the metric.",
            show=show_count,
        ),
        Number(name="mean", words="mean", formula=f"Mean over seeds {of}", show=show_of_row()),
        interval("95 % interval of the mean", t, show_of_row()),
        Number(name="sd", words="standard deviation", formula=f"sd over seeds {of}", show=show_of_row()),
    ]


METRICS: Final = Frame(
    name="metrics",
    subject=lambda analysis, row: f"{row['cell']}, {row['metric']}",
    columns=_numbers,
    source=lambda measured, row, number: measured.of_cell(str(row["cell"]), str(row["metric"])),
    steps=mean_steps("mean", "mean"),
)


def _columns(analysis: Analysis) -> list[Column]:
    """Return a column per metric, with its mean in each cell."""

    def of(name: str) -> Text:
        def mean(labels: Labels, row: Row) -> Field:
            trace = METRICS.trace(labels, {"cell": row["cell"], "metric": name}, "mean")
            if trace is None or not isinstance(trace.value, float):
                return Field(text=NONE)
            return Field(text=trace.printed, sort=trace.value, hover=trace.hover)

        return Text(
            name=name,
            title=lambda labels: labels.style.labels.get(name) or _title(name),
            text=mean,
            is_number=True,
        )

    names = dict.fromkeys(row["metric"] for row in rows_of(analysis.metrics))
    return [*cell_columns(analysis), *map(of, names)]


_CELLS: Final = Frame(name="cells", columns=_columns)


def _cells(labels: Labels) -> list[Row]:
    return list(rows_of(labels.ordered(labels.analysis.cells))) if rows_of(labels.analysis.metrics) else []


def _fitted(labels: Labels, table: Table) -> Table:
    """Let the PDF show the first metrics only, as many as fit beside the axes, and say so."""
    used = 0
    heads = []
    for k, head in enumerate(table.columns):
        words = head.title.split(" ") if head.is_number else [head.title, *(r[k].text for r in table.rows)]
        used += _GAP + max(6 if head.is_number else 0, *map(len, words))
        heads.append(replace(head, in_print=not head.is_number or used <= _ROOM))
    is_cut = not all(head.in_print for head in heads)
    cut = " The PDF has no room for all of them; the other pages show all." if is_cut else ""
    return replace(table, columns=tuple(heads), note=table.note + cut)


def _note(labels: Labels, rows: Sequence[Row]) -> str:
    weights = "" if labels.analysis.experiment.foreign else " at the selected weights"
    return (
        f"Means over seeds{weights} of what was measured beside the outcome; nothing is judged by them. "
        "Intervals, n and sd stand in data/metrics.csv."
    )


TOPIC: Final = Topic(
    name="metrics",
    section="cells",
    frames=(METRICS,),
    tables=(
        TablePart(
            name="metrics",
            frame=_CELLS,
            caption="Other test metrics of every cell.",
            rows=_cells,
            note=_note,
            finish=_fitted,
        ),
    ),
)
