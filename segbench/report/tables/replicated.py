"""The table of proposals that were trained with other seeds."""

from __future__ import annotations

from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers, count
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

    rows = []
    for row in rows_of(frame):

        def hover(name: str, subject: str = replicated_subject(analysis, row)) -> str:
            return labels.traces.hover("replicated", subject, name)

        by_seed = [numbers.of(outcome, value) for value in row["by_seed"]]
        more = f" and {len(by_seed) - _MOST_VALUES} more" if len(by_seed) > _MOST_VALUES else ""
        rows.append(
            (
                Field(text=count(row["number"]), sort=row["number"]),
                Field(text=numbers.of(objective, row["value"]), sort=row["value"], hover=hover("value")),
                Field(
                    text=numbers.of(objective, row["val_mean"]),
                    sort=row["val_mean"],
                    hover=hover("val_mean"),
                ),
                Field(text=count(row["n"]), sort=row["n"], hover=hover("n")),
                Field(text=numbers.of(outcome, row["mean"]), sort=row["mean"], hover=hover("mean")),
                Field(
                    text=numbers.interval_of(outcome, row["low"], row["high"]),
                    sort=row["low"],
                    high=row["high"],
                    hover=hover("interval"),
                ),
                Field(text=numbers.of(outcome, row["sd"]), sort=row["sd"], hover=hover("sd")),
                Field(text=", ".join(by_seed[:_MOST_VALUES]) + more),
            )
        )
    columns = (
        Column(title="Proposal"),
        Column(title=f"{labels.metric(objective)}, as chosen"),
        Column(title="the same, other seeds"),
        Column(title="Seeds"),
        Column(title=labels.metric(outcome)),
        Column(title="95 % interval"),
        Column(title="sd"),
        Column(title="By seed", is_number=False),
    )
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
