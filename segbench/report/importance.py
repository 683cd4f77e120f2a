"""Which knobs of a search or of a tuning mattered: the frame of shares of variance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from segbench.config.experiment import Experiment, Search, SearchParameter
from segbench.records import State
from segbench.report.numbers import is_score
from segbench.stats.importance import LEAST, Importance, Knob, importance

COLUMNS: Final = ("metric", "kind", "knob", "share", "low", "high", "best", "r2", "n")
PAIRS: Final = "two knobs together"
REST: Final = "not explained"


def search_importance(experiment: Experiment, proposals: pd.DataFrame) -> pd.DataFrame:
    """Return `Analysis.importance` of a search: of its objective, or of each of its goals.

    Complete proposals count; diverged ones rank last in scores. Pruned ones have no value that could be
    compared.

    Args:
        experiment: A search.
        proposals: `Analysis.search`.
    """
    search = experiment.search
    assert search is not None
    objective = experiment.baseline.objective
    aims = {goal.metric: goal.direction for goal in search.goals} or {objective.metric: objective.direction}
    parts = []
    for metric, direction in aims.items():
        values = proposals[metric if search.goals else "value"].to_numpy(float, copy=True)
        values[(proposals["state"] != State.COMPLETE.value).to_numpy()] = np.nan
        is_lower_better = direction == "minimize"
        if is_score(metric):
            is_diverged = (proposals["state"] == State.DIVERGED.value).to_numpy()
            values[is_diverged] = np.inf if is_lower_better else -np.inf
        found = _fitted(search.parameters, proposals, values, is_lower_better=is_lower_better)
        parts += [] if found is None else _rows(metric, found)
    return pd.DataFrame(parts, columns=list(COLUMNS))


def tuning_importance(experiment: Experiment, trials: pd.DataFrame) -> pd.DataFrame:
    """Return `Analysis.importance` of a tuned design: of all cells together, ranked within each study.

    Knobs that some cell lacks are left out.

    Args:
        experiment: A tuned design.
        trials: `Analysis.tuning_trials`.
    """
    tune = experiment.tune
    assert tune is not None
    objective = experiment.baseline.objective
    shared = [p for p in tune.search.parameters if all(p.holds_in(cell.levels) for cell in experiment.cells)]
    values = trials["value"].to_numpy(float, copy=True)
    is_lower_better = objective.direction == "minimize"
    values[(trials["state"] == State.DIVERGED.value).to_numpy()] = np.inf if is_lower_better else -np.inf
    studies = [f"{cell} {repeat}" for cell, repeat in zip(trials["cell"], trials["repeat"], strict=True)]
    found = _fitted(shared, trials, values, is_lower_better=is_lower_better, groups=studies)
    rows = [] if found is None else _rows(objective.metric, found)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def too_few_text(search: Search) -> str:
    """Say why there are no shares."""
    least = max(LEAST, 3 * len(search.parameters))
    return f"No shares of variance: they take {least} proposals with a value that differ, or more."


def knob_of(parameter: SearchParameter) -> Knob:
    """Return a parameter as the model takes it."""
    if parameter.levels:
        return Knob(name=parameter.name, levels=tuple(level.label for level in parameter.levels))
    assert parameter.low is not None
    assert parameter.high is not None
    return Knob(
        name=parameter.name,
        low=parameter.low,
        high=parameter.high,
        is_log=parameter.log,
        step=parameter.step or (1.0 if parameter.is_integer else None),
    )


def _fitted(
    parameters: Iterable[SearchParameter],
    frame: pd.DataFrame,
    values: np.ndarray,
    *,
    is_lower_better: bool,
    groups: Sequence[str] | None = None,
) -> Importance | None:
    knobs = [knob_of(parameter) for parameter in parameters if parameter.name in frame]
    columns = [frame[knob.name].tolist() for knob in knobs]
    return importance(knobs, columns, values, is_lower_better=is_lower_better, groups=groups)


def _rows(metric: str, found: Importance) -> list[Mapping[str, object]]:
    shares = [("knob", share.name, share) for share in sorted(found.knobs, key=lambda share: -share.share)]
    if len(found.knobs) > 1:
        shares.append(("pairs", PAIRS, found.pairs))
    shares.append(("rest", REST, found.rest))
    return [
        {
            "metric": metric,
            "kind": kind,
            "knob": name,
            "share": share.share,
            "low": share.low,
            "high": share.high,
            "best": share.best,
            "r2": found.r2,
            "n": found.n,
        }
        for kind, name, share in shares
    ]
