"""Which epoch's weights are kept and when training stops: pure functions of the epochs done."""

from __future__ import annotations

from collections.abc import Sequence

from segbench.config.trial import EarlyStopping, Objective
from segbench.errors import ExperimentError, message
from segbench.quantities import Kind, names_of
from segbench.records import EpochRecord

OBJECTIVES = names_of(Kind.TRAINING, Kind.VALIDATION)
"""Columns of an epoch that may select weights."""


def check_objective(objective: Objective) -> None:
    """Refuse an objective that no epoch has.

    Raises:
        ExperimentError: The metric is not one of `OBJECTIVES`.
    """
    if objective.metric not in OBJECTIVES:
        raise ExperimentError(
            message("objective.metric", "no epoch has this column", got=objective.metric, known=OBJECTIVES)
        )


def objective_value(record: EpochRecord, objective: Objective) -> float:
    """Return the epoch's value of the objective, as it stands in `epochs.csv`."""
    return record.row()[objective.metric]


def oriented_values(history: Sequence[EpochRecord], objective: Objective) -> list[float]:
    """Return the objective after each epoch, its sign turned where lower is better; NaN stays NaN."""
    sign = 1.0 if objective.direction == "maximize" else -1.0
    return [sign * objective_value(record, objective) for record in history]


def select(history: Sequence[EpochRecord], objective: Objective) -> int | None:
    """Return the first epoch that no later one beats strictly; None without any number."""
    best: float | None = None
    selected: int | None = None
    for record in history:
        value = objective_value(record, objective)
        if objective.is_better(value, best):
            best, selected = value, record.epoch
    return selected


def has_stalled(history: Sequence[EpochRecord], objective: Objective, stopping: EarlyStopping | None) -> bool:
    """Whether early stopping ends the run after the epochs done.

    It does once `patience` epochs in a row each failed to improve on the best value before them by more than
    `min_delta`. An epoch that improves by less does not move the mark.
    """
    if stopping is None:
        return False
    mark, num_stalled = float("-inf"), 0
    for value in oriented_values(history, objective):
        if value > mark + stopping.min_delta:
            mark, num_stalled = value, 0
        else:
            num_stalled += 1
    return num_stalled >= stopping.patience
