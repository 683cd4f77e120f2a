"""What is missing from a report: trials that did not complete, and records that are left out."""

from __future__ import annotations

from typing import Final

from segbench.report.numbers import NONE, count
from segbench.report.table import Field
from segbench.report.topics.topic import Frame, TablePart, Text, Topic
from segbench.report.trace import is_text

FAILURES: Final = Frame(
    name="failures",
    columns=lambda analysis: [
        Text(name="trial", title="Trial", text=lambda labels, row: row["trial"] or NONE),
        Text(name="cell", title="Cell", text=lambda labels, row: labels.cell(row["cell"])),
        Text(
            name="seed",
            title="Seed",
            text=lambda labels, row: Field(text=count(row["seed"]), sort=row["seed"]),
            is_number=True,
        ),
        Text(
            name="state",
            title="State",
            text=lambda labels, row: (
                row["state"] + (f" ({row['failure']})" if is_text(row["failure"]) else "")
            ),
        ),
        Text(
            name="reason",
            title="Reason",
            text=lambda labels, row: row["reason"] if is_text(row["reason"]) else NONE,
        ),
    ],
)

LEFT_OUT: Final = Frame(
    name="left_out",
    in_data=False,
    columns=lambda analysis: [
        Text(name="folder", title="Record", text=lambda labels, row: str(row["folder"])),
        Text(name="reason", title="Why", text=lambda labels, row: str(row["reason"])),
    ],
)

TOPIC: Final = Topic(
    name="failures",
    section="failures",
    frames=(FAILURES, LEFT_OUT),
    tables=(
        TablePart(name="failures", frame=FAILURES, caption="Trials that did not complete."),
        TablePart(name="left-out", frame=LEFT_OUT, caption="Records left out."),
    ),
)
