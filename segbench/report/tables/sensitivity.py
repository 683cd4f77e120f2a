"""The table of the named sensitivity: residual error pooled over cells."""

from __future__ import annotations

from segbench.report.analysis import Analysis
from segbench.report.figures.forest import contrast_name
from segbench.report.labels import Labels
from segbench.report.phrases import percent
from segbench.report.tables.numbered import Numbered
from segbench.report.tables.parts import rows_of
from segbench.report.tables.table import Column, Field, Table
from segbench.report.trace_frames import contrast_subject

_NOTE = (
    "Sensitivity: a repeated-measures analysis of variance would pool the residual error over all cells and "
    "so have more degrees of freedom (df). It takes all cells to vary alike over seeds; no verdict rests on "
    "it. Says otherwise: one of the two intervals alone excludes 0."
)


def sensitivity_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the judged effects with their own error and with the pooled one."""
    level = percent(analysis.level)
    shown = (
        ("Difference", "difference"),
        (f"{level} interval, own error", "interval"),
        ("df", "df"),
        (f"{level} interval, pooled error", "interval_pooled"),
        ("df", "df_pooled"),
    )
    numbers = Numbered(labels, "sensitivity", shown)
    rows = [
        (
            Field(text=contrast_name(row, labels)),
            *numbers.fields(contrast_subject(analysis, row)),
            Field(text="yes" if row["says_otherwise"] else "no"),
        )
        for row in rows_of(analysis.sensitivity)
    ]
    columns = (
        Column(title="Contrast", is_number=False),
        *numbers.columns,
        Column(title="Says otherwise", is_number=False),
    )
    return Table(
        name="sensitivity",
        caption="Sensitivity: residual error pooled over cells.",
        columns=columns,
        rows=tuple(rows),
        note=_NOTE,
    )
