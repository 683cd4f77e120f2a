"""Identical trials of other experiments: found by folder name, checked by identity, copied in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from segbench.config.experiment import PlannedTrial
from segbench.config.project import Project
from segbench.errors import ResultsError
from segbench.records import SearchPlace, TrialRecord
from segbench.store.atomic import replacing, sweep_temporaries
from segbench.store.layout import HASH_DIGITS, ExperimentFolder, ResultsFolder, TrialFolder
from segbench.store.lease import Lease
from segbench.store.trials import read_trial, write_trial


def find_reusable(project: Project, identities: Collection[str], *, beside: str) -> dict[str, TrialFolder]:
    """Return identity -> folder of a finished trial in another experiment, the first in alphabetical order.

    Args:
        project: Where to look.
        identities: What is wanted.
        beside: The experiment that wants it; it is not searched.
    """
    wanted = {identity[:HASH_DIGITS]: identity for identity in identities}
    found: dict[str, TrialFolder] = {}
    if not wanted:
        return found
    for experiment in ResultsFolder(project.results).experiments():
        if experiment.name == beside or not experiment.trials.is_dir():
            continue
        for hash in sorted(wanted.keys() & {entry.name for entry in experiment.trials.iterdir()}):
            identity = wanted[hash]
            if identity not in found and _is_reusable(experiment.trial(hash), identity):
                found[identity] = experiment.trial(hash)
    return found


def reuse(
    trial: PlannedTrial,
    source: TrialFolder,
    experiment: ExperimentFolder,
    *,
    search: SearchPlace | None = None,
) -> TrialRecord | None:
    """Copy a finished trial of another experiment in, as this experiment's own record.

    The record names where it comes from (`reused_from`) and carries the present labels. Weights, masks and
    pictures are linked where the file system can, else copied. `trial.json` comes last and accepts the rest,
    with `search` as its own.

    Returns:
        The record; None where a worker holds the trial at the moment.

    Raises:
        ResultsError: The source has become unreadable, or the disk refuses.
    """
    record = read_trial(source)
    target = experiment.trial(trial.hash)
    lease = Lease.acquire(target)
    if lease is None:
        return None
    with lease:
        sweep_temporaries(target.path)
        for file in (source.epochs, source.images, source.log, source.diff):
            _take(file, target.path / file.name, link=False)  # rows are appended in place
        for file in (source.best, source.last, source.masks, source.panels):
            _take(file, target.path / file.relative_to(source.path), link=True)
        reused = replace(
            record,
            experiment=experiment.name,
            levels=dict(trial.cell.levels),
            search=search,
            reused_from=f"{source.experiment.name}/{source.hash}",
        )
        lease.check()
        write_trial(target, reused)
    return reused


def _is_reusable(folder: TrialFolder, identity: str) -> bool:
    try:
        record = read_trial(folder)
    except ResultsError:
        return False
    return record.identity == identity and record.state.is_outcome and record.is_tested


def _take(source: Path, target: Path, *, link: bool) -> None:
    if not source.is_file():
        return
    target.parent.mkdir(exist_ok=True)
    with replacing(target) as temporary:
        if link:
            try:
                os.link(source, temporary)
            except OSError:  # another disk, or one without links
                shutil.copyfile(source, temporary)
        else:
            shutil.copyfile(source, temporary)
