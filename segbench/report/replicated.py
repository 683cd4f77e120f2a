"""What proposals are worth with seeds that did not choose them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from segbench.config.experiment import Experiment
from segbench.report.proposals import Best
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
