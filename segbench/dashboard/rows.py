"""What Optuna's interface does too slowly at 10,000 trials, done on the tables of its schema.

Reading a study through the interface builds every trial with all of its values (8 s for 10,000 of them),
deleting one loads them all first, and each attribute is a transaction of its own, which a server answers in
half a dozen round trips. Here the first two are one statement a table, and all attributes of a trial are one
transaction. A storage that is no database is used through the interface.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import TrialState
from sqlalchemy import Connection, column, delete, insert, table, text
from sqlalchemy.exc import SQLAlchemyError

MARK: Final = "segbench"
"""System attribute of a trial that says which trial of the records it shows, and what of it."""

_TRIAL_TABLES: Final = (
    "trial_values",
    "trial_intermediate_values",
    "trial_params",
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_heartbeats",
)
_STUDY_TABLES: Final = (
    "trials",
    "study_directions",
    "study_user_attributes",
    "study_system_attributes",
    "studies",
)


@dataclass(frozen=True)
class Row:
    """A trial of a study, as far as it must be known to go on showing it."""

    trial_id: int
    state: TrialState
    mark: Any
    """What `MARK` holds; None: segbench did not write this trial."""


def writes_at_once(storage: BaseStorage) -> bool:
    """Whether `write_attributes` is one transaction, and may follow a trial's end."""
    return isinstance(storage, RDBStorage)


def write_attributes(
    storage: BaseStorage,
    study_id: int,
    trial_id: int,
    *,
    user: Mapping[str, Any],
    system: Mapping[str, Any],
    study: Mapping[str, Any],
) -> None:
    """Write attributes of a trial and of its study (`study`: system attributes)."""
    if isinstance(storage, RDBStorage):
        with storage.engine.begin() as connection:
            _replace(connection, "trial_user_attributes", "trial_id", trial_id, user)
            _replace(connection, "trial_system_attributes", "trial_id", trial_id, system)
            _replace(connection, "study_system_attributes", "study_id", study_id, study)
        return
    for key, value in user.items():
        storage.set_trial_user_attr(trial_id, key, value)
    for key, value in system.items():
        storage.set_trial_system_attr(trial_id, key, value)
    for key, value in study.items():
        storage.set_study_system_attr(study_id, key, value)


def read_rows(storage: BaseStorage, study_id: int) -> Sequence[Row]:
    """Return the trials of a study in their order."""
    if isinstance(storage, RDBStorage):
        try:
            return _select_rows(storage, study_id)
        except SQLAlchemyError:
            pass  # other tables, or a connection that fails below too
    trials = storage.get_all_trials(study_id, deepcopy=False)
    return [Row(t._trial_id, t.state, t._system_attrs.get(MARK)) for t in trials]


def delete_study(storage: BaseStorage, study_id: int) -> None:
    """Delete a study with its trials."""
    if isinstance(storage, RDBStorage):
        try:
            _delete_rows(storage, study_id)
            return
        except SQLAlchemyError:
            pass
    storage.delete_study(study_id)


def _replace(
    connection: Connection, name: str, owner: str, owner_id: int, attributes: Mapping[str, Any]
) -> None:
    if not attributes:
        return
    of = table(name, column(owner), column("key"), column("value_json"))
    connection.execute(delete(of).where(of.c[owner] == owner_id, of.c.key.in_(list(attributes))))
    lines = [{owner: owner_id, "key": k, "value_json": json.dumps(v)} for k, v in attributes.items()]
    connection.execute(insert(of), lines)


def _select_rows(storage: RDBStorage, study_id: int) -> list[Row]:
    query = text(
        "SELECT t.trial_id, t.state, a.value_json FROM trials t LEFT JOIN trial_system_attributes a"
        " ON a.trial_id = t.trial_id AND a.key = :mark WHERE t.study_id = :study ORDER BY t.trial_id"
    )
    with storage.engine.connect() as connection:
        found = connection.execute(query, {"mark": MARK, "study": study_id}).all()
    return [Row(trial_id, TrialState[state], json.loads(mark or "null")) for trial_id, state, mark in found]


def _delete_rows(storage: RDBStorage, study_id: int) -> None:
    with storage.engine.begin() as connection:
        for table in _TRIAL_TABLES:
            of_study = "trial_id IN (SELECT trial_id FROM trials WHERE study_id = :study)"
            connection.execute(text(f"DELETE FROM {table} WHERE {of_study}"), {"study": study_id})
        for table in _STUDY_TABLES:
            connection.execute(text(f"DELETE FROM {table} WHERE study_id = :study"), {"study": study_id})
