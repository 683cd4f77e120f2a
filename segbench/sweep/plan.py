"""What a sweep has to do: the trials of the design, and where each of them stands. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from segbench.config.expand import expand
from segbench.config.experiment import Cell, Experiment, PlannedTrial
from segbench.config.trial import TrialConfig, canonical_json, identity
from segbench.data import fingerprint
from segbench.records import State, TrialRecord
from segbench.store.index import IndexRow, write_index
from segbench.store.layout import ExperimentFolder, ResultsFolder, TrialFolder
from segbench.store.scan import Scan, scan
from segbench.sweep.reuse import find_reusable
from segbench.sweep.selection import select

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

    @property
    def state(self) -> State:
        return self.record.state if self.record is not None else State.WAITING

    @property
    def is_to_run(self) -> bool:
        return not self.state.is_finished and self.reusable is None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The trials of an experiment in the order in which they are run."""

    experiment: Experiment
    folder: ExperimentFolder
    entries: tuple[PlanEntry, ...]
    orphans: tuple[TrialRecord, ...] = ()
    """Records in the folder that the design does not ask for: they stay, and are not reported."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """(hash, reason) of other folders whose record cannot be read."""

    @property
    def to_run(self) -> tuple[PlanEntry, ...]:
        """The trials that are left to do, each once, also where two cells share one."""
        return _once(entry for entry in self.entries if entry.is_to_run)

    @property
    def to_reuse(self) -> tuple[PlanEntry, ...]:
        """The trials that can be copied from other experiments."""
        return _once(e for e in self.entries if e.reusable is not None and not e.state.is_finished)

    @property
    def is_finished(self) -> bool:
        return all(entry.state.is_finished for entry in self.entries)

    def of_cell(self, cell: Cell) -> tuple[PlanEntry, ...]:
        """Return the replicates of a cell."""
        return tuple(entry for entry in self.entries if entry.trial.cell is cell)

    def by_cell(self) -> list[tuple[Cell, tuple[PlanEntry, ...]]]:
        """Return every cell that has entries, in the order of the design, with its replicates."""
        found: dict[int, list[PlanEntry]] = {}
        for entry in self.entries:
            found.setdefault(id(entry.trial.cell), []).append(entry)
        return [(entries[0].trial.cell, tuple(entries)) for entries in found.values()]

    def narrowed(self, *, only: Sequence[str] | None = None, seeds: str | None = None) -> Plan:
        """Return the part that `--only` and `--seeds` mean; orphans are the whole design's.

        Raises:
            ExperimentError: An axis, level or seed is not in the experiment, or nothing is left.
        """
        trials = [entry.trial for entry in self.entries]
        kept = {id(trial) for trial in select(trials, self.experiment, only=only, seeds=seeds)}
        return replace(self, entries=tuple(entry for entry in self.entries if id(entry.trial) in kept))

    def write_index(self) -> None:
        """Regenerate `index.csv`; call it on a whole plan, not on a narrowed one."""
        axes = [axis.name for axis in self.experiment.axes]
        rows = [
            IndexRow(
                hash=e.trial.hash,
                levels=e.trial.cell.levels,
                seed=e.trial.seed,
                fold=e.trial.fold,
                state=e.state,
            )
            for e in self.entries
        ]
        write_index(self.folder, axes, rows)


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
    trials = planned_trials(experiment, fingerprint_of=fingerprint_of)
    undone = [t.identity for t in trials if not _is_finished(found, t)]
    reusable = find_reusable(experiment.project, undone, beside=experiment.name)
    entries = tuple(
        PlanEntry(
            trial=trial,
            folder=folder.trial(trial.hash),
            record=found.records.get(trial.hash),
            problem=found.unreadable.get(trial.hash),
            reusable=reusable.get(trial.identity),
        )
        for trial in trials
    )
    designed = {trial.hash for trial in trials}
    is_search = experiment.search is not None
    return Plan(
        experiment=experiment,
        folder=folder,
        entries=entries,
        orphans=tuple(
            r for h, r in found.records.items() if h not in designed and not (is_search and r.search)
        ),
        unreadable=tuple((h, why) for h, why in found.unreadable.items() if h not in designed),
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
            identity=identity(cell.config, seed=seed, fold=fold, data_fingerprint=data),
        )

    def _data_fingerprint(self, config: TrialConfig) -> str:
        key = canonical_json([config.dataset.to_json(), config.split.to_json()])
        if key not in self._fingerprints:
            self._fingerprints[key] = self._fingerprint_of(config)
        return self._fingerprints[key]


def _is_finished(found: Scan, trial: PlannedTrial) -> bool:
    record = found.records.get(trial.hash)
    return record is not None and record.state.is_finished


def _once(entries: Iterable[PlanEntry]) -> tuple[PlanEntry, ...]:
    return tuple({entry.trial.identity: entry for entry in entries}.values())
