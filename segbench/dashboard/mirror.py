"""Writes the studies: from a thread while a sweep runs, or from the files later.

A sweep never waits for a storage. What a storage missed, after a loss, a move or a sweep without one,
`sync` writes.
"""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from segbench.config.load import load_experiment
from segbench.config.project import Project
from segbench.dashboard.address import StorageAddress, default_address
from segbench.dashboard.shown import Asked, Frame, ShownTrial, read_answer, write_headline
from segbench.errors import ResultsError, SegbenchError, message
from segbench.records import TrialRecord
from segbench.store import trials
from segbench.store.index import read_index
from segbench.store.layout import ExperimentFolder, ResultsFolder
from segbench.store.lease import is_leased
from segbench.store.queue import Queue, QueuedTrial
from segbench.store.scan import scan
from segbench.trial.events import EpochFinished, Event, TrialFinished, TrialStarted
from segbench.trial.record import read_column

if TYPE_CHECKING:
    from pathlib import Path

    from segbench.config.experiment import Experiment
    from segbench.dashboard.study import StudyMirror


RETRY_S: Final = 30.0
"""A storage that failed is tried again after this long."""

STEADY_S: Final = 30.0
"""A storage that fails after it worked for this long is tried again at once, without a message."""

HEADLINE_EVERY_S: Final = 5.0
"""The study's note is written at most this often while trials end."""


MOST_VALUES: Final = 10_000
"""Epochs kept in all; those of further trials are read from their files when their turn comes."""


@dataclass
class Change:
    """What happened to a trial since it was last written."""

    is_new: bool = False
    has_state: bool = False
    epochs: dict[int, float] = field(default_factory=dict)
    """Epoch -> objective."""
    has_more_epochs: bool = False
    """Whether some were left out; `epochs.csv` has all."""


class Inbox:
    """What a slow storage has yet to be told: one change per trial, however much happens to it.

    Changes come in the order in which the trials first changed. Putting never waits for taking.
    """

    def __init__(self) -> None:
        self._changes: dict[str, Change] = {}
        self._num_values = 0
        self._is_closed = False
        self._condition = threading.Condition()

    def __len__(self) -> int:
        return len(self._changes)

    def put(self, trial_hash: str, *, is_new: bool = False, has_state: bool = False) -> None:
        """Say that a trial was added, or that its record has changed."""
        with self._condition:
            change = self._change(trial_hash)
            change.is_new |= is_new
            change.has_state |= has_state

    def put_epoch(self, trial_hash: str, epoch: int, value: float) -> None:
        """Give a trial's objective after an epoch."""
        with self._condition:
            change = self._change(trial_hash)
            if self._num_values >= MOST_VALUES:
                change.has_more_epochs = True
            elif epoch not in change.epochs:
                change.epochs[epoch] = value
                self._num_values += 1

    def take(self, timeout_s: float | None = None) -> tuple[str, Change] | None:
        """Return the oldest change; None if the time is over, or if the inbox is closed and empty."""
        with self._condition:
            self._condition.wait_for(lambda: self._changes or self._is_closed, timeout_s)
            if not self._changes:
                return None
            trial_hash = next(iter(self._changes))
            change = self._changes.pop(trial_hash)
            self._num_values -= len(change.epochs)
            return trial_hash, change

    def clear(self) -> None:
        """Forget everything: the files are about to be read."""
        with self._condition:
            self._changes.clear()
            self._num_values = 0

    def close(self) -> None:
        """Let `take` end when nothing is left."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()

    @property
    def is_over(self) -> bool:
        """Whether it is closed and empty."""
        with self._condition:
            return self._is_closed and not self._changes

    def _change(self, trial_hash: str) -> Change:
        self._condition.notify_all()
        return self._changes.setdefault(trial_hash, Change())


class Mirror:
    """Writes an experiment's study from a thread.

    A storage that is locked, read-only or broken causes one message; the study is written from the records as
    soon as the storage works again. What the thread has yet to write is bounded by `Inbox`.

    Args:
        address: The storage.
        frame: The study's name, goals and axes, and where the records are.
        report: The experiment's `report.md`, whose answer the study's note repeats.
        note: Told what the user should know.
    """

    def __init__(
        self,
        address: StorageAddress,
        frame: Frame,
        *,
        report: Path | None = None,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._address, self._frame, self._report, self._note = address, frame, report, note
        self._inbox = Inbox()
        self._trials: dict[str, Asked] = {}
        self._records: Mapping[str, TrialRecord] | None = {}
        self._shown: dict[str, ShownTrial] = {}
        self._stop = threading.Event()
        self._has_complained = False
        self._has_headline = False
        self._headline_s = float("-inf")
        self._thread = threading.Thread(target=self._work, name="study", daemon=True)

    def check(self) -> None:
        """Open the study and write to it.

        Raises:
            ResultsError: The storage does not answer, cannot be written, or holds a study that is not ours.
        """
        self._open().close()

    def write(self, asked: Sequence[Asked], records: Mapping[str, TrialRecord]) -> bool:
        """Write the whole study at once, without a thread; return whether it was written anew.

        Raises:
            ResultsError: As `check`.
        """
        self._trials, self._records = {trial.hash: trial for trial in asked}, records
        study = self._open()
        try:
            return self._synchronise(study)
        finally:
            study.close()

    def start(self, planned: Sequence[Asked], records: Mapping[str, TrialRecord] | None = None) -> None:
        """Show what is planned, with what the records say of it, and take events from now on.

        Args:
            planned: Every trial of the study.
            records: Hash -> record of those that have one, read a moment ago; None to read them anew.
        """
        self._trials = {trial.hash: trial for trial in planned}
        self._records = records
        self._thread.start()

    def add(self, trial: QueuedTrial) -> None:
        """Show one more trial."""
        if trial.hash not in self._trials:
            self._trials[trial.hash] = trial
            self._inbox.put(trial.hash, is_new=True)

    def handle(self, event: Event) -> None:
        """Show an event; never wait for the storage."""
        if event.hash not in self._trials:
            return
        if isinstance(event, EpochFinished):
            metric = self._frame.metrics[0]
            if self._frame.is_single and metric in event.row:
                self._inbox.put_epoch(event.hash, event.epoch, event.row[metric])
        elif isinstance(event, TrialStarted | TrialFinished):
            self._inbox.put(event.hash, has_state=True)

    def close(self, timeout_s: float | None = 20.0) -> None:
        """Write what is left, for at most this long; None to write all of it."""
        self._stop.set()
        self._inbox.close()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
            if self._thread.is_alive() and not self._has_complained:
                self._has_complained = True
                self._note(
                    f"{self._address.shown}: the dashboard's database is slower than the sweep; "
                    f"`segbench results sync {self._frame.folder.name}` writes what it lacks."
                )

    def _work(self) -> None:
        while True:
            began_s = time.monotonic()
            try:
                self._mirror_until_closed()
                return
            except Exception as error:  # whatever a storage does, the sweep goes on
                if time.monotonic() - began_s > STEADY_S:
                    continue  # a server closed an idle connection, or was started anew
                self._complain(error)
            if self._stop.wait(RETRY_S):
                return

    def _mirror_until_closed(self) -> None:
        study = self._open()
        try:
            self._synchronise(study)
            while not self._inbox.is_over:
                taken = self._inbox.take(self._until_headline())
                if taken is not None:
                    self._write(study, *taken)
                if self._until_headline() == 0.0:
                    self._write_headline(study)
            self._write_headline(study)
        finally:
            study.close()

    def _open(self) -> StudyMirror:
        from segbench.dashboard.study import StudyMirror

        frame = self._frame
        return StudyMirror(
            self._address,
            name=frame.folder.name,
            directions=frame.directions,
            metrics=frame.metrics,
            attributes={"question": frame.question, "objective": ", ".join(frame.metrics)},
        )

    def _synchronise(self, study: StudyMirror) -> bool:
        records = self._records
        if records is None:  # not the first time: what waits to be told stands in the files
            self._inbox.clear()
            records = {h: r for h in list(self._trials) if (r := self._read(h)) is not None}
        self._records = None
        asked = list(self._trials.values())
        self._shown = {trial.hash: self._frame.show(trial, records.get(trial.hash)) for trial in asked}
        is_rebuilt = study.synchronise(
            list(self._shown.values()), lambda trial: self._frame.detail(trial, records.get(trial.hash))
        )
        self._has_headline = True
        self._write_headline(study)
        return is_rebuilt

    def _write(self, study: StudyMirror, trial_hash: str, change: Change) -> None:
        frame, record = self._frame, self._read(trial_hash)
        trial = self._shown[trial_hash] = frame.show(self._trials[trial_hash], record)
        trial = frame.detail(trial, record) if change.is_new or change.has_state else trial
        if change.is_new:
            study.add(trial)
        epochs = change.epochs
        if change.has_more_epochs:
            epochs = read_column(frame.folder.trial(trial_hash), frame.metrics[0])
        for epoch, value in epochs.items():
            study.report(trial_hash, epoch, value)
        if change.has_state:
            study.set_state(trial)
            self._has_headline = True

    def _until_headline(self) -> float | None:
        if not self._has_headline:
            return None
        return max(0.0, self._headline_s + HEADLINE_EVERY_S - time.monotonic())

    def _write_headline(self, study: StudyMirror) -> None:
        if self._has_headline:
            answer = read_answer(self._report) if self._report is not None else None
            study.set_note(write_headline(self._frame, self._shown, answer=answer))
            self._has_headline, self._headline_s = False, time.monotonic()

    def _read(self, trial_hash: str) -> TrialRecord | None:
        return trials.peek_trial(self._frame.folder.trial(trial_hash))

    def _complain(self, error: Exception) -> None:
        if not self._has_complained:
            self._has_complained = True
            text = self._address.clean(str(error)).strip().split("\n")[0]
            text = text.removeprefix(f"{self._address.shown}: ").rstrip(".")
            self._note(
                f"{self._address.shown}: the dashboard's database cannot be written ({text}). "
                "The sweep goes on; the database is written from the records as soon as it can be."
            )


def make_mirror(
    experiment: Experiment,
    folder: ExperimentFolder,
    note: Callable[[str], None],
    address: StorageAddress | None = None,
) -> Mirror:
    """Return the mirror of an experiment, not yet started.

    Args:
        experiment: Whose trials are shown.
        folder: Where their records are.
        note: Told what the user should know.
        address: The storage; None for the one under `results/`.
    """
    project = experiment.project
    return Mirror(
        address or default_address(project.results),
        Frame.of(experiment, folder),
        report=project.reports / experiment.name / "report.md",
        note=note,
    )


def check_storage(experiment: Experiment, folder: ExperimentFolder, address: StorageAddress) -> None:
    """Refuse a storage that the user named and that cannot be written, before any work starts.

    Raises:
        ResultsError: It does not answer, refuses, or is damaged.
    """
    if address.is_named:
        make_mirror(experiment, folder, lambda text: None, address).check()


@dataclass(frozen=True, kw_only=True)
class Synced:
    """One experiment's study after a synchronisation."""

    name: str
    num_trials: int = 0
    is_rebuilt: bool = False
    """Whether the study contradicted the records and was written anew."""
    skipped: str | None = None
    """Why it was left alone."""


@dataclass(frozen=True, kw_only=True)
class SyncReport:
    """What `synchronise` did."""

    studies: tuple[Synced, ...]
    orphans: Mapping[str, int]
    """Studies that segbench wrote and whose experiment is not under `results/` -> their number of trials."""
    pruned: tuple[str, ...] = ()


class _Line(NamedTuple):
    """A trial that is planned and has no record."""

    hash: str
    levels: Mapping[str, str]
    seed: int
    fold: int


def synchronise(
    project: Project,
    address: StorageAddress,
    *,
    names: Sequence[str] = (),
    prune: bool = False,
    note: Callable[[str], None] = lambda text: None,
) -> SyncReport:
    """Make the studies of a storage show what the files say; a second call changes nothing.

    A damaged journal or SQLite file is moved aside first. A study is left alone while a sweep writes it. With
    `prune`, studies whose experiment is gone are deleted; others may share a storage that the user named, so
    there only those among `names`.

    Args:
        project: Whose results.
        address: The storage.
        names: Experiments; empty for all. With `prune`, names of orphans too.
        prune: Delete orphans.
        note: Told what the user should know.

    Raises:
        ResultsError: The storage cannot be used, or a name is neither an experiment with results nor an
            orphan to delete.
    """
    from segbench.dashboard.storage import count_own, delete_studies, find_damage, move_aside

    damage = find_damage(address)
    if damage is not None and address.path is not None:
        aside = move_aside(address.path)
        note(f"{address.shown}: damaged ({damage}), moved to {aside.name} and written anew from the records")
    folders = {folder.name: folder for folder in ResultsFolder(project.results).experiments()}
    orphans = count_own(address, but=folders)
    _check_names(names, folders, orphans if prune else {})
    chosen = {name: folder for name, folder in folders.items() if not names or name in names}
    synced = tuple(_synchronise(folder, project, address) for folder in chosen.values())
    pruned = [n for n in orphans if prune and (n in names or not (names or address.is_named))]
    delete_studies(address, pruned)
    left = {name: count for name, count in orphans.items() if name not in pruned}
    return SyncReport(studies=synced, orphans=left, pruned=tuple(pruned))


def _synchronise(folder: ExperimentFolder, project: Project, address: StorageAddress) -> Synced:
    with _held(folder) as is_free:
        if not is_free or is_leased(folder.supervisor):
            return Synced(name=folder.name, skipped="a sweep is running, which writes it itself")
        found = scan(folder)
        asked = _asked(folder, found.records)
        if not asked:
            return Synced(name=folder.name, skipped="no trials")
        report = project.reports / folder.name / "report.md"
        mirror = Mirror(address, _frame(folder, found.records, asked), report=report)
        is_rebuilt = mirror.write(asked, found.records)
        return Synced(name=folder.name, num_trials=len(asked), is_rebuilt=is_rebuilt)


def _asked(folder: ExperimentFolder, records: Mapping[str, TrialRecord]) -> list[Asked]:
    """Return the trials of the present design as the files tell: index and queue, else every record."""
    try:
        index = read_index(folder)
    except ResultsError:
        index = []
    found: dict[str, Asked] = {}
    for row in index:
        levels = {axis: label for axis, label in row.levels.items() if label}
        found[row.hash] = _Line(row.hash, levels, row.seed, row.fold)
    try:
        queued = Queue.read(folder.queue).trials
    except SegbenchError:
        queued = ()
    for trial in queued:
        found.setdefault(trial.hash, trial)
    is_search = any(record.search for record in records.values())
    if not index or is_search:
        for record in sorted(records.values(), key=_by_age):
            found.setdefault(record.hash, record)
    return list(found.values())


def _by_age(record: TrialRecord) -> tuple[float, str, str]:
    number = None if record.search is None else record.search.number
    return (float("inf") if number is None else number, record.started or "", record.hash)


def _frame(folder: ExperimentFolder, records: Mapping[str, TrialRecord], asked: Collection[Asked]) -> Frame:
    """Return the frame of the experiment; if it cannot be loaded (a variant or a data set is gone), the one
    that its records tell."""
    try:
        return Frame.of(load_experiment(folder.experiment_yaml), folder)
    except (SegbenchError, OSError):
        pass
    axes: dict[str, list[str]] = {}
    for trial in asked:
        for axis, label in trial.levels.items():
            if label not in axes.setdefault(axis, []):
                axes[axis].append(label)
    configs = [record.config for record in records.values()]
    objective = configs[0]["objective"] if configs else {"metric": "val_dice", "direction": "maximize"}
    return Frame(
        folder=folder,
        question="",
        metrics=(objective["metric"],),
        directions=(objective["direction"],),
        axes=axes,
    )


def _check_names(names: Sequence[str], folders: Collection[str], orphans: Collection[str]) -> None:
    for name in names:
        if name not in folders and name not in orphans:
            raise ResultsError(
                message("results", "there are no results of this name", got=name, known=[*folders, *orphans])
            )


@contextmanager
def _held(folder: ExperimentFolder) -> Iterator[bool]:
    """Keep sweeps on this machine from starting; yield False if one is running."""
    try:
        file = folder.lock.open("rb")
    except OSError:
        yield True  # nobody ever swept here
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
