"""A trial that has ended and is to run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from segbench.records import State, TrialRecord
from segbench.store import trials
from segbench.store.damage import find_damage
from segbench.store.layout import TrialFolder
from segbench.store.lease import Lease


def reset(folder: TrialFolder, record: TrialRecord, *, search: Mapping[str, Any] | None) -> None:
    """Have a trial wait again; its attempts stay counted, and the next attempt goes on from what it saved.

    One that somebody holds is left to them.

    Args:
        folder: The trial's.
        record: What stands there.
        search: Takes the place of the record's own.
    """
    lease = Lease.acquire(folder)
    if lease is None:
        return
    with lease:
        lease.check()
        waiting = replace(
            record, state=State.WAITING, failure=None, reason=None, finished=None, search=search
        )
        trials.write_trial(folder, waiting)


def reopen_if_damaged(folder: TrialFolder, record: TrialRecord) -> str | None:
    """Read every file of a finished trial, and have it go on from `last.pt` where one is damaged.

    Where that is damaged, too, the trial starts from its beginning. A pruned trial is left alone: whether it
    would be pruned again depends on the others.

    Returns:
        What is wrong; None: nothing, or somebody holds the trial.
    """
    if record.state not in (State.COMPLETE, State.DIVERGED):
        return None
    damage = find_damage(folder, record)
    lease = Lease.acquire(folder) if damage is not None else None
    if lease is None:
        return None
    with lease:
        lease.check()
        reopened = replace(record, state=State.INTERRUPTED, reason=damage, test={}, finished=None)
        trials.write_trial(folder, reopened)
    return damage
