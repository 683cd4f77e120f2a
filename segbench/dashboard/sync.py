"""Writes the studies from the files: after a loss, a move, or work that nobody mirrored."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from segbench.config.load import load_experiment
from segbench.config.project import Project
from segbench.dashboard.address import StorageAddress
from segbench.dashboard.shown import Asked, Frame, read_answer, write_headline
from segbench.errors import ResultsError, SegbenchError, message
from segbench.records import TrialRecord
from segbench.store.index import read_index
from segbench.store.layout import ExperimentFolder, ResultsFolder
from segbench.store.lease import is_leased
from segbench.store.queue import Queue
from segbench.store.scan import scan


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


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A trial that is planned and has no record."""

    hash: str
    levels: Mapping[str, str]
    seed: int
    fold: int
    search: Mapping[str, Any] | None = None


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
        frame = _frame(folder, project, found.records, asked)
        return _write(frame, project, address, asked, found.records)


def _write(
    frame: Frame,
    project: Project,
    address: StorageAddress,
    asked: Sequence[Asked],
    records: Mapping[str, TrialRecord],
) -> Synced:
    from segbench.dashboard.study import StudyMirror

    shown = {trial.hash: frame.show(trial, records.get(trial.hash)) for trial in asked}
    study = StudyMirror(
        address,
        name=frame.folder.name,
        directions=frame.directions,
        metrics=frame.metrics,
        attributes={"question": frame.question, "objective": ", ".join(frame.metrics)},
    )
    try:
        is_rebuilt = study.synchronise(
            list(shown.values()), lambda trial: frame.detail(trial, records.get(trial.hash))
        )
        answer = read_answer(project.reports / frame.folder.name / "report.md")
        study.set_note(write_headline(frame, shown, answer=answer))
    finally:
        study.close()
    return Synced(name=frame.folder.name, num_trials=len(shown), is_rebuilt=is_rebuilt)


def _asked(folder: ExperimentFolder, records: Mapping[str, TrialRecord]) -> list[Asked]:
    """Return the trials of the present design as the files tell: index and queue, else every record."""
    try:
        index = read_index(folder)
    except ResultsError:
        index = []
    found: dict[str, Asked] = {}
    for row in index:
        levels = {axis: label for axis, label in row.levels.items() if label}
        found[row.hash] = _Line(hash=row.hash, levels=levels, seed=row.seed, fold=row.fold)
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


def _frame(
    folder: ExperimentFolder,
    project: Project,
    records: Mapping[str, TrialRecord],
    asked: Collection[Asked],
) -> Frame:
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
    objective = {"metric": "val_dice", "direction": "maximize"}
    for record in records.values():
        objective = record.config["objective"]
        break
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
