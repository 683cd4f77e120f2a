"""What several tables need: rows of a frame, tones of verdicts, values that may be missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pandas as pd

from segbench.report.numbers import NONE
from segbench.report.tables.table import Table

_TONES: Final = {
    "better": "good",
    "worse": "bad",
    "equivalent": "same",
    "unresolved": "open",
    "supported": "good",
    "contradicted": "bad",
    "not judged": "open",
}


def rows_of(frame: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return a frame's rows as mappings from column to value; none where the report has no such frame."""
    return (
        []
        if frame is None or frame.empty
        else [{str(k): v for k, v in row.items()} for row in frame.to_dict(orient="records")]
    )


def tone_of(verdict: str) -> str:
    """Return the tone of a verdict: `good`, `bad`, `same` or `open`; empty for other words."""
    return next((tone for word, tone in _TONES.items() if word in verdict), "")


def is_known(value: Any) -> bool:
    """Whether a value is there and no NaN."""
    return value is not None and value == value


def is_text(value: Any) -> bool:
    """Whether a value is text, and not empty."""
    return isinstance(value, str) and bool(value)


def without_empty(table: Table) -> Table:
    """Leave out the columns of numbers in which no row has one."""
    kept = [
        k
        for k, column in enumerate(table.columns)
        if not column.is_number or any(row[k].text != NONE for row in table.rows)
    ]
    rows = tuple(tuple(row[k] for k in kept) for row in table.rows)
    return replace(table, columns=tuple(table.columns[k] for k in kept), rows=rows)
