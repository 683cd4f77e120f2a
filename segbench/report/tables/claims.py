"""The table of claims."""

from __future__ import annotations

from typing import Final

from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, typographic
from segbench.report.tables.parts import rows_of, tone_of
from segbench.report.tables.table import Column, Field, Table

_RESOLVED: Final = frozenset({"supported", "contradicted"})


def claims_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the file's claims and what became of them."""
    rows = [
        (
            Field(text=typographic(row["claim"])),
            Field(
                text=row["verdict"],
                tone=tone_of(row["verdict"]),
                is_bold=row["verdict"] in _RESOLVED,
                hover=labels.traces.hover("claims", row["claim"], "verdict"),
            ),
            Field(text=typographic(row["evidence"] or NONE)),
        )
        for row in rows_of(analysis.claims)
    ]
    columns = (
        Column(title="Claim", is_number=False),
        Column(title="Verdict", is_number=False),
        Column(title="Evidence", is_number=False),
    )
    return Table(name="claims", caption="Claims of the experiment file.", columns=columns, rows=tuple(rows))
