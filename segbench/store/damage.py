"""Whether a finished trial's files are those that its record accepted; trials that run again. No torch.

A sweep trusts a record that says a trial is finished: it was written when everything else was on the disk.
What happened to the files afterwards (a failing disk, a broken copy) shows only when they are read.
"""

from __future__ import annotations

import csv
import math
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Final

from segbench.errors import ResultsError, message
from segbench.records import SearchPlace, State, TrialRecord
from segbench.store.layout import TRIAL_KEY, TrialFolder
from segbench.store.masks import masks_of, read_masks
from segbench.store.trials import rewrite_if_free, split_epochs, unpack_images

_TOLERANCE: Final = 1e-6
"""Relative; records keep nine digits."""


def run_again(folder: TrialFolder, record: TrialRecord, *, search: SearchPlace | None) -> None:
    """Have a trial wait again; its attempts stay counted, and the next attempt goes on from what it saved.

    A trial that somebody holds is left to them.

    Args:
        folder: The trial's.
        record: What stands there.
        search: Takes the place of the record's own.
    """
    waiting = replace(record, state=State.WAITING, failure=None, reason=None, finished=None, search=search)
    rewrite_if_free(folder, waiting)


def reopen_if_damaged(folder: TrialFolder, record: TrialRecord) -> str | None:
    """Read every file of a finished trial, and have it go on from `last.pt` if one is damaged.

    If that one is damaged too, the trial starts from its beginning. A pruned trial is left alone: whether it
    would be pruned again depends on the others.

    Returns:
        What is wrong; None: nothing, or somebody holds the trial.
    """
    damage = find_damage(folder, record) if record.state.is_outcome else None
    if damage is None:
        return None
    reopened = replace(record, state=State.INTERRUPTED, reason=damage, test={}, finished=None)
    return damage if rewrite_if_free(folder, reopened) else None


def find_damage(folder: TrialFolder, record: TrialRecord) -> str | None:
    """Read every file of a finished trial; return what is wrong with the first bad one, or None.

    `epochs.csv` must have the record's epochs, with the objective at the selected one; `images.csv.gz` the
    means that the record has. Weights and masks, which are not committed, may be missing; those that
    are there must match their own check sums.
    """
    try:
        _check_epochs(folder, record)
        if record.state is State.COMPLETE and record.test:
            _check_images(folder, record)
        if folder.masks.exists():
            _check_masks(folder)
        for path in (folder.best, folder.last):
            if path.exists():
                _check_archive(path, folder.hash)
    except ResultsError as error:
        return str(error)
    return None


def _check_epochs(folder: TrialFolder, record: TrialRecord) -> None:
    where = str(folder.epochs)
    if record.epochs_done == 0:
        return
    try:
        content = folder.epochs.read_bytes()
    except OSError as error:
        raise ResultsError(message(where, f"the epochs cannot be read: {error.strerror}")) from error
    header, body = split_epochs(where, content)
    rows = [line.split(",") for line in body.splitlines()]
    if len(rows) != record.epochs_done:
        rule = f"the record says {record.epochs_done} epochs"
        raise ResultsError(message(where, rule, got=len(rows)))
    if record.selected_epoch is None or record.objective is None:
        return
    try:
        column = header.split(",").index(record.config["objective"]["metric"])
        value = float(rows[record.selected_epoch - 1][column])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ResultsError(message(where, f"the objective cannot be read ({error})")) from error
    if not _agree(value, record.objective):
        rule = f"the objective at epoch {record.selected_epoch} must be the record's, {record.objective}"
        raise ResultsError(message(where, rule, got=value))


def _check_images(folder: TrialFolder, record: TrialRecord) -> None:
    where = str(folder.images)
    values: dict[str, list[float]] = {}
    try:
        for row in csv.reader(unpack_images(folder).splitlines()[1:]):
            if row[2] == "test":
                values.setdefault(row[4], []).append(float(row[5]))
    except (ValueError, IndexError, csv.Error) as error:
        raise ResultsError(message(where, f"the values per image are damaged ({error})")) from error
    for metric, recorded in record.test.items():
        found = values.get(metric, [])
        if not found or not all(map(math.isfinite, (recorded, *found))):
            continue  # pooled, or without a value on some image
        mean = math.fsum(found) / len(found)
        if not _agree(mean, recorded):
            rule = f"the mean of {metric} must be the record's, {recorded}"
            raise ResultsError(message(where, rule, got=mean))
    if not values:
        raise ResultsError(message(where, "there are no values of test images"))


def _check_masks(folder: TrialFolder) -> None:
    read_masks(folder.masks)
    of = masks_of(folder.masks)
    if of not in (None, folder.hash):
        raise ResultsError(message(str(folder.masks), "the predicted masks are of another trial", got=of))


def _check_archive(path: Path, trial: str) -> None:
    """Check a file of torch: a zip archive whose pickle holds the trial's hash as text."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
            pickled = [archive.read(name) for name in archive.namelist() if name.endswith("data.pkl")]
    except (OSError, ValueError, EOFError, zlib.error, NotImplementedError, zipfile.BadZipFile) as error:
        raise ResultsError(message(str(path), f"the file is truncated or damaged ({error})")) from error
    if bad is not None:
        raise ResultsError(message(str(path), f"the file is damaged at {bad}"))
    if not pickled or (TRIAL_KEY.encode() in pickled[0] and trial.encode() not in pickled[0]):
        raise ResultsError(message(str(path), "the file is of another trial"))


def _agree(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
