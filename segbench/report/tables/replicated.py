"""The table of proposals that were trained with other seeds."""

from __future__ import annotations

from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers, count
from segbench.report.tables.numbered import Numbered
from segbench.report.tables.parts import rows_of
from segbench.report.tables.table import Column, Field, Table
from segbench.report.trace_search import replicated_subject

_MOST_VALUES = 6
"""Values by seed that are printed; the trace has all."""


def replicated_table(analysis: Analysis, labels: Labels) -> Table:
    """Return a row a replicated proposal: what chose it, and what it reaches with other seeds."""
    frame = analysis.replicated
    if frame is None or frame.empty:
        return Table(name="replicated", caption="", columns=(), rows=())
    experiment = analysis.experiment
    objective, outcome = experiment.baseline.objective.metric, experiment.outcome
    numbers = Numbers(labels.style.digits)
    reached = Numbered(
        labels,
        "replicated",
        (
            (f"{labels.metric(objective)}, as chosen", "value"),
            ("the same, other seeds", "val_mean"),
            ("Seeds", "n"),
            (labels.metric(outcome), "mean"),
            ("95 % interval", "interval"),
            ("sd", "sd"),
        ),
    )
    rows = []
    for row in rows_of(frame):
        by_seed = [numbers.of(outcome, value) for value in row["by_seed"]]
        more = f" and {len(by_seed) - _MOST_VALUES} more" if len(by_seed) > _MOST_VALUES else ""
        rows.append(
            (
                Field(text=count(row["number"]), sort=row["number"]),
                *reached.fields(replicated_subject(analysis, row)),
                Field(text=", ".join(by_seed[:_MOST_VALUES]) + more),
            )
        )
    columns = (Column(title="Proposal"), *reached.columns, Column(title="By seed", is_number=False))
    note = (
        "The value that chose a proposal is the best of many and flatters; what the same settings reach with "
        "seeds that did not choose them does not. The interval is over seeds, for this test set; it knows "
        "nothing of what another search would have found."
    )
    return Table(
        name="replicated",
        caption="The best with seeds that did not choose it.",
        columns=columns,
        rows=tuple(rows),
        note=note,
    )
