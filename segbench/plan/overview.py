"""Where an experiment stands, cell by cell, from its records alone, without the data set. No torch."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from segbench.config.expand import expand
from segbench.config.experiment import Cell, Design, Experiment, Search, Tune
from segbench.config.project import Project
from segbench.config.trial import identity
from segbench.errors import ResultsError
from segbench.plan.plan import look_words, present
from segbench.records import State, TrialRecord
from segbench.store.index import read_index
from segbench.store.layout import HASH_DIGITS, ExperimentFolder, ResultsFolder, TrialFolder
from segbench.store.scan import Scan, scan
from segbench.store.tuning import TuningTrial, read_tunings, winner_hash

_LOG_LINES = 5


@dataclass(frozen=True, kw_only=True)
class CellOverview:
    """One cell of the design, or one proposal of a search."""

    label: str
    levels: Mapping[str, str]
    num_trials: int
    """Seeds times folds; of a search, how many there are so far."""
    records: tuple[TrialRecord, ...]
    """At most one a seed and fold: a finished one before any other."""
    epochs: int
    """Epochs of each trial, unless it stops early."""

    def count(self, state: State) -> int:
        """Return how many of the trials are in a state; what has no record waits."""
        if state is State.WAITING:
            without = self.num_trials - len(self.records)
            return without + sum(r.state is state for r in self.records)
        return sum(r.state is state for r in self.records)

    @property
    def num_finished(self) -> int:
        return sum(r.state.is_finished for r in self.records)


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Where a whole experiment stands."""

    name: str
    folder: ExperimentFolder
    cells: tuple[CellOverview, ...]
    num_orphans: int
    unreadable: Mapping[str, str]
    """Folder name -> why its record cannot be used."""
    look: str = ""
    """Which seeds are asked for now, where a later look may ask for more."""

    @property
    def num_trials(self) -> int:
        return sum(cell.num_trials for cell in self.cells)

    def count(self, state: State) -> int:
        return sum(cell.count(state) for cell in self.cells)

    def in_state(self, state: State) -> list[tuple[CellOverview, TrialRecord]]:
        """Return the records in a state, with their cells."""
        return [(cell, r) for cell in self.cells for r in cell.records if r.state is state]


def look_over(experiment: Experiment) -> Overview:
    """Match the records of an experiment with its cells, as a report does."""
    folder = ResultsFolder(experiment.project.results).experiment(experiment.name)
    found = scan(folder)
    now = present(experiment, folder)
    match experiment.kind:
        case Search() as search:
            cells = _proposals(search, found, epochs=experiment.baseline.epochs)
        case Tune():
            cells = _tuned(now, found)
        case Design():
            cells = _designed(now, folder, found)
    taken = {record.hash for cell in cells for record in cell.records}
    if now is not experiment:
        taken |= {r.hash for cell in _designed(experiment, folder, found) for r in cell.records}
    return Overview(
        name=experiment.name,
        folder=folder,
        cells=cells,
        num_orphans=len(found.records.keys() - taken),
        unreadable=found.unreadable,
        look=look_words(experiment, now),
    )


def count_states(folder: ExperimentFolder) -> Counter[State]:
    """Count the trials of an experiment's folder by state, with those of its index that never started."""
    found = scan(folder)
    counts = Counter(record.state for record in found.records.values())
    try:
        known = {row.hash for row in read_index(folder) if not row.is_later}
    except ResultsError:
        known = set()
    counts[State.WAITING] += len(known - found.records.keys() - found.unreadable.keys())
    return counts


def experiments_with_results(project: Project) -> list[ExperimentFolder]:
    """Return the experiments that have left something in `results/`."""
    return ResultsFolder(project.results).experiments()


def last_epoch(folder: TrialFolder) -> Mapping[str, float]:
    """Return the last whole row of `epochs.csv`; empty where there is none."""
    try:
        with folder.epochs.open(encoding="utf-8", newline="") as file:
            lines = [line for line in file if line.endswith("\n")]
        header, *rows = list(csv.reader(lines))
        return {k: float(v) for k, v in zip(header, rows[-1], strict=True)}
    except (OSError, UnicodeDecodeError, ValueError, IndexError):
        return {}


def log_tail(folder: TrialFolder, num_lines: int = _LOG_LINES) -> list[str]:
    """Return the last lines of a trial's log; none where it wrote none."""
    try:
        return folder.log.read_text(encoding="utf-8", errors="replace").splitlines()[-num_lines:]
    except OSError:
        return []


def seconds_per_epoch(records: Sequence[TrialRecord]) -> float | None:
    """Return the median wall time of an epoch over trials; None without a record of it."""
    times = [r.train_time_s / r.epochs_done for r in records if r.train_time_s is not None and r.epochs_done]
    return median(times) if times else None


def time_left_s(found: Overview) -> float | None:
    """Estimate the seconds until everything is done with the trials that run now going on side by side.

    From the median epoch of each cell, or of all where a cell was never timed; None where nothing was, or
    nothing runs.
    """
    running = found.in_state(State.RUNNING)
    paces = {id(cell): _pace(found, cell) for cell in found.cells}
    known = [pace for pace in paces.values() if pace is not None]
    if not running or not known:
        return None
    total = 0.0
    for cell in found.cells:
        pace = paces[id(cell)]
        open_ = [r for r in cell.records if not r.state.has_ended]
        unborn = cell.num_trials - len(cell.records)
        left = unborn * cell.epochs + sum(max(cell.epochs - r.epochs_done, 0) for r in open_)
        total += left * (pace if pace is not None else median(known))
    return total / len(running)


def _pace(found: Overview, cell: CellOverview) -> float | None:
    """Return the median time of a cell's epochs; of a trial that runs, of its last one."""
    pace = seconds_per_epoch(cell.records)
    if pace is not None:
        return pace
    running = [r for r in cell.records if r.state is State.RUNNING]
    rows = [last_epoch(found.folder.trial(r.hash)) for r in running]
    times = [row["epoch_time_s"] for row in rows if "epoch_time_s" in row]
    return median(times) if times else None


def _designed(experiment: Experiment, folder: ExperimentFolder, found: Scan) -> tuple[CellOverview, ...]:
    try:
        indexed = {row.hash for row in read_index(folder)}
    except ResultsError:
        indexed = set()
    by_key: dict[tuple[str, int, int], list[TrialRecord]] = {}
    for record in found.records.values():
        by_key.setdefault((record.config_hash, record.seed, record.fold), []).append(record)
    known = {cell.config_hash for cell in experiment.cells}
    # Where a data set's files have moved, the configuration differs and the identity does not.
    fingerprints = {r.data_fingerprint for r in found.records.values() if r.config_hash not in known}

    def records_of(cell: Cell, seed: int, fold: int) -> list[TrialRecord]:
        rivals = by_key.get((cell.config_hash, seed, fold), [])
        if rivals:
            return [max(rivals, key=lambda r: (r.hash in indexed, r.state.is_finished, r.finished or ""))]
        for data in fingerprints:
            hash = identity(cell.config, seed=seed, fold=fold, data_fingerprint=data)[:HASH_DIGITS]
            if hash in found.records:
                return [found.records[hash]]
        return []

    replicates: dict[int, list[tuple[int, int]]] = {}
    for cell, seed, fold in expand(experiment):
        replicates.setdefault(id(cell), []).append((seed, fold))
    overviews = []
    for cell in experiment.cells:
        wanted = replicates.get(id(cell), [])
        records = [r for seed, fold in wanted for r in records_of(cell, seed, fold)]
        overviews.append(
            CellOverview(
                label=cell.label,
                levels=cell.levels,
                num_trials=len(wanted),
                records=tuple(records),
                epochs=cell.config.epochs,
            )
        )
    return tuple(overviews)


def _tuned(experiment: Experiment, found: Scan) -> tuple[CellOverview, ...]:
    """Return two rows a cell: its tuning trials, then the replicates of its winner."""
    tunings = read_tunings(experiment, map(TuningTrial.of_record, found.records.values()))
    rows: dict[str, list[CellOverview]] = {cell.label: [] for cell in experiment.cells}
    for tuning in tunings:
        tried = {trial.hash for trial in tuning.trials.values()}
        wanted = [winner_hash(experiment, tuning, seed) for seed in tuning.seeds]
        repeat = f" (repeat {tuning.repeat})" if tuning.repeat or len(tunings) > len(experiment.cells) else ""
        for what, hashes, count in (
            ("tuning", tried, tuning.num_trials - len(tuning.trials) + len(tried)),
            ("tuned", [h for h in wanted if h is not None], 0 if tuning.is_hopeless else len(tuning.seeds)),
        ):
            rows[tuning.cell.label].append(
                CellOverview(
                    label=f"{tuning.cell.label}: {what}{repeat}",
                    levels=tuning.cell.levels,
                    num_trials=count,
                    records=tuple(found.records[h] for h in hashes if h in found.records),
                    epochs=tuning.cell.config.epochs,
                )
            )
    return tuple(row for of_cell in rows.values() for row in of_cell)


def _proposals(search: Search, found: Scan, *, epochs: int) -> tuple[CellOverview, ...]:
    """Return a row for each configuration that a search tried, its replicates in it, in order of their
    numbers."""
    tried = [(r, r.search) for r in found.records.values() if r.search is not None]
    replicates: dict[str, list[TrialRecord]] = {}
    for record, place in tried:
        if not place.numbers:
            replicates.setdefault(str(place.replicate_of), []).append(record)
    numbered = [(place.numbers, record) for record, place in tried if place.numbers]
    cells, num_made = [], 0
    for numbers, record in sorted(numbered, key=lambda item: item[0][0]):
        num_made += len(numbers)
        records = (record, *replicates.get(record.hash, ()))
        label = f"proposal {', '.join(map(str, numbers))}"
        cells.append(
            CellOverview(
                label=label,
                levels=record.levels,
                num_trials=len(records),
                records=records,
                epochs=int(record.config["epochs"]),
            )
        )
    missing = search.num_trials - num_made
    if missing > 0:
        cells.append(
            CellOverview(label="not tried yet", levels={}, num_trials=missing, records=(), epochs=epochs)
        )
    return tuple(cells)
