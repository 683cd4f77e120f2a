"""An experiment's study in a storage, as the dashboard shows it."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from segbench.errors import ResultsError, message
from segbench.sweep.address import StorageAddress
from segbench.sweep.study.convert import STATES, freeze, is_number, to_distribution
from segbench.sweep.study.notes import study_note, trial_note
from segbench.sweep.study.pictures import picture_attribute
from segbench.sweep.study.records import ShownTrial
from segbench.sweep.study.rows import MARK, Row, delete_study, read_rows, write_attributes, writes_at_once
from segbench.sweep.study.storage import close_storage, open_storage, refusal

OPENED: Final = "mirrored_at"
"""User attribute of a study that segbench writes: when it last opened it."""


@dataclass
class _Known:
    """A trial that the storage shows, as this process last saw it."""

    trial_id: int
    state: TrialState
    attributes: dict[tuple[str, str], Any] = field(default_factory=dict)
    """(`user` or `system`, key) -> value that the storage shows, as far as this process knows."""
    note: str = ""
    num_notes: int = 0

    @property
    def is_finished(self) -> bool:
        return self.state.is_finished()


class StudyMirror:
    """One experiment's study in a storage, kept like the records.

    Every method is a few quick transactions, as many at the ten-thousandth trial as at the first, and may
    raise whatever a database raises; the caller decides that a sweep does not end by it. What was written is
    remembered, so nothing is read back.

    Args:
        address: The storage; an SQLite file or a journal is created where missing.
        name: The study's name: the experiment's.
        directions: `maximize` or `minimize`, one a goal.
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
        """Make the study show exactly these trials, in this order where they are new.

        What the storage holds is kept where it agrees. A grown axis, a renamed label, a trial run again or
        one that is no longer planned contradict it: then the study is written anew.

        Args:
            trials: What to show.
            detail: Adds to a trial what takes time to find (its epochs, note and picture); asked only for
                trials that are to be written.

        Returns:
            Whether the study was written anew.
        """
        rows = read_rows(self._storage, self._study_id)
        is_rebuilt = _contradicts(rows, trials)
        if is_rebuilt:
            self._delete()
            self._open()
            rows = ()
        known = {row.mark[0]: row for row in rows}
        for trial in trials:
            row = known.get(trial.hash)
            if row is None:
                self.add(detail(trial))
                continue
            seen = self._known[trial.hash] = _Known(row.trial_id, row.state)
            if not seen.is_finished and (_has_started(trial) or seen.state is not TrialState.WAITING):
                self._catch_up(detail(trial))
        return is_rebuilt

    def add(self, trial: ShownTrial) -> None:
        """Show one more trial; one that is shown already stays as it is."""
        if trial.hash in self._known:
            return
        at_once = writes_at_once(self._storage)
        frozen = _frozen_shown(trial, with_attributes=not at_once)
        seen = _Known(self._storage.create_new_trial(self._study_id, frozen), frozen.state)
        if not at_once:
            seen.attributes = _attributes(trial)
        # A kill before this leaves a trial without a mark: the next start writes the study anew.
        self._write_attributes(seen, trial)
        self._known[trial.hash] = seen

    def report(self, trial_hash: str, epoch: int, value: float) -> None:
        """Show the objective after an epoch; one that is not shown, or has ended, is left alone."""
        seen = self._known.get(trial_hash)
        if seen is None or seen.is_finished:
            return
        try:
            self._storage.set_trial_intermediate_value(seen.trial_id, epoch, value)
        except UpdateFinishedTrialError:  # another supervisor, or `results sync`, was quicker
            seen.state = TrialState.COMPLETE

    def set_state(self, trial: ShownTrial) -> None:
        """Show a trial's state, values, attributes, note and picture."""
        seen = self._known.get(trial.hash)
        if seen is None or seen.is_finished:
            return
        try:
            self._update(seen, trial)
        except UpdateFinishedTrialError:
            seen.state = TrialState.COMPLETE

    def set_note(self, body: str) -> None:
        """Show a note on the study."""
        if body == self._note:
            return
        write_attributes(self._storage, self._study_id, 0, user={}, system={}, study=study_note(body))
        self._note = body

    def close(self) -> None:
        """Let go of the storage's connections."""
        close_storage(self._storage)

    def _update(self, seen: _Known, trial: ShownTrial) -> None:
        self._write_attributes(seen, trial)
        state = _optuna_state(trial)
        if state is not seen.state:
            self._storage.set_trial_state_values(seen.trial_id, state, _values(trial, state))
            seen.state = state

    def _write_attributes(self, seen: _Known, trial: ShownTrial) -> None:
        """Write the attributes and the note that the storage does not show yet."""
        attributes, note = _attributes(trial), {}
        if trial.note and trial.note != seen.note:
            seen.note, seen.num_notes = trial.note, seen.num_notes + 1
            note = trial_note(seen.trial_id, trial.note, version=seen.num_notes)
        new = {k: v for k, v in attributes.items() if k not in seen.attributes or seen.attributes[k] != v}
        if new or note:
            write_attributes(
                self._storage,
                self._study_id,
                seen.trial_id,
                user={key: value for (kind, key), value in new.items() if kind == "user"},
                system={key: value for (kind, key), value in new.items() if kind == "system"},
                study=note,
            )
        seen.attributes.update(new)

    def _catch_up(self, trial: ShownTrial) -> None:
        """Write what happened while nobody mirrored."""
        seen = self._known[trial.hash]
        shown = self._storage.get_trial(seen.trial_id)
        if shown.state.is_finished():
            seen.state = shown.state
            return
        seen.attributes = {("user", key): value for key, value in shown.user_attrs.items()}
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
            delete_study(self._storage, study._study_id)
            study = self._create()
        self._study_id, self._known, self._note = study._study_id, {}, ""
        attributes = {**self._attributes, OPENED: datetime.now(UTC).isoformat(timespec="milliseconds")}
        before = study.user_attrs
        for key, value in attributes.items():
            if before.get(key) != value:
                self._storage.set_study_user_attr(self._study_id, key, value)
        if self._metrics and study.metric_names != self._metrics:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.set_metric_names(self._metrics)

    def _create(self) -> optuna.Study:
        return optuna.create_study(
            storage=self._storage, study_name=self._name, directions=self._directions, load_if_exists=True
        )

    def _is_own(self, study: optuna.Study) -> bool:
        """Whether the study may be written; in results/optuna.db every one may."""
        if not self._address.is_named or OPENED in study.user_attrs:
            return True
        return not read_rows(self._storage, study._study_id)

    def _delete(self) -> None:
        delete_study(self._storage, self._study_id)


def _mark_of(trial: ShownTrial) -> list[str | None]:
    """Return [hash, what was asked, how it ended]: what tells whether a study still shows the records."""
    is_finished = _optuna_state(trial).is_finished()
    ended = _digest([trial.state, trial.objective, trial.goals]) if is_finished else None
    return [trial.hash, _digest([trial.parameters, trial.space]), ended]


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _contradicts(rows: Sequence[Row], trials: Sequence[ShownTrial]) -> bool:
    """Whether trials in the storage differ from the planned ones in what cannot be changed afterwards."""
    if len({row.mark[0] for row in rows if row.mark}) < len(rows):
        return True  # one is shown twice, or segbench did not write it
    planned = {trial.hash: trial for trial in trials}
    return any(row.mark[0] not in planned or _disagrees(row, planned[row.mark[0]]) for row in rows)


def _disagrees(row: Row, trial: ShownTrial) -> bool:
    _, asked, ended = _mark_of(trial)
    return bool(row.mark[1] != asked or (row.state.is_finished() and row.mark[2] != ended))


def _has_started(trial: ShownTrial) -> bool:
    return trial.started is not None


def _attributes(trial: ShownTrial) -> dict[tuple[str, str], Any]:
    """Return (`user` or `system`, key) -> value: what the dashboard lists, the mark, the picture."""
    system: dict[str, Any] = {MARK: _mark_of(trial)}
    if trial.picture is not None:
        key, value = picture_attribute(trial.picture)
        system[key] = value
    return {
        **{("user", key): value for key, value in trial.attributes().items()},
        **{("system", key): value for key, value in system.items()},
    }


def _frozen_shown(trial: ShownTrial, *, with_attributes: bool) -> FrozenTrial:
    state = _optuna_state(trial)
    attributes = _attributes(trial) if with_attributes else {}
    return freeze(
        state,
        values=_values(trial, state),
        params=trial.parameters,
        distributions={name: to_distribution(d) for name, d in trial.space.items()},
        attributes={key: value for (kind, key), value in attributes.items() if kind == "user"},
        hidden={key: value for (kind, key), value in attributes.items() if kind == "system"},
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
