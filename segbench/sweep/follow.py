"""Follows trials by their files: those of workers that this process did not start.

Such a worker may be a job of Slurm, a `segbench worker` on another host, or one that an earlier supervisor
left behind. What its files say is turned into the events that a worker of our own would send.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from segbench.errors import SegbenchError
from segbench.records import State, TrialRecord
from segbench.store import trials
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.store.lease import Lease, holder, is_leased, place
from segbench.store.queue import QueuedTrial
from segbench.sweep.events import EpochFinished, Event, TrialFinished, TrialStarted, label_trial


@dataclass
class _Seen:
    """What the last look found."""

    stamp: tuple[int, int] | None = None
    """Of `trial.json`."""
    record: TrialRecord | None = None
    attempt: int | None = None
    """The one that was announced and has not ended; None: nobody has the trial, as far as was told."""
    epochs_size: int = 0
    epochs_told: int = 0


class Follower:
    """Looks at the files of trials and tells what has changed since it last did.

    A trial that waits costs nothing, one that was begun two questions to the file system.
    """

    def __init__(self, folder: ExperimentFolder) -> None:
        self._folder = folder
        self._seen: dict[str, _Seen] = {}

    def look(self, followed: Iterable[QueuedTrial], *, own: Collection[int] = ()) -> Iterator[Event]:
        """Yield what happened, in the order of `followed`; epochs come once, and before a trial's end.

        Args:
            followed: Trials that have not ended as far as the caller knows.
            own: Processes of this host whose trials are left out: they tell of themselves.
        """
        begun = _names(self._folder)
        for trial in followed:
            if trial.hash not in begun:
                continue
            seen = self._seen.setdefault(trial.hash, _Seen())
            yield from self._look_at(trial, self._folder.trial(trial.hash), seen, own)

    def held_by(self, job: str) -> str | None:
        """Return the hash of the trial that a job of Slurm left running when it ended, or None."""
        for trial_hash, seen in self._seen.items():
            if seen.record is None or seen.record.state is not State.RUNNING:
                continue
            held = holder(self._folder.trial(trial_hash))
            if held is not None and held.job == job:
                return trial_hash
        return None

    def free(self, trial_hash: str, job: str) -> None:
        """Take away the claim of a job that Slurm calls ended, so that nobody waits for its heart to beat."""
        folder = self._folder.trial(trial_hash)
        for _ in range(2):  # the first look at a claim is never enough to call it dead
            held = holder(folder)
            if held is None or held.job != job:
                return
            lease = Lease.acquire(folder, stale_after_s=0.0, heartbeat_s=10.0)
            if lease is not None:
                lease.release()

    def _look_at(
        self, trial: QueuedTrial, folder: TrialFolder, seen: _Seen, own: Collection[int]
    ) -> Iterator[Event]:
        stamp = _stamp(folder)
        if stamp != seen.stamp or seen.record is None:
            try:
                seen.record, seen.stamp = trials.read_trial(folder), stamp
            except SegbenchError:
                return  # the worker that takes it says what is wrong
        elif seen.record.state is not State.RUNNING:
            return
        record = seen.record
        if record.state is State.RUNNING:
            yield from self._look_at_running(trial, folder, seen, record, own)
        elif record.state.is_finished or record.state is State.FAILED:
            yield from _new_epochs(folder, seen)
            seen.attempt = None
            yield _ended(trial, record)
        elif seen.attempt is not None:
            yield from _new_epochs(folder, seen)
            seen.attempt = None
            yield TrialFinished(hash=trial.hash, state=State.INTERRUPTED, reason=record.reason)

    def _look_at_running(
        self,
        trial: QueuedTrial,
        folder: TrialFolder,
        seen: _Seen,
        record: TrialRecord,
        own: Collection[int],
    ) -> Iterator[Event]:
        held = holder(folder)
        if held is not None and held.pid in own and held.place == place():
            return
        if held is None or not is_leased(folder):
            if seen.attempt is not None and _stamp(folder) == seen.stamp:
                yield from _new_epochs(folder, seen)
                seen.attempt = None
                reason = "its worker gives no sign of life"
                yield TrialFinished(hash=trial.hash, state=State.INTERRUPTED, reason=reason)
            return
        if seen.attempt != record.attempts:
            seen.attempt = record.attempts
            yield _started(trial, record, folder)
        yield from _new_epochs(folder, seen)


def _new_epochs(folder: TrialFolder, seen: _Seen) -> Iterator[EpochFinished]:
    """Yield the rows that were not told; those of earlier attempts too, for whoever lacks them."""
    try:
        size = folder.epochs.stat().st_size
        if size == seen.epochs_size:
            return
        header, body = trials.split_epochs(str(folder.epochs), folder.epochs.read_bytes())
        columns = header.split(",")
        rows = [dict(zip(columns, map(float, line.split(",")), strict=True)) for line in body.splitlines()]
    except (OSError, ValueError, SegbenchError):
        return
    seen.epochs_size = size
    for row in rows[seen.epochs_told :]:
        seen.epochs_told += 1
        yield EpochFinished(hash=folder.hash, epoch=int(row["epoch"]), row=row)


def _started(trial: QueuedTrial, record: TrialRecord, folder: TrialFolder) -> TrialStarted:
    return TrialStarted(
        hash=trial.hash,
        label=label_trial(trial.levels, trial.search),
        seed=trial.seed,
        fold=trial.fold,
        epochs=int(trial.config["epochs"]),
        epochs_done=trials.count_epochs(folder),
        started=record.started or "",
        device=record.device or "",
    )


def _ended(trial: QueuedTrial, record: TrialRecord) -> TrialFinished:
    return TrialFinished(
        hash=trial.hash,
        state=str(record.state),
        failure=None if record.failure is None else str(record.failure),
        reason=record.reason,
        objective=record.objective,
        test=dict(record.test),
        commit=record.commit,
        label=f"{label_trial(trial.levels, trial.search)}, seed {trial.seed}",
    )


def _stamp(folder: TrialFolder) -> tuple[int, int] | None:
    try:
        status = folder.record.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def _names(folder: ExperimentFolder) -> frozenset[str]:
    try:
        with os.scandir(folder.trials) as entries:
            return frozenset(entry.name for entry in entries)
    except OSError:
        return frozenset()
