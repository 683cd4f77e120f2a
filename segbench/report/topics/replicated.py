"""What proposals are worth with seeds that did not choose them."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from segbench.config.experiment import Experiment
from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers
from segbench.report.topics.best_design import NUM_SEEDS, file_name
from segbench.report.topics.search import Best, proposal_column
from segbench.report.topics.topic import Column, Frame, Number, TablePart, Text, Topic, interval
from segbench.report.trace import Measured, Row, Source, show_count, show_of
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


# The topic.


_MOST_VALUES = 6
"""Values by seed that are printed; the trace has all."""


def _by_seed(labels: Labels, row: Row) -> str:
    outcome, numbers = labels.analysis.experiment.outcome, Numbers(labels.style.digits)
    by_seed = [numbers.of(outcome, value) for value in row["by_seed"]]
    more = f" and {len(by_seed) - _MOST_VALUES} more" if len(by_seed) > _MOST_VALUES else ""
    return ", ".join(by_seed[:_MOST_VALUES]) + more


def _columns(analysis: Analysis) -> list[Column]:
    outcome, objective = analysis.experiment.outcome, analysis.experiment.baseline.objective.metric
    return [
        proposal_column(analysis),
        Number(
            name="n",
            title="Seeds",
            words="other seeds",
            formula="Seeds that did not choose it.",
            show=show_count,
            after="val_mean",
        ),
        Number(
            name="value",
            title=lambda labels: f"{labels.metric(objective)}, as chosen",
            words=f"{objective} as chosen",
            formula=f"{objective} of the proposal's own trial: the best of the search, and so flattering.",
            show=show_of(objective),
        ),
        Number(
            name="val_mean",
            title="the same, other seeds",
            words=f"{objective} with other seeds",
            formula=f"Mean over the other seeds of {objective} at their selected epochs.",
            show=show_of(objective),
        ),
        Number(
            name="mean",
            title=lambda labels: labels.metric(outcome),
            words=f"mean {outcome}",
            formula=f"Mean over the other seeds of {outcome}.",
            show=show_of(outcome),
        ),
        interval(
            "95 % interval of the mean",
            "Mean ± t(0.975, n − 1) · sd / √n over the other seeds.",
            show_of(outcome),
            title="95 % interval",
        ),
        Number(
            name="sd",
            title="sd",
            words="standard deviation",
            formula=f"sd over the other seeds of {outcome}.",
            show=show_of(outcome),
        ),
        Text(name="by_seed", title="By seed", text=_by_seed),
    ]


def _source(measured: Measured, row: Row, number: Number) -> Source:
    if number.name == "value":
        return Source(trials=(str(row["trial"]),))
    outcome = measured.analysis.experiment.outcome
    return Source(trials=row["trials"], seeds=row["seeds"], by_seed={outcome: row["by_seed"]})


REPLICATED: Final = Frame(
    name="replicated",
    subject=lambda analysis, row: f"proposal {int(row['number'])} with other seeds",
    columns=_columns,
    source=_source,
)


def _lines(analysis: Analysis) -> tuple[str, ...]:
    if not analysis.best_design:
        return ()
    file = file_name(analysis.experiment.name)
    return (
        f"{file} beside this page is an experiment as it stands: the best settings and the search's baseline "
        f"over {NUM_SEEDS} seeds that the search had none of. segbench sweep "
        f"reports/{analysis.experiment.name}/{file} trains it.",
    )


TOPIC: Final = Topic(
    name="replicated",
    section="search",
    frames=(REPLICATED,),
    tables=(
        TablePart(
            name="replicated",
            frame=REPLICATED,
            caption="The best with seeds that did not choose it.",
            note=lambda labels, rows: (
                "The value that chose a proposal is the best of many and flatters; what the same settings "
                "reach with seeds that did not choose them does not. The interval is over seeds, for this "
                "test set; it knows nothing of what another search would have found."
            ),
        ),
    ),
    lines=_lines,
)
