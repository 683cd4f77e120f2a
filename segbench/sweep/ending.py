"""What is noted when a design, or the present look at it, is complete. No torch, no pandas."""

from __future__ import annotations

from dataclasses import replace

from segbench.config.experiment import Experiment
from segbench.records import State
from segbench.store.history import HistoryRow, append_history, describe, judged_looks, read_history
from segbench.store.layout import ExperimentFolder
from segbench.store.scan import scan
from segbench.sweep.looks import present
from segbench.sweep.provenance import now, read_commit


def note_complete(experiment: Experiment, folder: ExperimentFolder, *, unresolved: int | None = None) -> bool:
    """Add a line to `history.csv`, unless it says so already; return whether it did.

    Args:
        experiment: With the seeds that are complete.
        folder: Its results.
        unresolved: At a look: members of the family that were not resolved.

    Raises:
        ResultsError: The file is damaged, or the disk refuses.
    """
    commit = read_commit(experiment.project.root).sha
    return append_history(folder, describe(experiment, ended=now(), commit=commit, unresolved=unresolved))


def note_before(before: Experiment, folder: ExperimentFolder) -> bool:
    """Note that a design which is about to change was complete, where no sweep came to note it.

    So it is with results of versions without `history.csv`, and where the supervisor died at the very end.
    """
    if before.search is not None or before.tune is not None or not before.cells:
        return False
    seen = present(before, folder)
    row = describe(seen, ended="", commit=None)
    if any(_says_the_same(old, row) for old in read_history(folder)):
        return False
    found = {(r.config_hash, r.seed, r.fold): r for r in scan(folder).records.values()}
    wanted = [
        found.get((cell.config_hash, seed, fold))
        for cell in seen.cells
        for seed in seen.seeds
        for fold in range(seen.num_folds)
    ]
    records = [r for r in wanted if r is not None and r.state in (State.COMPLETE, State.DIVERGED)]
    if len(records) < len(wanted):
        return False
    last = max(records, key=lambda r: r.finished or "")
    return append_history(folder, replace(row, ended=last.finished or now(), commit=last.commit or ""))


def judged(experiment: Experiment, folder: ExperimentFolder) -> int | None:
    """Return how many members the present look left unresolved; None: it was not judged yet."""
    seen = present(experiment, folder)
    return judged_looks(read_history(folder), experiment).get(len(seen.seeds))


def _says_the_same(old: HistoryRow, new: HistoryRow) -> bool:
    return old == replace(
        new, ended=old.ended, commit=old.commit, changed=old.changed, unresolved=old.unresolved
    )
