"""Segbench's words in Optuna's: states, distributions and frozen trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from segbench.records import State

optuna.logging.set_verbosity(optuna.logging.ERROR)

STATES: Final[Mapping[State, TrialState]] = {
    State.WAITING: TrialState.WAITING,
    State.INTERRUPTED: TrialState.WAITING,
    State.RUNNING: TrialState.RUNNING,
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.DIVERGED: TrialState.FAIL,
    State.FAILED: TrialState.FAIL,
}
"""Optuna has no word for a diverged trial: it is FAIL, with its state as user attribute."""


def to_distribution(dimension: Mapping[str, Any]) -> BaseDistribution:
    if "levels" in dimension:
        return CategoricalDistribution(tuple(dimension["levels"]))
    low, high, log, step = (dimension[key] for key in ("low", "high", "log", "step"))
    if dimension["is_integer"]:
        return IntDistribution(int(low), int(high), log=log, step=int(step) if step else 1)
    return FloatDistribution(low, high, log=log, step=step)


def freeze(
    state: TrialState,
    *,
    value: float | None = None,
    values: Sequence[float] | None = None,
    params: Mapping[str, Any] | None = None,
    distributions: Mapping[str, BaseDistribution] | None = None,
    attributes: Mapping[str, Any] | None = None,
    hidden: Mapping[str, Any] | None = None,
    intermediate: Mapping[int, float] | None = None,
    started: datetime | None = None,
    finished: datetime | None = None,
) -> FrozenTrial:
    started = started or datetime.now()
    return FrozenTrial(
        number=-1,  # the storage gives the number and the id
        trial_id=-1,
        state=state,
        value=None,
        values=list(values) if values is not None else None if value is None else [value],
        datetime_start=None if state is TrialState.WAITING else started,
        datetime_complete=(finished or started) if state.is_finished() else None,
        params=dict(params or {}),
        distributions=dict(distributions or {}),
        user_attrs=dict(attributes or {}),
        system_attrs=dict(hidden or {}),
        intermediate_values=dict(intermediate or {}),
    )


def is_number(value: float | None) -> bool:
    return value is not None and value == value
