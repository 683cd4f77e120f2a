"""The tables of what is missing: trials that did not complete, records left out."""

from __future__ import annotations

from segbench.report.analysis import Analysis
from segbench.report.columns import is_text, rows_of
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, count
from segbench.report.table import Column, Field, Table


def failures_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the trials that did not complete, and why."""
    rows = [
        (
            Field(text=row["trial"] or NONE),
            Field(text=labels.cell(row["cell"])),
            Field(text=count(row["seed"]), sort=row["seed"]),
            Field(text=row["state"] + (f" ({row['failure']})" if is_text(row["failure"]) else "")),
            Field(text=row["reason"] if is_text(row["reason"]) else NONE),
        )
        for row in rows_of(analysis.failures)
    ]
    columns = (
        Column(title="Trial", is_number=False),
        Column(title="Cell", is_number=False),
        Column(title="Seed"),
        Column(title="State", is_number=False),
        Column(title="Reason", is_number=False),
    )
    return Table(name="failures", caption="Trials that did not complete.", columns=columns, rows=tuple(rows))


def left_out_table(analysis: Analysis) -> Table:
    """Return the records that are no part of the report."""
    rows = [
        (Field(text=str(row["folder"])), Field(text=str(row["reason"]))) for row in rows_of(analysis.left_out)
    ]
    columns = (Column(title="Record", is_number=False), Column(title="Why", is_number=False))
    return Table(name="left-out", caption="Records left out.", columns=columns, rows=tuple(rows))
