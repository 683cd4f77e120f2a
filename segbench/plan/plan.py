"""What a sweep will run: the cells and seeds asked for, less what is finished or can be reused.

A trial of another experiment that is identical is found by its folder's name, checked by its identity, and
copied.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from segbench.config.expand import expand, search_space, tuned_cell
from segbench.config.experiment import Cell, Experiment, PlannedTrial
from segbench.config.project import Project
from segbench.config.trial import Hasher, TrialConfig, canonical_json
from segbench.data import fingerprint
from segbench.errors import ExperimentError, ResultsError, message
from segbench.records import Role, SearchPlace, State, TrialRecord
from segbench.store.atomic import replacing, sweep_temporaries
from segbench.store.history import judged_looks, reached_look, read_history
from segbench.store.index import IndexRow, write_index
from segbench.store.layout import HASH_DIGITS, ExperimentFolder, ResultsFolder, TrialFolder
from segbench.store.lease import Lease
from segbench.store.queue import QueuedTrial
from segbench.store.scan import Scan, scan
from segbench.store.trials import read_trial, write_trial
from segbench.store.tuning import CellTuning, TuningTrial, read_tunings
from segbench.wording import counted


def present(experiment: Experiment, folder: ExperimentFolder) -> Experiment:
    """Return the experiment with the seeds that are asked for now.

    A look that was judged with something unresolved is followed by the next one. What was judged under
    another design, other claims or another margin is judged anew, at the look that was reached: fewer seeds
    than were seen are never asked for.

    Raises:
        ResultsError: `history.csv` is damaged.
    """
    if not experiment.looks:
        return experiment
    rows = read_history(folder)
    judged, reached = judged_looks(rows, experiment), reached_look(rows, experiment)
    for look in experiment.looks:
        if look >= reached and not judged.get(look):
            return experiment.first_seeds(look)
    return experiment


def look_words(experiment: Experiment, now: Experiment) -> str:
    """Say which seeds are asked for now: `look 1 of 3: the first 3 of at most 10 seeds`; empty without looks.

    Args:
        experiment: The whole design.
        now: With the seeds that are asked for now, as `present` gives it.
    """
    if not experiment.looks:
        return ""
    number = experiment.looks.index(len(now.seeds)) + 1
    return (
        f"look {number} of {len(experiment.looks)}: the first {len(now.seeds)} of at most "
        f"{len(experiment.seeds)} seeds"
    )


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


_SEEDS: Final = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which trials of a design are meant. Without conditions: all."""

    levels: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Axis -> labels, any of which will do; all axes must agree."""
    seeds: frozenset[int] | None = None

    @property
    def is_all(self) -> bool:
        return not self.levels and self.seeds is None

    def takes_cell(self, levels: Mapping[str, str]) -> bool:
        """Whether a cell of these levels is meant."""
        return all(levels.get(axis) in labels for axis, labels in self.levels.items())

    def takes(self, levels: Mapping[str, str], seed: int) -> bool:
        """Whether a trial of these levels and this seed is meant."""
        return self.takes_cell(levels) and (self.seeds is None or seed in self.seeds)


def parse_selection(
    experiment: Experiment, *, only: Sequence[str] | None = None, seeds: str | None = None
) -> Selection:
    """Read `--only` and `--seeds`.

    Args:
        experiment: What they are about.
        only: Conditions such as `norm=DyT` or `norm=DyT,none`; a label that holds a comma is taken whole.
        seeds: A list such as `0-1` or `0,2,4`.

    Raises:
        ExperimentError: An axis, level or seed is not in the experiment, or the text is none of these forms.
    """
    problems: list[str] = []
    levels: dict[str, frozenset[str]] = {}
    for condition in only or ():
        axis, labels = _condition(condition, experiment, problems)
        levels[axis] = levels[axis] & labels if axis in levels else labels
    wanted = None if seeds is None else _seeds(seeds, experiment, problems)
    if problems:
        raise ExperimentError(problems)
    return Selection(levels=levels, seeds=wanted)


def select(
    trials: Sequence[PlannedTrial],
    experiment: Experiment,
    *,
    only: Sequence[str] | None = None,
    seeds: str | None = None,
) -> tuple[PlannedTrial, ...]:
    """Return the trials that `--only` and `--seeds` mean, in their order.

    Raises:
        ExperimentError: As `parse_selection`; or no trial is left.
    """
    selection = parse_selection(experiment, only=only, seeds=seeds)
    chosen = tuple(trial for trial in trials if selection.takes(trial.cell.levels, trial.seed))
    if trials and not chosen:
        raise ExperimentError(
            message(
                experiment.name,
                "no trial of the design is left",
                got=" ".join([*(only or ()), seeds or ""]).strip(),
            )
        )
    return chosen


def _condition(text: str, experiment: Experiment, problems: list[str]) -> tuple[str, frozenset[str]]:
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not value:
        problems.append(message("--only", "a condition has the form AXIS=LEVEL", got=text))
        return name, frozenset()
    axes = {axis.name: axis for axis in experiment.axes}
    if name not in axes:
        problems.append(message("--only", f"{experiment.name} has no such axis", got=name, known=axes))
        return name, frozenset()
    known = axes[name].labels
    labels = [value] if value in known else [label.strip() for label in value.split(",")]
    problems += [
        message("--only", f"the axis {name} has no such level", got=label, known=known)
        for label in labels
        if label not in known
    ]
    return name, frozenset(labels)


def _seeds(text: str, experiment: Experiment, problems: list[str]) -> frozenset[int]:
    wanted: set[int] = set()
    for part in text.split(","):
        found = _SEEDS.fullmatch(part.strip())
        if found is None or (found[2] and int(found[2]) < int(found[1])):
            problems.append(message("--seeds", "a list of seeds has the form 0-1 or 0,2,4", got=text))
            return frozenset()
        # A range is clipped before it is counted out: 0-999999999 must not fill the memory.
        last = int(found[2] or found[1])
        named = {s for s in experiment.seeds if int(found[1]) <= s <= last}
        if not named:
            shown = ", ".join(map(str, experiment.seeds))
            problems.append(
                message("--seeds", f"the seeds of {experiment.name} are {shown}", got=part.strip())
            )
        wanted |= named
    return frozenset(wanted)


# The tuning of a design's cells as a sweep plans it: checked against the data, winners made trials.


def tunings_of(
    experiment: Experiment, found: Iterable[TuningTrial], planner: Planner
) -> tuple[CellTuning, ...]:
    """Return how far the tuning of each cell is; trials of other data or other code belong to none.

    Raises:
        DataError: The data set is missing.
    """
    assert experiment.tune is not None
    tune = experiment.tune

    def is_current(trial: TuningTrial, cell: Cell) -> bool:
        tuned = tuned_cell(tune, cell, trial.parameters, where=experiment.name)
        return planner.trial(tuned, trial.seed).hash == trial.hash

    return read_tunings(experiment, found, is_current=is_current)


def tuned_trials(
    experiment: Experiment, tunings: Sequence[CellTuning], planner: Planner
) -> tuple[tuple[PlannedTrial, ...], dict[str, SearchPlace]]:
    """Return the replicates of the known winners, seeds slowest, and hash -> place in the tuning."""
    order = {seed: number for number, seed in enumerate(experiment.seeds)}
    found = [
        (order[trial.seed], trial, place)
        for tuning in tunings
        for trial, place in replicates(experiment, tuning, planner)
    ]
    found.sort(key=lambda item: item[0])
    return tuple(trial for _, trial, _ in found), {trial.hash: place for _, trial, place in found}


def replicates(
    experiment: Experiment, tuning: CellTuning, planner: Planner
) -> list[tuple[PlannedTrial, SearchPlace]]:
    """Return the trials of a cell's winner with their place in the tuning; none before there is one."""
    winner = tuning.winner
    if winner is None:
        return []
    assert experiment.tune is not None
    cell = tuned_cell(experiment.tune, tuning.cell, winner.parameters, where=experiment.name)
    place = SearchPlace(
        role=Role.TUNED,
        cell=tuning.cell.config_hash,
        repeat=tuning.repeat,
        parameters=dict(winner.parameters),
        space=search_space(experiment.tune.search_of(tuning.cell)),
        winner=winner.hash,
    )
    return [(planner.trial(cell, seed), place) for seed in tuning.seeds]


def tuning_trial(
    experiment: Experiment,
    tuning: CellTuning,
    planner: Planner,
    number: int,
    parameters: Mapping[str, Any],
) -> QueuedTrial:
    """Return one proposal of a cell's tuning as workers take it: without the test images."""
    assert experiment.tune is not None
    cell = tuned_cell(experiment.tune, tuning.cell, parameters, where=experiment.name)
    place = SearchPlace(
        role=Role.TUNING,
        cell=tuning.cell.config_hash,
        repeat=tuning.repeat,
        number=number,
        parameters=dict(parameters),
        space=search_space(experiment.tune.search_of(tuning.cell)),
    )
    return QueuedTrial.of(planner.trial(cell, tuning.seed), search=place, is_tested=False)


def superseded(plan: Plan) -> tuple[TrialRecord, ...]:
    """Return the replicates that no winner asks for now, as after more tuning trials: they are kept."""
    cells = {tuning.cell.config_hash for tuning in plan.tunings}
    return tuple(
        record
        for record in plan.orphans
        if record.search is not None and record.role is Role.TUNED and record.search.cell in cells
    )


def tuning_size(plan: Plan) -> str:
    """Say what a tuned design asks for and how much of it is done, in one line."""
    tune = plan.experiment.tune
    assert tune is not None
    names = ", ".join(parameter.name for parameter in tune.search.parameters)
    cells = len({tuning.cell.config_hash for tuning in plan.tunings})
    repeats = len({tuning.repeat for tuning in plan.tunings})
    seeds = sum(len(tuning.seeds) for tuning in plan.tunings)
    each = f"{tune.search.num_trials} trials each" + (f", {repeats} times" if repeats > 1 else "")
    ended = sum(tuning.num_ended for tuning in plan.tunings)
    asked = sum(tuning.num_trials for tuning in plan.tunings)
    done = len({e.trial.hash for e in plan.entries if e.state.is_finished})
    return (
        f"{counted(cells, 'cell')} tuned over {names} by {tune.search.sampler}, {each}; "
        f"tuning {ended}/{asked}, replicates of winners {done}/{seeds}"
    )


def tuning_lines(plan: Plan) -> list[str]:
    """Say how far the tuning of each cell is, or what won; one line per cell and repeat, aligned."""
    rows = [["cell", "tuning", plan.experiment.baseline.objective.metric, "tuned settings"]]
    num_repeats = len({tuning.repeat for tuning in plan.tunings})
    for tuning in plan.tunings:
        name = tuning.cell.label if num_repeats == 1 else f"{tuning.cell.label}, repeat {tuning.repeat}"
        winner = tuning.winner
        if winner is not None:
            assert winner.objective is not None
            value, settings = f"{winner.objective:.4f}", settings_text(winner.parameters)
        else:
            value, settings = "-", tuning.failure_text() if tuning.is_hopeless else ""
        counts = [
            f"{n} {state}"
            for state in State
            if state.has_ended_short and (n := tuning.count(state)) and not tuning.is_hopeless
        ]
        done = ", ".join([f"{tuning.num_ended}/{tuning.num_trials}", *counts])
        rows.append([name, done, value, settings])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    old = superseded(plan)
    if old:
        rest = "of an earlier winner, or of seeds no longer asked for: kept, not reported."
        lines.append(f"{counted(len(old), 'replicate')} {rest}")
    return lines


def tuning_content(plan: Plan) -> list[dict[str, Any]]:
    """Return how far the tuning of each cell is, in plain types."""
    return [
        {
            "cell": tuning.cell.label,
            "repeat": tuning.repeat,
            "trials": tuning.num_trials,
            "ended": tuning.num_ended,
            "failed": tuning.count(State.FAILED),
            "diverged": tuning.count(State.DIVERGED),
            "winner": None if tuning.winner is None else dict(tuning.winner.parameters),
            "seeds": list(tuning.seeds),
        }
        for tuning in plan.tunings
    ]


def settings_text(parameters: Mapping[str, Any]) -> str:
    """Write parameters as `lr 0.00316, momentum 0.9`."""
    return ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in parameters.items())


# What a sweep has to do: the trials of the design, and where each of them stands. No torch.


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
    search: SearchPlace | None = None
    """Of the tuning that its parameters come from."""

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
                levels=t.cell.levels,
                role=Role.TUNING,
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
                levels=e.trial.cell.levels,
                role=Role.TUNED if tuned else "",
                seed=e.trial.seed,
                fold=e.trial.fold,
                state=e.state,
                is_later=e.trial.seed not in now,
            )
            for e in self.all_entries
        ]
        write_index(self.folder, axes, rows, has_looks=bool(self.experiment.looks), has_roles=tuned)


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
    places: Mapping[str, SearchPlace] = {}
    if experiment.tune is None:
        trials = planned_trials(experiment, fingerprint_of=fingerprint_of)
    else:
        planner = Planner(experiment, fingerprint_of=fingerprint_of)
        tunings = tunings_of(asked, map(TuningTrial.of_record, found.records.values()), planner)
        trials, places = tuned_trials(asked, tunings, planner)
    undone = [t.identity for t in trials if t.seed in now and not _is_finished(found, t)]
    reusable = find_reusable(experiment.project, undone, beside=experiment.name)
    entries = tuple(
        PlanEntry(
            trial=trial,
            folder=folder.trial(trial.hash),
            record=found.records.get(trial.hash),
            problem=found.unreadable.get(trial.hash),
            reusable=reusable.get(trial.identity),
            search=places.get(trial.hash),
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
