"""Gives room back: weights and masks of finished trials, and what interrupted writers left. Never records."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from segbench.errors import ResultsError
from segbench.store.atomic import TEMPORARY, write_errors
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.store.lease import Lease, is_leased
from segbench.store.trials import read_trial


class Keep(StrEnum):
    """What is kept of a finished trial besides its record."""

    BEST = "best"
    """The weights at the selected epoch, and the test masks."""
    MASKS = "masks"
    """The test masks."""
    RECORDS = "records"
    """Nothing."""


@dataclass(frozen=True)
class Garbage:
    """One file that may go."""

    path: Path
    num_bytes: int
    """Room that goes with it: none where another name links to the same file."""


def find_garbage(experiment: ExperimentFolder, keep: Keep) -> list[Garbage]:
    """Return what may go of an experiment.

    Of trials that are finished: the training state, and by `keep` weights and masks. Of every trial that
    nobody holds: what an interrupted writer left. A trial that may go on keeps all that it goes on from.
    """
    found: list[Garbage] = []
    for folder in experiment.trial_folders():
        if not is_leased(folder):
            found += _garbage_of(folder, keep)
    return found


def remove_garbage(experiment: ExperimentFolder, keep: Keep) -> list[Garbage]:
    """Remove what `find_garbage` finds and return it; trials that somebody holds are passed over.

    Raises:
        ResultsError: The folder is read-only.
    """
    removed: list[Garbage] = []
    for folder in experiment.trial_folders():
        if not _garbage_of(folder, keep):
            continue
        lease = Lease.acquire(folder)
        if lease is None:
            continue
        with lease:
            for garbage in _garbage_of(folder, keep):
                lease.check()
                with write_errors(garbage.path):
                    garbage.path.unlink(missing_ok=True)
                removed.append(garbage)
    return removed


def _garbage_of(folder: TrialFolder, keep: Keep) -> list[Garbage]:
    paths = [path for path in sorted(folder.path.glob(f"*{TEMPORARY}*")) if path.is_file()]
    if _is_finished(folder):
        paths.append(folder.last)
        paths += [folder.best] if keep is not Keep.BEST else []
        paths += [folder.masks] if keep is Keep.RECORDS else []
    return [Garbage(path, _room(path)) for path in paths if path.is_file()]


def _is_finished(folder: TrialFolder) -> bool:
    try:
        return read_trial(folder).state.is_finished
    except ResultsError:
        return False


def _room(path: Path) -> int:
    stat = path.stat()
    return stat.st_size if stat.st_nlink == 1 else 0
