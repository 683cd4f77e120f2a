"""What changed in an experiment's file since its last sweep, and what that does to its trials. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from segbench.config.differences import describe_changes, renamed
from segbench.config.document import dump
from segbench.config.experiment import Cell, Experiment
from segbench.config.load import load_experiment
from segbench.errors import ExperimentError
from segbench.plan.plan import Plan, present
from segbench.records import TrialRecord
from segbench.store.history import HistoryRow, append_history, describe, judged_looks, read_history
from segbench.store.layout import ExperimentFolder
from segbench.store.scan import scan
from segbench.trial.provenance import now, read_commit
from segbench.wording import counted


@dataclass(frozen=True, kw_only=True)
class Changes:
    """The difference between `results/<experiment>/experiment.yaml` and the experiment as it is now."""

    before: Experiment | None
    """What was swept last; None where this version cannot read it, or where nothing in the file changed."""
    lines: tuple[str, ...]
    """What changed, a line each."""
    num_new: int
    """Trials that the design as it was did not ask for, less those that are finished all the same."""
    removed: tuple[TrialRecord, ...]
    """Finished trials that are no longer asked for, since their level, seed or combination was taken out."""
    superseded: tuple[TrialRecord, ...]
    """Finished trials whose cell means something else now."""

    @property
    def effects(self) -> tuple[str, ...]:
        """What the changes do to the trials, a line each."""
        said = []
        if self.num_new:
            said.append(f"new: {counted(self.num_new, 'trial')}")
        if self.removed:
            said.append(f"kept, no longer in the design, not reported: {counted(len(self.removed), 'trial')}")
        if self.superseded:
            said.append(f"superseded, kept and not reported: {counted(len(self.superseded), 'trial')}")
        return tuple(said) or ("every trial stays as it is",)


def find_changes(plan: Plan) -> Changes | None:
    """Compare a plan with the document of the last sweep; None where nothing is to be said.

    Args:
        plan: The whole design, not a part of it.
    """
    experiment = plan.experiment
    before, is_changed = _swept_last(plan)
    superseded, removed = _orphaned(plan, before if is_changed else experiment)
    if not is_changed and not superseded:
        return None
    designed = set() if before is None else {(c.config_hash, s) for c in before.cells for s in before.seeds}
    entries = {e.trial.hash: e for e in plan.entries}.values()
    num_new = sum(
        not e.state.is_finished and (e.trial.cell.config_hash, e.trial.seed) not in designed for e in entries
    )
    lines = tuple(_lines(before, experiment)) if is_changed else ()
    if not is_changed:
        # The file is the same: what differs is code that trials depend on.
        num_new = sum(not e.state.is_finished for e in entries)
        lines = ("the source of a variant of your own, or of the engine, has changed",)
    return Changes(
        before=before if is_changed else None,
        lines=lines,
        num_new=num_new,
        removed=tuple(removed),
        superseded=tuple(superseded),
    )


def _swept_last(plan: Plan) -> tuple[Experiment | None, bool]:
    """Return the experiment of the last sweep, and whether its document differs from the present one."""
    path = plan.folder.experiment_yaml
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None, False
    if text == dump(plan.experiment.document):
        return plan.experiment, False
    try:
        return load_experiment(path), True
    except ExperimentError:
        return None, True


def _orphaned(plan: Plan, before: Experiment | None) -> tuple[list[TrialRecord], list[TrialRecord]]:
    """Divide the finished trials that the last design asked for and this one does not.

    Returns:
        Those whose cell is still there and means something else; those whose level, seed or combination was
        taken out.
    """
    experiment = plan.experiment
    planned = {(e.trial.cell.config_hash, e.trial.seed, e.trial.fold): e for e in plan.all_entries}
    old_cells = {} if before is None else {cell.config_hash: cell for cell in before.cells}
    superseded: list[TrialRecord] = []
    removed: list[TrialRecord] = []
    of_other_code = []
    for record in plan.orphans:
        if not record.state.is_finished:
            continue
        if record.search is not None:  # of a tuned design, whose cells have no configuration of their own
            if before is not None and before is not experiment:
                (superseded if _means_else(before, experiment) else removed).append(record)
            continue
        same = planned.get((record.config_hash, record.seed, record.fold))
        if same is not None:
            # Other data are a guard's matter (SB003); other code with the same data is a level's meaning.
            if same.trial.data_fingerprint == record.data_fingerprint:
                of_other_code.append((same, record))
            continue
        cell = old_cells.get(record.config_hash)
        if before is not None and cell is None:
            continue  # an orphan of long ago
        levels = record.levels if cell is None else cell.levels
        successor = _successor(levels, before, experiment)
        # One of the same configuration has lost this seed or fold.
        is_removed = successor is None or successor.config_hash == record.config_hash
        (removed if is_removed else superseded).append(record)
    if all(entry.record is None for entry, _ in of_other_code):  # else a sweep has gone on with the new code
        superseded += [record for _, record in of_other_code]
    return superseded, removed


def _means_else(before: Experiment, now: Experiment) -> bool:
    """Whether the baseline or some level means something else."""
    then = {(a.name, level.label): level.changes for a in before.axes for level in a.levels}
    levels = {(a.name, level.label): level.changes for a in now.axes for level in a.levels}
    return before.baseline != now.baseline or any(then.get(key, levels[key]) != levels[key] for key in levels)


def _successor(levels: Mapping[str, str], before: Experiment | None, now: Experiment) -> Cell | None:
    """Return the cell that stands now where a cell of these levels stood.

    An axis that is new is at its baseline level there; a cell of an axis that was taken out has a successor
    where it was at that axis's baseline level.
    """
    old = {} if before is None else {axis.name: axis for axis in before.axes}
    wanted = dict(levels)
    for name, label in levels.items():
        if all(axis.name != name for axis in now.axes):
            if name in old and old[name].baseline != label:
                return None
            del wanted[name]
        else:
            wanted[name] = renamed(old.get(name), now.axis(name), label)
    for axis in now.axes:
        wanted.setdefault(axis.name, axis.baseline)
    same = (cell for cell in now.cells if all(wanted.get(a) == label for a, label in cell.levels.items()))
    return next(same, None)


def _lines(before: Experiment | None, now: Experiment) -> Iterator[str]:
    if before is None:
        yield "this version of segbench cannot read the experiment.yaml of the last sweep"
    else:
        yield from describe_changes(before, now)


# What is noted when a design, or the present look at it, is complete. No torch, no pandas.


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
    records = [r for r in wanted if r is not None and r.state.is_outcome]
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
