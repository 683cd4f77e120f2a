"""What proposals are worth with seeds that did not choose them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from segbench.config.experiment import Experiment
from segbench.report.analysis import Analysis
from segbench.report.columns import Numbered, rows_of
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers, count
from segbench.report.table import Column, Field, Table
from segbench.report.topics.search import Best
from segbench.report.trace_frames import replicated_subject
from segbench.stats.intervals import t_interval

_COLUMNS = (
    *("number", "trial", "n", "value", "val_mean", "mean", "sd", "low", "high"),
    *("seeds", "by_seed", "trials"),
)


def replicated_frame(experiment: Experiment, points: list[Best], table: pd.DataFrame) -> pd.DataFrame:
    """Return `Analysis.replicated`: a row a proposal that was trained with other seeds.

    Args:
        experiment: A search.
        points: The best proposal, or the Pareto front.
        table: The measured table, with `search_replicate_of`.
    """
    rows = []
    for point in points if "search_replicate_of" in table and experiment.outcome in table else []:
        chosen_by = table.loc[table["trial"] == point.trial, "seed"].iloc[0]
        mine = table[(table["search_replicate_of"] == point.trial) & (table["seed"] != chosen_by)]
        mine = mine[mine[experiment.outcome].notna()]
        by_seed = mine.groupby("seed")[[experiment.outcome, "objective"]].mean()
        if by_seed.empty:
            continue
        values = by_seed[experiment.outcome].to_numpy(float)
        low, high = t_interval(values)
        rows.append(
            {
                "number": point.number,
                "trial": point.trial,
                "n": len(values),
                "value": point.objective,
                "val_mean": float(by_seed["objective"].mean()),
                "mean": float(values.mean()),
                "sd": float(values.std(ddof=1)) if len(values) > 1 else np.nan,
                "low": low,
                "high": high,
                "seeds": tuple(int(seed) for seed in by_seed.index),
                "by_seed": tuple(float(value) for value in values),
                "trials": tuple(str(trial) for trial in mine["trial"]),
            }
        )
    return pd.DataFrame(rows, columns=list(_COLUMNS))


# The table of proposals that were trained with other seeds.


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
