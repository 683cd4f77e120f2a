"""The proposals of a search, and what the best of them is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from segbench.config.experiment import Experiment
from segbench.records import State
from segbench.report.phrases import count, listed
from segbench.stats.intervals import t_interval

_OPEN = (State.WAITING.value, State.RUNNING.value, State.INTERRUPTED.value)


@dataclass(frozen=True)
class Best:
    """The proposal with the best objective, and its configuration with other seeds."""

    number: int
    settings: str
    """Such as `lr = 0.001 and weight_decay = 0.01`."""
    objective: float
    num_completed: int
    """Proposals that it is the best of."""
    replicates: np.ndarray
    """(seeds,) outcome on the test images with seeds that did not choose it; folds averaged."""

    def worth(self, outcome: str) -> str:
        """Say what the configuration reaches on the test images; empty without a replicate."""
        n = self.replicates.size
        if n == 0:
            return ""
        mean = f"{self.replicates.mean():.4f} in {outcome}"
        if n == 1:
            return f"{mean} with another seed, which gives no interval"
        low, high = t_interval(self.replicates)
        return f"{mean} with {count(n, 'other seed')} (95 % interval {low:.4f} to {high:.4f}, this test set)"


def proposals_frame(experiment: Experiment, table: pd.DataFrame) -> pd.DataFrame:
    """Return `Analysis.search`: a row a proposal, in order.

    Args:
        experiment: A search.
        table: The measured table, with `search_number` and a column `search:<parameter>` a parameter.

    Returns:
        `trial`, `number`, a column a parameter, `state`, `value` (the objective; NaN unless complete).
    """
    assert experiment.search is not None
    names = [parameter.name for parameter in experiment.search.parameters]
    columns = {"search_number": "number", **{f"search:{n}": n for n in names}, "objective": "value"}
    known = table.assign(**{c: float("nan") for c in columns if c not in table})
    frame = known.drop(columns=[n for n in columns.values() if n in known]).rename(columns=columns)
    frame = frame.loc[frame["number"].notna(), ["trial", "number", *names, "state", "value"]]
    return frame.astype({"number": int}).sort_values("number", kind="stable").reset_index(drop=True)


def missing_text(experiment: Experiment, table: pd.DataFrame) -> str | None:
    """Say what the search still lacks: proposals, or replicates of the best; None: nothing."""
    assert experiment.search is not None
    asked = experiment.search.num_trials
    if table.empty or "search_number" not in table:
        return f"partial: 0 of {asked} proposals"
    has_ended = ~table["state"].isin(_OPEN)
    proposals = table[table["search_number"].notna() & has_ended]
    done = len(proposals) + int(proposals["search_repeats"].sum() if "search_repeats" in proposals else 0)
    if done < asked:
        return f"partial: {done} of {asked} proposals"
    wanted = len(experiment.seeds) * experiment.num_folds - 1
    replicated = int((table["search_number"].isna() & has_ended).sum())
    has_best = (proposals["state"] == State.COMPLETE.value).any()
    if has_best and replicated < wanted:
        return f"partial: {replicated} of {wanted} replicates of the best proposal"
    return None


def find_best(experiment: Experiment, proposals: pd.DataFrame, table: pd.DataFrame) -> Best | None:
    """Return the best complete proposal, the first of equals; None where none has completed."""
    done = proposals[(proposals["state"] == State.COMPLETE.value) & proposals["value"].notna()]
    if done.empty:
        return None
    is_maximised = experiment.baseline.objective.direction == "maximize"
    row = done.loc[done["value"].idxmax() if is_maximised else done["value"].idxmin()]
    names = [c for c in proposals.columns if c not in ("trial", "number", "state", "value")]
    return Best(
        number=int(row["number"]),
        settings=listed([f"{n} = {_setting(row[n])}" for n in names]),
        objective=float(row["value"]),
        num_completed=len(done),
        replicates=_replicates(experiment, str(row["trial"]), table),
    )


def _replicates(experiment: Experiment, trial: str, table: pd.DataFrame) -> np.ndarray:
    if "search_replicate_of" not in table or experiment.outcome not in table:
        return np.array([])
    chosen_by = table.loc[table["trial"] == trial, "seed"].iloc[0]
    rows = table[(table["search_replicate_of"] == trial) & (table["seed"] != chosen_by)]
    return rows.groupby("seed")[experiment.outcome].mean().dropna().to_numpy(float)


def _setting(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
