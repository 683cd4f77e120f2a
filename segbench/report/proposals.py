"""The proposals of a search, and what the best of them is worth."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from segbench.config.experiment import Experiment, Search
from segbench.records import State
from segbench.report.numbers import is_score, significant
from segbench.report.phrases import count, listed
from segbench.stats.intervals import t_interval
from segbench.stats.pareto import pareto_front, spread_out

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
    trial: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """As `apply_parameters` takes them."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Of several goals: metric -> value."""

    @property
    def name(self) -> str:
        """Such as `number 3 with lr = 0.001 (val_dice 0.91, parameters 31,000)`."""
        values = ", ".join(
            f"{name} {value:.4f}" if is_score(name) else f"{name} {significant(value)}"
            for name, value in self.values.items()
        )
        return f"number {self.number} with {self.settings} ({values})"

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


def proposals_frame(
    experiment: Experiment, table: pd.DataFrame, epochs: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return `Analysis.search`: a row a proposal, in order.

    Args:
        experiment: A search.
        table: The measured table, with `search_number` and a column `search:<parameter>` a parameter.
        epochs: Rows of `epochs.csv` with `trial`.

    Returns:
        `trial`, `number`, a column a parameter, `state`, `value` (the objective; NaN unless complete),
        `last_epoch` and `last_value` (where a proposal that did not complete had come to; else NaN); with
        goals or constraints a column each, with constraints `is_feasible`, with goals `is_best` (on the
        Pareto front).
    """
    assert experiment.search is not None
    names = [parameter.name for parameter in experiment.search.parameters]
    columns = {"search_number": "number", **{f"search:{n}": n for n in names}, "objective": "value"}
    known = table.assign(**{c: float("nan") for c in columns if c not in table})
    frame = known.drop(columns=[n for n in columns.values() if n in known]).rename(columns=columns)
    frame = frame.loc[frame["number"].notna(), ["trial", "number", *names, "state", "value"]]
    frame = frame.astype({"number": int}).sort_values("number", kind="stable").reset_index(drop=True)
    frame = _with_last(frame, epochs, experiment.baseline.objective.metric)
    return _with_measures(experiment.search, frame, table)


def _with_last(frame: pd.DataFrame, epochs: pd.DataFrame | None, metric: str) -> pd.DataFrame:
    """Add the last epoch of every proposal that did not complete, and the objective at it."""
    last: dict[str, tuple[float, float]] = {}
    if epochs is not None and metric in epochs and "epoch" in epochs:
        ordered = epochs.sort_values("epoch", kind="stable").drop_duplicates("trial", keep="last")
        rows = zip(ordered["trial"], ordered["epoch"], ordered[metric], strict=True)
        last = {str(trial): (float(epoch), float(value)) for trial, epoch, value in rows}
    nothing = float("nan"), float("nan")
    is_complete = frame["state"] == State.COMPLETE.value
    reached = [
        nothing if done else last.get(str(trial), nothing)
        for trial, done in zip(frame["trial"], is_complete, strict=True)
    ]
    return frame.assign(
        last_epoch=[epoch for epoch, _ in reached], last_value=[value for _, value in reached]
    ).astype({"last_epoch": float, "last_value": float})


def _with_measures(search: Search, frame: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Add a column a goal or constraint, whether a proposal keeps the constraints, and whether it is best."""
    measured = table.drop_duplicates("trial").set_index("trial") if "trial" in table else table
    for name in search.measures:
        column = measured[name] if name in measured else pd.Series(dtype=float)
        frame[name] = pd.to_numeric(frame["trial"].map(column)).astype(float)
    if search.constraints:
        frame["is_feasible"] = [
            all(each.violation(row[each.metric]) <= 0 for each in search.constraints)
            for row in frame.to_dict("records")
        ]
    if search.goals:
        frame["is_best"] = False
        frame.loc[front_rows(search, frame), "is_best"] = True
    return frame


def eligible(proposals: pd.DataFrame) -> pd.DataFrame:
    """Return the proposals that may be best: complete, with a value, and within every constraint."""
    done = proposals[(proposals["state"] == State.COMPLETE.value) & proposals["value"].notna()]
    return done[done["is_feasible"].astype(bool)] if "is_feasible" in done else done


def front_rows(search: Search, proposals: pd.DataFrame) -> list[int]:
    """Return the index of every proposal on the Pareto front, best in the first goal first."""
    names = [goal.metric for goal in search.goals]
    known = eligible(proposals).dropna(subset=names)
    front = pareto_front(known[names].to_numpy(float).tolist(), [goal.direction for goal in search.goals])
    return [int(known.index[row]) for row in front]


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
    others = len(experiment.seeds) * experiment.num_folds - 1
    frame = proposals_frame(experiment, table)
    if experiment.search.goals:
        front = [str(frame.loc[row, "trial"]) for row in front_rows(experiment.search, frame)]
        chosen, words = spread_out(front, experiment.search.num_replicated), "the Pareto front"
    else:
        best = find_best(experiment, frame, table)
        chosen, words = [] if best is None else [best.trial], "the best proposal"
    of = table["search_replicate_of"] if "search_replicate_of" in table else pd.Series(index=table.index)
    replicated = int((of.isin(chosen) & has_ended).sum())
    wanted = others * len(chosen)
    return f"partial: {replicated} of {wanted} replicates of {words}" if replicated < wanted else None


def find_best(experiment: Experiment, proposals: pd.DataFrame, table: pd.DataFrame) -> Best | None:
    """Return the best complete proposal, the first of equals; None where none has completed."""
    done = eligible(proposals)
    if done.empty:
        return None
    is_maximised = experiment.baseline.objective.direction == "maximize"
    row = done["value"].idxmax() if is_maximised else done["value"].idxmin()
    return _best(experiment, proposals, table, row)


def find_front(experiment: Experiment, proposals: pd.DataFrame, table: pd.DataFrame) -> list[Best]:
    """Return every proposal on the Pareto front, best in the first goal first."""
    assert experiment.search is not None
    rows = front_rows(experiment.search, proposals)
    return [_best(experiment, proposals, table, row) for row in rows]


def _best(experiment: Experiment, proposals: pd.DataFrame, table: pd.DataFrame, index: Hashable) -> Best:
    assert experiment.search is not None
    row = proposals.loc[index]
    names = [parameter.name for parameter in experiment.search.parameters if parameter.name in proposals]
    return Best(
        number=int(row["number"]),
        settings=listed([f"{n} = {_setting(row[n])}" for n in names]),
        objective=float(row["value"]),
        num_completed=len(eligible(proposals)),
        replicates=_replicates(experiment, str(row["trial"]), table),
        trial=str(row["trial"]),
        parameters={n: row[n].item() if hasattr(row[n], "item") else row[n] for n in names},
        values={goal.metric: float(row[goal.metric]) for goal in experiment.search.goals},
    )


def _replicates(experiment: Experiment, trial: str, table: pd.DataFrame) -> np.ndarray:
    if "search_replicate_of" not in table or experiment.outcome not in table:
        return np.array([])
    chosen_by = table.loc[table["trial"] == trial, "seed"].iloc[0]
    rows = table[(table["search_replicate_of"] == trial) & (table["seed"] != chosen_by)]
    return rows.groupby("seed")[experiment.outcome].mean().dropna().to_numpy(float)


def _setting(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
