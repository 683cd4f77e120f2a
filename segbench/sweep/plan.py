"""What a sweep has to do: the trials of the design, and where each of them stands. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from segbench.config.expand import ROLE_COLUMN, expand
from segbench.config.experiment import Cell, Experiment, PlannedTrial
from segbench.config.trial import Hasher, TrialConfig, canonical_json
from segbench.data import fingerprint
from segbench.records import TUNED, TUNING, State, TrialRecord
from segbench.store.index import IndexRow, write_index
from segbench.store.layout import ExperimentFolder, ResultsFolder, TrialFolder
from segbench.store.queue import QueuedTrial
from segbench.store.scan import Scan, scan
from segbench.store.tuning import CellTuning, TuningTrial
from segbench.sweep.looks import present
from segbench.sweep.reuse import find_reusable
from segbench.sweep.selection import parse_selection, select

Fingerprint = Callable[[TrialConfig], str]


@dataclass(frozen=True, kw_only=True)
class PlanEntry:
    """One trial of the design, and where it stands."""

    trial: PlannedTrial
    folder: TrialFolder
    record: TrialRecord | None = None
    """What is in its folder, its state as it is now."""
    problem: str | None = None
    """Why the record in its folder cannot be used."""
    reusable: TrialFolder | None = None
    """The same trial, finished, in another experiment."""
    search: Mapping[str, Any] | None = None
    """What its record is to say of the tuning that its parameters come from."""

    @property
    def state(self) -> State:
        """As its record says; a tuning trial's, which the test images have not seen, does not count."""
        return self.record.state if self.record is not None and self.record.is_tested else State.WAITING

    def queued(self) -> QueuedTrial:
        """Return it as workers take it."""
        return QueuedTrial.of(self.trial, search=self.search)

    @property
    def is_to_run(self) -> bool:
        return not self.state.is_finished and self.reusable is None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The trials of an experiment in the order in which they are run."""

    experiment: Experiment
    folder: ExperimentFolder
    entries: tuple[PlanEntry, ...]
    later: tuple[PlanEntry, ...] = ()
    """Trials of further seeds, which only a later look may ask for."""
    orphans: tuple[TrialRecord, ...] = ()
    """Records in the folder that the design does not ask for: they stay, and are not reported."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """(hash, reason) of other folders whose record cannot be read."""
    tunings: tuple[CellTuning, ...] = ()
    """Of a tuned design: how far the tuning of each cell is. The replicates of a cell are no entries before
    its winner is known."""
    tried: tuple[TrialRecord, ...] = ()
    """Records of tuning trials."""

    @property
    def all_entries(self) -> tuple[PlanEntry, ...]:
        """The whole design: what is asked for now, then what a later look may ask for."""
        return (*self.entries, *self.later)

    @cached_property
    def to_run(self) -> tuple[PlanEntry, ...]:
        """The trials that are left to do, each once, also where two cells share one."""
        return _once(entry for entry in self.entries if entry.is_to_run)

    @property
    def num_to_run(self) -> int:
        """How many trials are left to do, those of a tuning included that nobody knows yet."""
        return len(self.to_run) + sum(tuning.num_unplanned for tuning in self.tunings)

    @property
    def to_reuse(self) -> tuple[PlanEntry, ...]:
        """The trials that can be copied from other experiments."""
        return _once(e for e in self.entries if e.reusable is not None and not e.state.is_finished)

    @property
    def is_finished(self) -> bool:
        return all(entry.state.is_finished for entry in self.entries) and self.is_tuned

    @property
    def is_tuned(self) -> bool:
        """Whether every cell's tuning is over; a design without tuning has nothing to wait for."""
        return all(tuning.is_over for tuning in self.tunings)

    def of_cell(self, cell: Cell) -> tuple[PlanEntry, ...]:
        """Return the replicates of a cell; of a cell as designed, those at its tuned settings."""
        if self.tunings:
            return tuple(entry for entry in self.entries if entry.trial.cell.levels == cell.levels)
        return tuple(entry for entry in self.entries if entry.trial.cell is cell)

    def by_cell(self) -> list[tuple[Cell, tuple[PlanEntry, ...]]]:
        """Return every cell that has entries, in the order of the design, with its replicates."""
        found: dict[int, list[PlanEntry]] = {}
        for entry in self.entries:
            found.setdefault(id(entry.trial.cell), []).append(entry)
        return [(entries[0].trial.cell, tuple(entries)) for entries in found.values()]

    def narrowed(self, *, only: Sequence[str] | None = None, seeds: str | None = None) -> Plan:
        """Return the part that `--only` and `--seeds` mean; orphans are the whole design's.

        `--seeds` may name seeds that only a later look asks for.

        Raises:
            ExperimentError: An axis, level or seed is not in the experiment, or nothing is left.
        """
        entries = self.all_entries if seeds else self.entries
        trials = [entry.trial for entry in entries]
        kept = {id(trial) for trial in select(trials, self.experiment, only=only, seeds=seeds)}
        entries = tuple(entry for entry in entries if id(entry.trial) in kept)
        if not self.tunings:
            return replace(self, entries=entries, later=())
        selection = parse_selection(self.experiment, only=only, seeds=seeds)
        tunings = [
            replace(t, seeds=tuple(seed for seed in t.seeds if selection.takes(t.cell.levels, seed)))
            for t in self.tunings
        ]
        return replace(self, entries=entries, later=(), tunings=tuple(t for t in tunings if t.seeds))

    def write_index(self) -> None:
        """Regenerate `index.csv`; call it on a whole plan, not on a narrowed one."""
        axes = [axis.name for axis in self.experiment.axes]
        tuned = self.experiment.tune is not None
        now = {entry.trial.seed for entry in self.entries}
        rows = [
            IndexRow(
                hash=trial.hash,
                levels={**t.cell.levels, ROLE_COLUMN: TUNING},
                seed=trial.seed,
                fold=0,
                state=trial.state,
            )
            for t in self.tunings
            for trial in {trial.hash: trial for trial in t.trials.values()}.values()
        ]
        rows += [
            IndexRow(
                hash=e.trial.hash,
                levels={**e.trial.cell.levels, ROLE_COLUMN: TUNED} if tuned else e.trial.cell.levels,
                seed=e.trial.seed,
                fold=e.trial.fold,
                state=e.state,
                is_later=e.trial.seed not in now,
            )
            for e in self.all_entries
        ]
        columns = [*axes, ROLE_COLUMN] if tuned else axes
        write_index(self.folder, columns, rows, has_looks=bool(self.experiment.looks))


def plan_trials(experiment: Experiment, *, fingerprint_of: Fingerprint | None = None) -> Plan:
    """Work out the trials of a design and where they stand.

    A search has no trials until its sampler asks for them: its plan is empty, and its records are no orphans.

    Args:
        experiment: The design.
        fingerprint_of: Stands in for `segbench.data.fingerprint`, for tests.

    Raises:
        DataError: The data set is missing; the message names the command that fetches it.
    """
    folder = ResultsFolder(experiment.project.results).experiment(experiment.name)
    found = scan(folder)
    asked = present(experiment, folder)
    now = set(asked.seeds)
    tunings: tuple[CellTuning, ...] = ()
    blocks: Mapping[str, Mapping[str, Any]] = {}
    if experiment.tune is None:
        trials = planned_trials(experiment, fingerprint_of=fingerprint_of)
    else:
        from segbench.sweep.tuning import tuned_trials, tunings_of

        planner = Planner(experiment, fingerprint_of=fingerprint_of)
        tunings = tunings_of(asked, map(TuningTrial.of_record, found.records.values()), planner)
        trials, blocks = tuned_trials(asked, tunings, planner)
    undone = [t.identity for t in trials if t.seed in now and not _is_finished(found, t)]
    reusable = find_reusable(experiment.project, undone, beside=experiment.name)
    entries = tuple(
        PlanEntry(
            trial=trial,
            folder=folder.trial(trial.hash),
            record=found.records.get(trial.hash),
            problem=found.unreadable.get(trial.hash),
            reusable=reusable.get(trial.identity),
            search=blocks.get(trial.hash),
        )
        for trial in trials
    )
    designed = {trial.hash for trial in trials}
    tried = {trial.hash for tuning in tunings for trial in tuning.trials.values()}
    designed |= tried
    is_search = experiment.search is not None
    return Plan(
        experiment=experiment,
        folder=folder,
        entries=tuple(entry for entry in entries if entry.trial.seed in now),
        later=tuple(entry for entry in entries if entry.trial.seed not in now),
        orphans=tuple(
            r for h, r in found.records.items() if h not in designed and not (is_search and r.search)
        ),
        unreadable=tuple((h, why) for h, why in found.unreadable.items() if h not in designed),
        tunings=tunings,
        tried=tuple(record for h, record in found.records.items() if h in tried),
    )


def planned_trials(
    experiment: Experiment, *, fingerprint_of: Fingerprint | None = None
) -> tuple[PlannedTrial, ...]:
    """Return the trials of a design with their identities, in the order of training.

    Raises:
        DataError: The data set is missing.
    """
    planner = Planner(experiment, fingerprint_of=fingerprint_of)
    return tuple(planner.trial(cell, seed, fold) for cell, seed, fold in expand(experiment))


class Planner:
    """Gives trials their identity; each data set and split is fingerprinted once."""

    def __init__(self, experiment: Experiment, *, fingerprint_of: Fingerprint | None = None) -> None:
        project = experiment.project
        self._fingerprint_of = fingerprint_of or (lambda config: fingerprint(config, project))
        self._fingerprints: dict[str, str] = {}
        self._known: dict[tuple[int, int], tuple[TrialConfig, str]] = {}
        self._hasher = Hasher()

    def trial(self, cell: Cell, seed: int, fold: int = 0) -> PlannedTrial:
        """Return a cell with one seed and fold as a trial.

        Raises:
            DataError: The data set is missing.
        """
        data = self._data_fingerprint(cell.config)
        return PlannedTrial(
            cell=cell,
            seed=seed,
            fold=fold,
            data_fingerprint=data,
            identity=self._hasher.identity(cell.config, seed=seed, fold=fold, data_fingerprint=data),
        )

    def _data_fingerprint(self, config: TrialConfig) -> str:
        ids = id(config.dataset), id(config.split)  # those of configurations that are kept
        if ids not in self._known:
            key = canonical_json([config.dataset.to_json(), config.split.to_json()])
            if key not in self._fingerprints:
                self._fingerprints[key] = self._fingerprint_of(config)
            self._known[ids] = config, self._fingerprints[key]
        return self._known[ids][1]


def _is_finished(found: Scan, trial: PlannedTrial) -> bool:
    record = found.records.get(trial.hash)
    return record is not None and record.state.is_finished and record.is_tested


def _once(entries: Iterable[PlanEntry]) -> tuple[PlanEntry, ...]:
    return tuple({entry.trial.identity: entry for entry in entries}.values())
