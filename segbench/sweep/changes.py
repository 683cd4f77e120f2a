"""What changed in an experiment's file since its last sweep, and what that does to its trials. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segbench.config.document import dump, scalar_text
from segbench.config.experiment import Axis, Cell, Experiment
from segbench.config.load import load_experiment
from segbench.errors import ExperimentError
from segbench.records import TrialRecord
from segbench.sweep.plan import Plan


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
            said.append(f"new: {_trials(self.num_new)}")
        if self.removed:
            said.append(f"kept, no longer in the design, not reported: {_trials(len(self.removed))}")
        if self.superseded:
            said.append(f"superseded, kept and not reported: {_trials(len(self.superseded))}")
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
    superseded, removed, of_other_code = [], [], []
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
            wanted[name] = _renamed(old.get(name), now.axis(name), label)
    for axis in now.axes:
        wanted.setdefault(axis.name, axis.baseline)
    same = (cell for cell in now.cells if all(wanted.get(a) == label for a, label in cell.levels.items()))
    return next(same, None)


def _renamed(old: Axis | None, new: Axis, label: str) -> str:
    """Return what a level is called now: another label that sets the same, where its own is gone."""
    if old is None or label in new.labels:
        return label
    changes = next((level.changes for level in old.levels if level.label == label), None)
    return next((level.label for level in new.levels if level.changes == changes), label)


def _lines(before: Experiment | None, now: Experiment) -> Iterator[str]:
    if before is None:
        yield "this version of segbench cannot read the experiment.yaml of the last sweep"
        return
    yield from _baseline_lines(before, now)
    yield from _axis_lines(before, now)
    if before.seeds != now.seeds or before.looks != now.looks:
        yield f"seeds: {_seeds(before)} -> {_seeds(now)}"
    if before.design != now.design:
        yield f"design: {before.design.kind} -> {now.design.kind}"
    for name in ("outcome", "margin"):
        old, new = getattr(before, name), getattr(now, name)
        if old != new:
            yield f"{name}: {_short(old)} -> {_short(new)} (verdicts change, no trial does)"
    added = [c.source for c in now.claims if c.source not in {c.source for c in before.claims}]
    gone = [c.source for c in before.claims if c.source not in {c.source for c in now.claims}]
    yield from (f"claim added: {text}" for text in added)
    yield from (f"claim removed: {text}" for text in gone)
    if before.search != now.search:
        yield "search: the space, sampler or budget"
    if before.tune != now.tune:
        yield "tune: the space, sampler or budget"
    if before.question != now.question:
        yield "question: its words"


def _baseline_lines(before: Experiment, now: Experiment) -> Iterator[str]:
    old, new = _flat(before.baseline.to_json()), _flat(now.baseline.to_json())
    for path in dict.fromkeys([*old, *new]):
        if path not in new:
            yield f"baseline: {path} {_short(old[path])} removed"
        elif path not in old:
            yield f"baseline: {path} {_short(new[path])} added"
        elif old[path] != new[path]:
            yield f"baseline: {path} {_short(old[path])} -> {_short(new[path])}"


def _axis_lines(before: Experiment, now: Experiment) -> Iterator[str]:
    old, new = {a.name: a for a in before.axes}, {a.name: a for a in now.axes}
    for name, axis in new.items():
        if name not in old:
            yield f"axis added: {name} ({', '.join(axis.labels)})"
    for name, axis in old.items():
        if name not in new:
            yield f"axis removed: {name} ({', '.join(axis.labels)})"
            continue
        yield from _level_lines(axis, new[name])


def _level_lines(old: Axis, new: Axis) -> Iterator[str]:
    then = {level.label: level.changes for level in old.levels}
    now = {level.label: level.changes for level in new.levels}
    renamed = {label: _renamed(old, new, label) for label in then if label not in now}
    renamed = {label: to for label, to in renamed.items() if to != label and to not in then}
    for label, to in renamed.items():
        yield f"{new.name}: level renamed: {label} -> {to}"
    for label in now:
        if label not in then and label not in renamed.values():
            yield f"{new.name}: level added: {label}"
        elif label in then and then[label] != now[label]:
            meanings = f"{_sets(then[label])} -> {_sets(now[label])}"
            yield f"{new.name}: level {label} means something else: {meanings}"
    yield from (
        f"{new.name}: level removed: {label}" for label in then if label not in now and label not in renamed
    )
    if old.baseline != new.baseline and renamed.get(old.baseline) != new.baseline:
        yield f"{new.name}: compared with {new.baseline} instead of {old.baseline}"


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted path -> value of every leaf; an empty mapping is a leaf."""
    found: dict[str, Any] = {}
    for key, inner in value.items():
        path = f"{prefix}{key}"
        if isinstance(inner, Mapping) and inner:
            found |= _flat(inner, f"{path}.")
        else:
            found[path] = inner
    return found


def _sets(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{target} {_short(value)}" for target, value in changes.items())


def _short(value: Any, most: int = 60) -> str:
    if isinstance(value, Mapping) and not value:
        return ""
    text = scalar_text(value) if not isinstance(value, Mapping | list | tuple) else repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _seeds(experiment: Experiment) -> str:
    seeds: Sequence[int] = experiment.seeds
    if experiment.looks:
        return f"looks at {', '.join(map(str, experiment.looks))}"
    if tuple(seeds) == tuple(range(len(seeds))):
        return f"{len(seeds)}"
    return f"[{', '.join(map(str, seeds))}]"


def _trials(number: int) -> str:
    return "1 trial" if number == 1 else f"{number} trials"
