"""An experiment's study, written through the interface that all of Optuna's storages implement."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from segbench.dashboard.address import StorageAddress
from segbench.dashboard.shown import ShownTrial
from segbench.dashboard.storage import OPENED, close_storage, open_storage, picture_attributes, refusal
from segbench.errors import ResultsError, message
from segbench.records import State

STATES: Final[Mapping[State, TrialState]] = {
    State.WAITING: TrialState.WAITING,
    State.INTERRUPTED: TrialState.WAITING,
    State.RUNNING: TrialState.RUNNING,
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.DIVERGED: TrialState.FAIL,
    State.FAILED: TrialState.FAIL,
}
"""Optuna has no word for a diverged trial: it is FAIL, and a user attribute holds its state."""


@dataclass
class _Known:
    """A trial in the storage, as this process last saw or wrote it."""

    number: int | None
    """In the study; None for a trial that this process added."""
    trial_id: int | None
    """In the storage; None until it is needed."""
    state: TrialState
    attributes: dict[str, Any] = field(default_factory=dict)
    has_picture: bool = False


class StudyMirror:
    """One experiment's study in a storage, kept equal to the records.

    Every method but `synchronise` is a few quick writes, as many at the ten-thousandth trial as at the first:
    what was written is remembered and never read back. Each may raise whatever a storage raises; the caller
    sees to it that the sweep goes on.

    Args:
        address: The storage; a journal or an SQLite file is created if it is missing.
        name: The study's name: the experiment's.
        directions: `maximize` or `minimize`, one per goal.
        metrics: Names of the goals.
        attributes: User attributes of the study, such as its question.

    Raises:
        ResultsError: The storage cannot be opened, or holds a study of this name that segbench did not write.
    """

    def __init__(
        self,
        address: StorageAddress,
        *,
        name: str,
        directions: Sequence[str],
        metrics: Sequence[str] = (),
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self._address, self._name = address, name
        self._directions, self._metrics = list(directions), list(metrics)
        self._attributes = dict(attributes or {})
        self._known: dict[str, _Known] = {}
        self._note = ""
        self._storage = open_storage(address)
        try:
            self._open()
        except Exception as error:
            close_storage(self._storage)
            raise error if isinstance(error, ResultsError) else refusal(address, error) from None

    def synchronise(
        self,
        trials: Sequence[ShownTrial],
        detail: Callable[[ShownTrial], ShownTrial] = lambda trial: trial,
    ) -> bool:
        """Make the study show exactly these trials, new ones in this order.

        What the storage holds is kept if it agrees. A grown axis, a renamed label, a trial that ran again or
        one that is no longer planned contradicts it. Optuna cannot change a finished trial, so then the study
        is written anew.

        Args:
            trials: What to show.
            detail: Adds to a trial what takes time to find (its epochs, details and picture); called only for
                trials that are to be written.

        Returns:
            Whether the study was written anew.
        """
        found = self._storage.get_all_trials(self._study_id, deepcopy=False)
        is_rebuilt = _contradicts(found, trials)
        if is_rebuilt:
            self._storage.delete_study(self._study_id)
            self._open()
            found = []
        by_hash = {trial.user_attrs["hash"]: trial for trial in found}
        for trial in trials:
            frozen = by_hash.get(trial.hash)
            if frozen is None:
                self.add(detail(trial))
                continue
            seen = _Known(frozen.number, None, frozen.state, dict(frozen.user_attrs))
            self._known[trial.hash] = seen
            is_pending = trial.started is not None or seen.state is not TrialState.WAITING
            if is_pending and not seen.state.is_finished():
                self._catch_up(detail(trial), frozen)
        return is_rebuilt

    def add(self, trial: ShownTrial) -> None:
        """Show one more trial; one that is shown already stays as it is."""
        if trial.hash not in self._known:
            frozen = _freeze_shown(trial)
            trial_id = self._storage.create_new_trial(self._study_id, frozen)
            self._known[trial.hash] = _Known(
                None, trial_id, frozen.state, dict(frozen.user_attrs), trial.picture is not None
            )

    def report(self, trial_hash: str, epoch: int, value: float) -> None:
        """Show the objective after an epoch, unless the trial is not shown or has ended."""
        seen = self._known.get(trial_hash)
        if seen is None or seen.state.is_finished():
            return
        try:
            self._storage.set_trial_intermediate_value(self._id_of(seen), epoch, value)
        except UpdateFinishedTrialError:  # another supervisor or `results sync` was quicker
            seen.state = TrialState.COMPLETE

    def set_state(self, trial: ShownTrial) -> None:
        """Show a trial's state, values, attributes and picture."""
        seen = self._known.get(trial.hash)
        if seen is None or seen.state.is_finished():
            return
        try:
            self._update(seen, trial)
        except UpdateFinishedTrialError:
            seen.state = TrialState.COMPLETE

    def set_note(self, body: str) -> None:
        """Show a note on the study."""
        if body != self._note:
            from optuna_dashboard import save_note  # type: ignore[import-untyped]

            save_note(optuna.load_study(study_name=self._name, storage=self._storage), body)
            self._note = body

    def close(self) -> None:
        """Close the storage's connections."""
        close_storage(self._storage)

    def _update(self, seen: _Known, trial: ShownTrial) -> None:
        """Write what the storage does not show yet; the state last, for nothing may follow a trial's end."""
        trial_id = self._id_of(seen)
        for key, value in {**trial.attributes(), **trial.details}.items():
            if key not in seen.attributes or seen.attributes[key] != value:
                self._storage.set_trial_user_attr(trial_id, key, value)
                seen.attributes[key] = value
        if trial.picture is not None and not seen.has_picture:
            for key, value in picture_attributes(trial.picture).items():
                self._storage.set_trial_system_attr(trial_id, key, value)
            seen.has_picture = True
        state = _optuna_state(trial)
        if state is not seen.state:
            self._storage.set_trial_state_values(trial_id, state, _values(trial, state))
            seen.state = state

    def _id_of(self, seen: _Known) -> int:
        if seen.trial_id is None:
            assert seen.number is not None
            seen.trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, seen.number)
        return seen.trial_id

    def _catch_up(self, trial: ShownTrial, shown: FrozenTrial) -> None:
        """Write what happened while nobody mirrored."""
        for epoch, value in trial.intermediate.items():
            if epoch not in shown.intermediate_values:
                self.report(trial.hash, epoch, value)
        self.set_state(trial)

    def _open(self) -> None:
        study = self._create()
        if not self._is_own(study):
            raise ResultsError(
                message(
                    self._address.shown,
                    f"the storage holds a study {self._name} that segbench did not write",
                    see="Rename the experiment, or name another storage",
                )
            )
        if [d.name.lower() for d in study.directions] != self._directions:
            self._storage.delete_study(self._study_id)
            study = self._create()
        self._known, self._note = {}, ""
        attributes = {**self._attributes, OPENED: datetime.now(UTC).isoformat(timespec="milliseconds")}
        before = study.user_attrs
        for key, value in attributes.items():
            if before.get(key) != value:
                study.set_user_attr(key, value)
        if self._metrics and study.metric_names != self._metrics:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.set_metric_names(self._metrics)

    def _create(self) -> optuna.Study:
        directions = [StudyDirection[each.upper()] for each in self._directions]
        study = optuna.create_study(
            storage=self._storage, study_name=self._name, directions=directions, load_if_exists=True
        )
        self._study_id = self._storage.get_study_id_from_name(self._name)
        return study

    def _is_own(self, study: optuna.Study) -> bool:
        """Whether the study may be written; every study of the storage under `results/` may."""
        if not self._address.is_named or OPENED in study.user_attrs:
            return True
        return self._storage.get_n_trials(self._study_id) == 0


def to_distribution(dimension: Mapping[str, Any]) -> BaseDistribution:
    """Return a dimension of a search space in Optuna's words."""
    if "levels" in dimension:
        return CategoricalDistribution(tuple(dimension["levels"]))
    low, high, log, step = (dimension[key] for key in ("low", "high", "log", "step"))
    if dimension["is_integer"]:
        return IntDistribution(int(low), int(high), log=log, step=int(step) if step else 1)
    return FloatDistribution(low, high, log=log, step=step)


def freeze(
    state: TrialState,
    *,
    values: Sequence[float] | None = None,
    params: Mapping[str, Any] | None = None,
    distributions: Mapping[str, BaseDistribution] | None = None,
    attributes: Mapping[str, Any] | None = None,
    hidden: Mapping[str, Any] | None = None,
    intermediate: Mapping[int, float] | None = None,
    started: datetime | None = None,
    finished: datetime | None = None,
) -> FrozenTrial:
    """Return a trial for a storage, which gives it a number and an id."""
    started = started or datetime.now()
    return FrozenTrial(
        number=-1,
        trial_id=-1,
        state=state,
        value=None,
        values=list(values) if values is not None else None,
        datetime_start=None if state is TrialState.WAITING else started,
        datetime_complete=(finished or started) if state.is_finished() else None,
        params=dict(params or {}),
        distributions=dict(distributions or {}),
        user_attrs=dict(attributes or {}),
        system_attrs=dict(hidden or {}),
        intermediate_values=dict(intermediate or {}),
    )


def is_number(value: float | None) -> bool:
    """Whether a value was measured and is not NaN."""
    return value is not None and value == value


def _contradicts(found: Sequence[FrozenTrial], trials: Sequence[ShownTrial]) -> bool:
    """Whether trials in the storage differ from the planned ones in what cannot be changed afterwards."""
    planned = {trial.hash: trial for trial in trials}
    hashes = [trial.user_attrs.get("hash") for trial in found]
    if len(set(hashes)) < len(hashes) or not set(hashes) <= planned.keys():
        return True  # a trial is shown twice, is no longer planned, or was not written by segbench
    return any(_disagrees(trial, planned[trial.user_attrs["hash"]]) for trial in found)


def _disagrees(found: FrozenTrial, trial: ShownTrial) -> bool:
    asked = {name: to_distribution(dimension) for name, dimension in trial.space.items()}
    if (found.params, found.distributions) != (dict(trial.parameters), asked):
        return True
    if not found.state.is_finished():
        return False
    state = _optuna_state(trial)
    ended = (found.state, found.values, found.user_attrs.get("state"))
    return ended != (state, _values(trial, state), str(trial.state))


def _freeze_shown(trial: ShownTrial) -> FrozenTrial:
    state = _optuna_state(trial)
    return freeze(
        state,
        values=_values(trial, state),
        params=trial.parameters,
        distributions={name: to_distribution(d) for name, d in trial.space.items()},
        attributes={**trial.attributes(), **trial.details},
        hidden=picture_attributes(trial.picture) if trial.picture is not None else {},
        intermediate=trial.intermediate,
        started=_local_time(trial.started),
        finished=_local_time(trial.finished),
    )


def _values(trial: ShownTrial, state: TrialState) -> list[float] | None:
    if state not in (TrialState.COMPLETE, TrialState.PRUNED):
        return None
    values = trial.goals or (trial.objective,)
    return [float(v) for v in values if v is not None] if all(is_number(v) for v in values) else None


def _optuna_state(trial: ShownTrial) -> TrialState:
    state = STATES[trial.state]
    is_measured = all(is_number(value) for value in trial.goals or (trial.objective,))
    return TrialState.FAIL if state is TrialState.COMPLETE and not is_measured else state


def _local_time(text: str | None) -> datetime | None:
    """Read a record's time; Optuna keeps local times without a zone."""
    return datetime.fromisoformat(text).astimezone().replace(tzinfo=None) if text else None
