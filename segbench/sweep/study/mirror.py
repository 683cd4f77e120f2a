"""An experiment's study in a database, as the dashboard shows it."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from segbench.sweep.study.convert import STATES, freeze, is_number, to_distribution
from segbench.sweep.study.records import ShownTrial


def database_url(path: Path) -> str:
    """Return the SQLAlchemy URL of an SQLite file."""
    return f"sqlite:///{path}"


class StudyMirror:
    """One experiment's study in a database, kept like the records.

    Every method is one or a few quick transactions and may raise whatever the database raises; the caller
    decides that a sweep does not end by it.

    Args:
        path: The SQLite file, created where missing.
        name: The study's name: the experiment's.
        direction: `maximize` or `minimize`.
        attributes: User attributes of the study, such as its question.
    """

    def __init__(
        self, path: Path, *, name: str, direction: str, attributes: Mapping[str, Any] | None = None
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _use_write_ahead_log(path)
        self._storage = RDBStorage(database_url(path), engine_kwargs={"connect_args": {"timeout": 10}})
        self._name, self._direction, self._attributes = name, direction, dict(attributes or {})
        self._open()

    def synchronise(self, trials: Sequence[ShownTrial]) -> bool:
        """Make the study show exactly these trials, in this order where they are new.

        What the database holds is kept where it agrees. A grown axis, a renamed label, a trial run again or
        one that is no longer planned contradict it: then the study is written anew.

        Returns:
            Whether the study was written anew.
        """
        shown = self._storage.get_all_trials(self._study_id, deepcopy=False)
        is_rebuilt = _contradicts(shown, trials)
        if is_rebuilt:
            self._storage.delete_study(self._study_id)
            self._open()
            shown = []
        known = {t.user_attrs["hash"]: t for t in shown}
        for trial in trials:
            if trial.hash not in known:
                self.add(trial)
                continue
            self._ids[trial.hash] = known[trial.hash]._trial_id
            if not known[trial.hash].state.is_finished():
                for epoch, value in trial.intermediate.items():
                    if epoch not in known[trial.hash].intermediate_values:
                        self.report(trial.hash, epoch, value)
                self.set_state(trial)
        return is_rebuilt

    def add(self, trial: ShownTrial) -> None:
        """Show one more trial; one that is shown already stays as it is."""
        if trial.hash not in self._ids:
            self._ids[trial.hash] = self._storage.create_new_trial(self._study_id, _frozen_shown(trial))

    def report(self, trial_hash: str, epoch: int, value: float) -> None:
        """Show the objective after an epoch; one that is not shown, or has ended, is left alone."""
        number = self._ids.get(trial_hash)
        if number is not None and not self._storage.get_trial(number).state.is_finished():
            self._storage.set_trial_intermediate_value(number, epoch, value)

    def set_state(self, trial: ShownTrial) -> None:
        """Show a trial's state, value and attributes."""
        if trial.hash not in self._ids:
            return
        number = self._ids[trial.hash]
        if self._storage.get_trial(number).state.is_finished():
            return
        for key, value in trial.attributes().items():
            self._storage.set_trial_user_attr(number, key, value)
        state = _optuna_state(trial)
        values = [trial.objective] if state in (TrialState.COMPLETE, TrialState.PRUNED) else None
        self._storage.set_trial_state_values(
            number, state, None if values is None or values[0] is None else [float(values[0])]
        )

    def close(self) -> None:
        """Let go of the database's connections."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def _open(self) -> None:
        study = optuna.create_study(
            storage=self._storage, study_name=self._name, direction=self._direction, load_if_exists=True
        )
        self._study_id = study._study_id
        self._ids: dict[str, int] = {}
        for key, value in self._attributes.items():
            if study.user_attrs.get(key) != value:
                study.set_user_attr(key, value)
        metric = self._attributes.get("objective")
        if metric and study.metric_names != [metric]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.set_metric_names([str(metric)])


def _frozen_shown(trial: ShownTrial) -> FrozenTrial:
    state = _optuna_state(trial)
    has_value = state in (TrialState.COMPLETE, TrialState.PRUNED)
    return freeze(
        state,
        value=trial.objective if has_value else None,
        params=trial.parameters,
        distributions={name: to_distribution(d) for name, d in trial.space.items()},
        attributes=trial.attributes(),
        intermediate=trial.intermediate,
        started=_local_time(trial.started),
        finished=_local_time(trial.finished),
    )


def _optuna_state(trial: ShownTrial) -> TrialState:
    state = STATES[trial.state]
    return TrialState.FAIL if state is TrialState.COMPLETE and not is_number(trial.objective) else state


def _local_time(text: str | None) -> datetime | None:
    """Read a record's time; Optuna keeps local times without a zone."""
    return datetime.fromisoformat(text).astimezone().replace(tzinfo=None) if text else None


def _contradicts(shown: Sequence[FrozenTrial], trials: Sequence[ShownTrial]) -> bool:
    planned = {trial.hash: trial for trial in trials}
    hashes = [t.user_attrs.get("hash") for t in shown]
    if len(set(hashes)) < len(hashes) or any(h not in planned for h in hashes):
        return True
    new = {
        (name, distribution_to_json(to_distribution(d)))
        for trial in trials
        for name, d in trial.space.items()
    }
    old = {(name, distribution_to_json(d)) for t in shown for name, d in t.distributions.items()}
    has_changed_axis = bool(old) and {pair for pair in old | new if pair[0] in dict(old)} != old
    return has_changed_axis or any(_disagrees(t, planned[t.user_attrs["hash"]]) for t in shown)


def _disagrees(shown: FrozenTrial, trial: ShownTrial) -> bool:
    if dict(shown.params) != dict(trial.parameters):
        return True
    return shown.state.is_finished() and (
        shown.state is not _optuna_state(trial) or shown.user_attrs.get("state") != str(trial.state)
    )


def _use_write_ahead_log(path: Path) -> None:
    """Let the dashboard read while a sweep writes; a property of the file from then on."""
    with closing(sqlite3.connect(path, timeout=10)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
