"""A quick look at every trial of an experiment: where it stands, without its epochs and images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from segbench.errors import ResultsError
from segbench.records import State, TrialRecord
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.store.lease import is_leased
from segbench.store.trials import count_epochs, find_trial


@dataclass(frozen=True)
class Scan:
    """What an experiment's folder holds."""

    records: Mapping[str, TrialRecord] = field(default_factory=dict)
    """Hash -> record, its `state` and `epochs_done` as they are now."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Hash -> why the record cannot be used."""


def scan(experiment: ExperimentFolder) -> Scan:
    """Read the records of an experiment's trials.

    A record that says `running` is `interrupted` where no living worker holds the trial; one that a worker
    holds is `running` whatever the record says.
    """
    records, unreadable = {}, {}
    for folder in experiment.trial_folders():
        try:
            record = look(folder)
        except ResultsError as error:
            unreadable[folder.hash] = str(error)
            continue
        if record is not None:
            records[folder.hash] = record
    return Scan(records, unreadable)


def look(folder: TrialFolder) -> TrialRecord | None:
    """Return one trial's record as `scan` does; None where there is none yet.

    Raises:
        ResultsError: The record cannot be read, or is another trial's.
    """
    record = find_trial(folder)
    return None if record is None else _as_it_stands(folder, record)


def _as_it_stands(folder: TrialFolder, record: TrialRecord) -> TrialRecord:
    if record.state.is_finished:
        return record
    if is_leased(folder):
        return replace(record, state=State.RUNNING, epochs_done=count_epochs(folder))
    if record.state is State.RUNNING:
        reason = record.reason or "its worker is gone; the next sweep goes on from the last finished epoch"
        return replace(record, state=State.INTERRUPTED, reason=reason, epochs_done=count_epochs(folder))
    return record
