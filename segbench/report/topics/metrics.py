"""The other test metrics of every cell: whatever the records hold beside the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from segbench.config.experiment import Experiment
from segbench.quantities import QUANTITIES, Kind, find_quantity
from segbench.report.analysis import Analysis
from segbench.report.columns import Numbered, cell_columns, cell_fields, rows_of
from segbench.report.labels import Labels
from segbench.report.table import Column, Table
from segbench.report.trace import (
    FrameSpec,
    Measured,
    Quantity,
    Row,
    Source,
    interval,
    show_count,
    show_of_row,
)
from segbench.stats.intervals import summarise

_ROOM: Final = 90
"""Characters that a line of the PDF has room for, gaps between columns included."""
_GAP: Final = 2


def metrics_frame(experiment: Experiment, table: pd.DataFrame) -> pd.DataFrame:
    """Return `Analysis.metrics`: every recorded test metric but the outcome, at the selected weights.

    Means over seeds with their t-intervals; the folds of a seed are averaged first.
    """
    keys = ["cell", *(axis.name for axis in experiment.axes)]
    names = _recorded(table, experiment.outcome)
    per_seed = table.groupby([*keys, "seed"], sort=False, dropna=False, observed=True)[names].mean()
    long = per_seed.reset_index().melt([*keys, "seed"], names, "metric", "value")
    return summarise(long, [*keys, "metric"], "value")


def _recorded(table: pd.DataFrame, outcome: str) -> list[str]:
    """Return the metrics that some trial has, in the order of columns, those made elsewhere last."""
    found = []
    for name in [*QUANTITIES, *(name for name in table if name not in QUANTITIES)]:
        quantity = find_quantity(name) if name in table and name != outcome else None
        is_shown = quantity is not None and quantity.kind is Kind.TEST and not quantity.is_at_last
        if is_shown and table[name].notna().any():
            found.append(name)
    return found


def metrics_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the mean of every other metric: a row per cell, a column per metric."""
    frame = analysis.metrics
    names = [] if frame is None or frame.empty else list(frame["metric"].unique())
    columns = (*cell_columns(labels), *_columns(names, labels))
    rows = [
        (
            *cell_fields(labels, row["cell"]),
            *(
                field
                for name in names
                for field in Numbered(labels, "metrics", (("", "mean"),)).fields(f"{row['cell']}, {name}")
            ),
        )
        for row in rows_of(labels.ordered(analysis.cells))
    ]
    weights = "" if analysis.experiment.foreign else " at the selected weights"
    is_cut = not all(column.in_print for column in columns)
    note = (
        f"Means over seeds{weights} of what was measured beside the outcome; nothing is judged by them. "
        "Intervals, n and sd stand in data/metrics.csv."
        + (" The PDF has no room for all of them; the other pages show all." if is_cut else "")
    )
    return Table(
        name="metrics",
        caption="Other test metrics of every cell.",
        columns=columns,
        rows=tuple(rows) if names else (),
        note=note,
    )


def _columns(names: Sequence[str], labels: Labels) -> list[Column]:
    """Return a column per metric; the PDF shows the first ones, as many as fit beside the axes."""
    used = sum(_GAP + max(map(len, column)) for column in _axis_texts(labels))
    columns = []
    for name in names:
        title = labels.style.labels.get(name) or _title(name)
        used += _GAP + max(6, *map(len, title.split(" ")))
        columns.append(Column(title=title, in_print=used <= _ROOM))
    return columns


def _axis_texts(labels: Labels) -> list[list[str]]:
    rows = [cell_fields(labels, row["cell"]) for row in rows_of(labels.analysis.cells)]
    heads = [column.title for column in cell_columns(labels)]
    return [[head, *(row[k].text for row in rows)] for k, head in enumerate(heads)]


def _title(name: str) -> str:
    quantity = find_quantity(name)
    metric = None if quantity is None else quantity.metric
    if metric is None:
        return name
    words = f"{metric.words[:1].upper()}{metric.words[1:]}"
    return f"{words} ({metric.unit})" if metric.unit else words


def _numbers(analysis: Analysis) -> list[Quantity]:
    t = "Mean ± t(0.975, n − 1) · sd / √n over seeds."
    of = "at the selected weights."
    return [
        Quantity(
            name="n",
            words="seeds",
            formula="Seeds that completed and measured the metric.",
            show=show_count,
        ),
        Quantity(name="mean", words="mean", formula=f"Mean over seeds {of}", show=show_of_row()),
        interval("95 % interval of the mean", t, show_of_row()),
        Quantity(name="sd", words="standard deviation", formula=f"sd over seeds {of}", show=show_of_row()),
    ]


def metric_subject(analysis: Analysis, row: Row) -> str:
    return f"{row['cell']}, {row['metric']}"


def _source(measured: Measured, row: Row, quantity: Quantity) -> Source:
    return measured.of_cell(str(row["cell"]), str(row["metric"]))


METRICS_FRAME: Final = FrameSpec(name="metrics", subject=metric_subject, quantities=_numbers, source=_source)
