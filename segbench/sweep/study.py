"""Optuna, and the only module that imports it.

Two separate things live here. `StudyMirror` shows an experiment's trials in a database for the dashboard; it
is written from records and may be thrown away at any time. `SearchStudy` proposes configurations and decides
what to prune; it lives in memory and is filled from the records when a search goes on, so no database is ever
the truth.
"""

from __future__ import annotations

import hashlib
import sqlite3
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.exceptions import ExperimentalWarning
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from segbench.config.experiment import Search
from segbench.records import DECIMALS, State
from segbench.sweep.study_records import Proposal, ShownTrial, search_space

optuna.logging.set_verbosity(optuna.logging.ERROR)

_STATES: Mapping[State, TrialState] = {
    State.WAITING: TrialState.WAITING,
    State.INTERRUPTED: TrialState.WAITING,
    State.RUNNING: TrialState.RUNNING,
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.DIVERGED: TrialState.FAIL,
    State.FAILED: TrialState.FAIL,
}
"""Optuna has no word for a diverged trial: it is FAIL, with its state as user attribute."""


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


class SearchStudy:
    """Proposes configurations of a search space and says which trials to prune.

    The sampler of proposal k draws from hash(sampler seed, k) and the proposals told before it, so a search
    that was killed and started again goes on with the proposals that it would have made.

    Args:
        name: The experiment's name; Hyperband assigns brackets by it.
        search: The space, sampler and pruner.
        direction: `maximize` or `minimize`.
        epochs: Epochs of a whole trial.
        proposals: What was proposed before, by number; numbers may have gaps.
    """

    def __init__(
        self, name: str, search: Search, *, direction: str, epochs: int, proposals: Sequence[Proposal] = ()
    ) -> None:
        self._search = search
        self._distributions = {name: _distribution(d) for name, d in search_space(search).items()}
        self._storage = InMemoryStorage()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            pruner = _pruner(search, epochs)
        self._study = optuna.create_study(
            storage=self._storage, study_name=name, direction=direction, pruner=pruner
        )
        self._trials: dict[int, Trial] = {}
        for proposal in sorted(proposals, key=lambda p: p.number):
            while len(self._trials) < proposal.number:
                self._add(_frozen(TrialState.FAIL))  # its record is gone; later ones keep their numbers
            self._add(self._replayed(proposal))

    @property
    def num_proposals(self) -> int:
        """How many configurations were proposed, gaps included."""
        return len(self._trials)

    def ask(self) -> Proposal:
        """Propose the next configuration."""
        number = self.num_proposals
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.sampler = _sampler(self._search, number)
        trial = self._study.ask(self._distributions)
        self._trials[number] = trial
        return Proposal(number=number, parameters=dict(trial.params))

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Take the objective after an epoch and return whether the trial should stop."""
        trial = self._trials[number]
        if self._is_finished(number):
            return False
        if epoch not in self._storage.get_trial(trial._trial_id).intermediate_values:
            trial.report(_rounded(value), epoch)
        return self._search.pruner != "none" and bool(trial.should_prune())

    def tell(self, number: int, state: State, objective: float | None) -> None:
        """Take a trial's end; a second telling changes nothing."""
        if self._is_finished(number):
            return
        told = _STATES[state]
        if told is TrialState.COMPLETE and not _is_number(objective):
            told = TrialState.FAIL
        values = [_rounded(objective)] if told is TrialState.COMPLETE else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a pruned trial without a value is no surprise
            self._study.tell(self._trials[number], values, told)

    def _is_finished(self, number: int) -> bool:
        return self._storage.get_trial(self._trials[number]._trial_id).state.is_finished()

    def _add(self, trial: FrozenTrial) -> None:
        trial_id = self._storage.create_new_trial(self._study._study_id, trial)
        self._trials[len(self._trials)] = Trial(self._study, trial_id)

    def _replayed(self, proposal: Proposal) -> FrozenTrial:
        state = _STATES[proposal.state]
        if state is TrialState.WAITING:
            state = TrialState.RUNNING  # a WAITING trial would be handed out by the next `ask`
        if state is TrialState.COMPLETE and not _is_number(proposal.objective):
            state = TrialState.FAIL
        return _frozen(
            state,
            value=_rounded(proposal.objective) if state is TrialState.COMPLETE else None,
            params=proposal.parameters,
            distributions=self._distributions,
            intermediate={e: _rounded(v) for e, v in proposal.intermediate.items()},
        )


def _distribution(dimension: Mapping[str, Any]) -> BaseDistribution:
    if "levels" in dimension:
        return CategoricalDistribution(tuple(dimension["levels"]))
    low, high, log, step = (dimension[key] for key in ("low", "high", "log", "step"))
    if dimension["is_integer"]:
        return IntDistribution(int(low), int(high), log=log, step=int(step) if step else 1)
    return FloatDistribution(low, high, log=log, step=step)


def _sampler(search: Search, number: int) -> optuna.samplers.BaseSampler:
    digest = hashlib.sha256(f"{search.sampler_seed}/{number}".encode()).digest()
    seed = int.from_bytes(digest[:4], "big")
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def _pruner(search: Search, epochs: int) -> optuna.pruners.BasePruner:
    if search.pruner == "median":
        first = search.pruner_warmup_epochs + 1  # epochs count from 1, Optuna's steps from 0
        return optuna.pruners.MedianPruner(n_warmup_steps=first)
    if search.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(
            min_resource=max(1, min(search.pruner_warmup_epochs, epochs)), max_resource=epochs
        )
    return optuna.pruners.NopPruner()


def _frozen(
    state: TrialState,
    *,
    value: float | None = None,
    params: Mapping[str, Any] | None = None,
    distributions: Mapping[str, BaseDistribution] | None = None,
    attributes: Mapping[str, Any] | None = None,
    intermediate: Mapping[int, float] | None = None,
    started: datetime | None = None,
    finished: datetime | None = None,
) -> FrozenTrial:
    started = started or datetime.now()
    return FrozenTrial(
        number=-1,  # the storage gives the number and the id
        trial_id=-1,
        state=state,
        value=value,
        datetime_start=None if state is TrialState.WAITING else started,
        datetime_complete=(finished or started) if state.is_finished() else None,
        params=dict(params or {}),
        distributions=dict(distributions or {}),
        user_attrs=dict(attributes or {}),
        system_attrs={},
        intermediate_values=dict(intermediate or {}),
    )


def _frozen_shown(trial: ShownTrial) -> FrozenTrial:
    state = _optuna_state(trial)
    has_value = state in (TrialState.COMPLETE, TrialState.PRUNED)
    return _frozen(
        state,
        value=trial.objective if has_value else None,
        params=trial.parameters,
        distributions={name: _distribution(d) for name, d in trial.space.items()},
        attributes=trial.attributes(),
        intermediate=trial.intermediate,
        started=_local_time(trial.started),
        finished=_local_time(trial.finished),
    )


def _optuna_state(trial: ShownTrial) -> TrialState:
    state = _STATES[trial.state]
    return TrialState.FAIL if state is TrialState.COMPLETE and not _is_number(trial.objective) else state


def _is_number(value: float | None) -> bool:
    return value is not None and value == value


def _local_time(text: str | None) -> datetime | None:
    """Read a record's time; Optuna keeps local times without a zone."""
    return datetime.fromisoformat(text).astimezone().replace(tzinfo=None) if text else None


def _contradicts(shown: Sequence[FrozenTrial], trials: Sequence[ShownTrial]) -> bool:
    planned = {trial.hash: trial for trial in trials}
    hashes = [t.user_attrs.get("hash") for t in shown]
    if len(set(hashes)) < len(hashes) or any(h not in planned for h in hashes):
        return True
    new = {
        (name, distribution_to_json(_distribution(d))) for trial in trials for name, d in trial.space.items()
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


def _rounded(value: float | None) -> float:
    """Round as records do, so that a search told from files equals one told live."""
    return float(f"{value:.{DECIMALS}g}")


def _use_write_ahead_log(path: Path) -> None:
    """Let the dashboard read while a sweep writes; a property of the file from then on."""
    with closing(sqlite3.connect(path, timeout=10)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
