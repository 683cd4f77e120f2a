"""The table of the named sensitivity: residual error pooled over cells."""

from __future__ import annotations

from segbench.report.analysis import Analysis
from segbench.report.figures.forest import contrast_name
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers, count
from segbench.report.phrases import percent
from segbench.report.tables.parts import rows_of
from segbench.report.tables.table import Column, Field, Table

_NOTE = (
    "Sensitivity: a repeated-measures analysis of variance would pool the residual error over all cells and "
    "so have more degrees of freedom (df). It takes all cells to vary alike over seeds; no verdict rests on "
    "it. Says otherwise: one of the two intervals alone excludes 0."
)


def sensitivity_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the judged effects with their own error and with the pooled one."""
    numbers = Numbers(labels.style.digits)
    rows = []
    for row in [] if analysis.sensitivity is None else rows_of(analysis.sensitivity):
        metric = row["metric"]
        rows.append(
            (
                Field(text=contrast_name(row, labels)),
                Field(text=numbers.of(metric, row["difference"], is_difference=True), sort=row["difference"]),
                Field(
                    text=numbers.interval_of(metric, row["low"], row["high"]),
                    sort=row["low"],
                    high=row["high"],
                ),
                Field(text=count(row["df"]), sort=row["df"]),
                Field(
                    text=numbers.interval_of(metric, row["low_pooled"], row["high_pooled"]),
                    sort=row["low_pooled"],
                    high=row["high_pooled"],
                ),
                Field(text=count(row["df_pooled"]), sort=row["df_pooled"]),
                Field(text="yes" if row["says_otherwise"] else "no"),
            )
        )
    level = percent(analysis.level)
    columns = (
        Column(title="Contrast", is_number=False),
        Column(title="Difference"),
        Column(title=f"{level} interval, own error"),
        Column(title="df"),
        Column(title=f"{level} interval, pooled error"),
        Column(title="df"),
        Column(title="Says otherwise", is_number=False),
    )
    return Table(
        name="sensitivity",
        caption="Sensitivity: residual error pooled over cells.",
        columns=columns,
        rows=tuple(rows),
        note=_NOTE,
    )
