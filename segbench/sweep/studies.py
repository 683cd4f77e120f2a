"""The kinds of experiment: a design, a search, a tuned design.

`study_of` chooses the type once. Whoever plans a sweep, runs it or prints it asks the type what is left to
do, where the trials come from, what the dashboard shows and how the table at the end looks.
"""

from __future__ import annotations

import statistics
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from segbench.config.experiment import Design, Experiment, Search, Tune
from segbench.errors import ExperimentError, message
from segbench.plan.plan import Plan, PlanEntry, Planner, plan_trials, present, tuning_lines, tuning_size
from segbench.quantities import QUANTITIES
from segbench.records import FailureKind, SearchPlace, State, TrialRecord
from segbench.store import trials
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.store.queue import QueuedTrial
from segbench.sweep.search import is_over, read_known
from segbench.sweep.sources import FixedTrials, SearchRun, TrialSource, TuneRun
from segbench.trial.events import write_settings
from segbench.trial.record import measure_trial
from segbench.wording import counted

if TYPE_CHECKING:
    from segbench.config.experiment import Constraint
    from segbench.dashboard.mirror import Mirror


MOST_PROPOSALS = 10


def cell_table(plan: Plan) -> list[str]:
    """Return the cells with the means of their complete trials; no intervals: the report has them."""
    objective = plan.experiment.baseline.objective.metric
    rows = [["cell", "n", objective, plan.experiment.outcome, ""]]
    for label in dict.fromkeys(entry.trial.cell.label for entry in plan.entries):
        entries = [e for e in plan.entries if e.trial.cell.label == label]
        complete = [e.record for e in entries if e.record is not None and e.state is State.COMPLETE]
        others = Counter(str(e.state) for e in entries if e.state is not State.COMPLETE)
        numbers = [_mean([r.objective for r in complete]), _outcome(plan.experiment, complete)]
        words = ", ".join(f"{count} {state}" for state, count in others.items())
        rows.append([label, str(len(complete)), *numbers, words])
    return _align(rows)


def proposal_table(experiment: Experiment, search: Search, folder: ExperimentFolder) -> list[str]:
    """Return a search's best proposals, the best first, and its replicates."""
    if search.goals:
        return _front_table(experiment, search, folder)
    objective = experiment.baseline.objective
    valued = [(r.objective, r) for r in search_records(folder) if r.objective is not None]
    valued.sort(key=lambda pair: pair[0], reverse=objective.direction == "maximize")
    rows = [["proposal", "seed", "state", objective.metric, experiment.outcome, "parameters"]]
    for _, record in valued[:MOST_PROPOSALS]:
        number = _number(record) + ("" if _is_within(folder, search, record) else " (breaks a constraint)")
        numbers = [_mean([record.objective]), _outcome(experiment, [record])]
        rows.append([number, str(record.seed), str(record.state), *numbers, _settings(record)])
    return _align(rows)


def _front_table(experiment: Experiment, search: Search, folder: ExperimentFolder) -> list[str]:
    """Return the proposals on the Pareto front, marked, best in the first goal first; then the others."""
    from segbench.stats.pareto import pareto_front

    metrics = [goal.metric for goal in search.goals]
    rows: list[tuple[TrialRecord, dict[str, float]]] = []
    for record in search_records(folder):
        measured = measure_trial(record, folder.trial(record.hash), search.measures)
        if record.state is State.COMPLETE and all(name in measured for name in metrics):
            rows.append((record, measured))
    own = [
        k
        for k, (record, _) in enumerate(rows)
        if record.search is not None and record.search.numbers and _is_within(folder, search, record)
    ]
    values = [[rows[k][1][name] for name in metrics] for k in own]
    front = [own[k] for k in pareto_front(values, [goal.direction for goal in search.goals])]
    others = [k for k in range(len(rows)) if k not in front]
    shown = [["proposal", "", "seed", *metrics, experiment.outcome, "settings"]]
    for k in [*front, *others[: max(0, MOST_PROPOSALS - len(front))]]:
        record, measured = rows[k]
        mark = "Pareto" if k in front else "" if _is_within(folder, search, record) else "breaks a constraint"
        numbers = [*(_goal(name, measured[name]) for name in metrics), _outcome(experiment, [record])]
        shown.append([_number(record), mark, str(record.seed), *numbers, _settings(record)])
    return _align(shown)


def _is_within(folder: ExperimentFolder, search: Search, record: TrialRecord) -> bool:
    if not search.constraints:
        return True
    measured = measure_trial(record, folder.trial(record.hash), search.measures)
    return all(each.violation(measured.get(each.metric)) <= 0 for each in search.constraints)


def _number(record: TrialRecord) -> str:
    search = record.search or SearchPlace()
    if search.replicate_of is not None:
        return "replicate"
    return "" if search.number is None else str(search.number)


def _settings(record: TrialRecord) -> str:
    return "" if record.search is None else write_settings(record.search.parameters)


def _goal(metric: str, value: float) -> str:
    if not QUANTITIES[metric].is_cost:
        return f"{value:.4f}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def search_records(folder: ExperimentFolder) -> list[TrialRecord]:
    """Return the readable records of what a search or a tuning asked for."""
    found = map(trials.peek_trial, folder.trial_folders())
    return [record for record in found if record is not None and record.search is not None]


def _mean(values: list[float | None]) -> str:
    known = [v for v in values if v is not None]
    return f"{statistics.fmean(known):.4f}" if known else "-"


def _outcome(experiment: Experiment, records: Sequence[TrialRecord]) -> str:
    return _mean([record.test.get(experiment.outcome.removeprefix("test_")) for record in records])


def _align(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def describe_search(search: Search) -> str:
    """Return such as `40 proposals by tpe, pruner median, for val_dice and parameters`."""
    parts = [f"{search.num_trials} proposals by {search.sampler}, pruner {search.pruner}"]
    if search.goals:
        parts.append(f"for {' and '.join(goal.metric for goal in search.goals)}")
    if search.constraints:
        parts.append(f"with {', '.join(_bounds(each) for each in search.constraints)}")
    if search.enqueue:
        parts.append(f"{len(search.enqueue)} of them given")
    if search.warm_start:
        parts.append(f"warmed by {', '.join(search.warm_start)}")
    return ", ".join(parts)


def _bounds(constraint: Constraint) -> str:
    low = "" if constraint.low is None else f"{constraint.low:g} <= "
    high = "" if constraint.high is None else f" <= {constraint.high:g}"
    return f"{low}{constraint.metric}{high}"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one `segbench sweep` has to do."""

    study: Study
    plan: Plan
    """The part of the design that was asked for; what guards look at."""
    design: Plan
    """All of it."""
    to_run: tuple[PlanEntry, ...] = ()
    left_failed: tuple[PlanEntry, ...] = ()
    """Trials that failed before, and are run again only with `--retry failed`."""
    is_search_over: bool = True
    """Whether no search and no tuning has anything left to try."""
    tuning_to_retry: tuple[TrialFolder, ...] = ()
    """Tuning trials that failed and are run again."""
    is_whole: bool = True
    """Whether all of the design was asked for, that is at a look all of its seeds."""

    @property
    def experiment(self) -> Experiment:
        return self.study.experiment

    @property
    def folder(self) -> ExperimentFolder:
        return self.plan.folder

    @property
    def entries(self) -> tuple[PlanEntry, ...]:
        """The trials that were asked for; empty for a search."""
        return self.plan.entries

    @property
    def to_reuse(self) -> tuple[PlanEntry, ...]:
        return self.plan.to_reuse

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to do."""
        return not self.to_run and not self.to_reuse and self.is_search_over

    @property
    def num_done(self) -> int:
        return len({e.trial.hash for e in self.entries if e.state.is_finished})

    @property
    def num_trials(self) -> int:
        return len({e.trial.hash for e in self.entries})

    def count_states(self) -> dict[str, int]:
        """Return state -> number of trials, each trial once, without states that no trial has."""
        found = list(self.study.states(self))
        return {str(state): found.count(state) for state in State if state in found}


class Study(ABC):
    """One experiment, as its kind is swept."""

    can_be_narrowed: ClassVar[bool] = True
    """Whether `--only` and `--seeds` choose a part of it."""
    is_judged: ClassVar[bool] = True
    """Whether its claims are judged once it is complete."""
    why_not_alone: ClassVar[str | None] = None
    """Why none of its trials can be run without the others; None: each can."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment

    def check(self) -> None:  # noqa: B027 - most start from nothing
        """Return if what the study starts from is there.

        Raises:
            ExperimentError: It is not.
        """

    @abstractmethod
    def job(
        self, *, only: Sequence[str] | None = None, seeds: str | None = None, retries_failed: bool = False
    ) -> Job:
        """Work out what is left to do.

        Raises:
            ExperimentError: A selection names what is not there, or the data set is missing.
        """

    @abstractmethod
    def source(self, job: Job, *, ahead: int) -> TrialSource:
        """Return where the trials of a job come from.

        Args:
            job: What is to be done.
            ahead: Trials that a search may have open at a time: one per worker.
        """

    @abstractmethod
    def most_at_once(self, job: Job) -> int:
        """Return how many trials could run at a time, were there workers enough."""

    def start_mirror(self, mirror: Mirror, asked: Sequence[QueuedTrial]) -> None:
        """Start a mirror with the trials that the dashboard is to show from the beginning."""
        mirror.start(asked)

    def write_index(self, plan: Plan) -> None:
        """Regenerate `index.csv`."""
        plan.write_index()

    @abstractmethod
    def size(self, job: Job) -> str:
        """Say what is asked for and how much of it is done, on one line."""

    @abstractmethod
    def states(self, job: Job) -> Iterator[State]:
        """Yield the state of each trial."""

    @abstractmethod
    def table(self, job: Job) -> list[str]:
        """Return what a sweep came to, as lines of text."""


class DesignStudy(Study):
    """All trials are known beforehand: every cell with every seed and fold."""

    def job(
        self, *, only: Sequence[str] | None = None, seeds: str | None = None, retries_failed: bool = False
    ) -> Job:
        plan = plan_trials(self.experiment)
        part = plan.narrowed(only=only, seeds=seeds) if only or seeds else plan
        left = [] if retries_failed else [e for e in part.to_run if _has_failed(e)]
        return Job(
            study=self,
            plan=part,
            design=plan,
            to_run=tuple(e for e in part.to_run if e not in left),
            left_failed=tuple(left),
            is_whole=not (only or seeds),
        )

    def source(self, job: Job, *, ahead: int) -> TrialSource:
        return FixedTrials(
            [entry.queued() for entry in job.to_run],
            num_ended=job.num_done + len(job.to_reuse),
            num_expected=job.num_trials,
        )

    def most_at_once(self, job: Job) -> int:
        return job.num_trials

    def start_mirror(self, mirror: Mirror, asked: Sequence[QueuedTrial]) -> None:
        entries = plan_trials(self.experiment).entries  # the whole design, whatever part is run
        records = {e.trial.hash: e.record for e in entries if e.record is not None}
        mirror.start([e.queued() for e in entries], records)

    def size(self, job: Job) -> str:
        cells, seeds = {e.trial.cell.label for e in job.entries}, {e.trial.seed for e in job.entries}
        folds = {e.trial.fold for e in job.entries}
        size = f"{counted(len(cells), 'cell')} x {counted(len(seeds), 'seed')}"
        size += f" x {len(folds)} folds" if len(folds) > 1 else ""
        parts = [f"{len(job.to_run)} to run", f"{job.num_done} done"]
        parts += [f"{len(job.to_reuse)} reused"] if job.to_reuse else []
        parts += [f"{len(job.left_failed)} failed"] if job.left_failed else []
        return f"{size}, {counted(job.num_trials, 'trial')}: {', '.join(parts)}"

    def states(self, job: Job) -> Iterator[State]:
        yield from {entry.trial.hash: entry.state for entry in job.entries}.values()

    def table(self, job: Job) -> list[str]:
        return cell_table(job.plan)


class TunedStudy(DesignStudy):
    """A sampler tunes every cell; the replicates of each winner are the trials of the design."""

    why_not_alone = "the trials of a tuned design come from its tuning"

    def job(
        self, *, only: Sequence[str] | None = None, seeds: str | None = None, retries_failed: bool = False
    ) -> Job:
        designed = super().job(only=only, seeds=seeds, retries_failed=retries_failed)
        again = _failed_tuning(designed.plan, retries_failed=retries_failed)
        return replace(designed, is_search_over=designed.plan.is_tuned and not again, tuning_to_retry=again)

    def source(self, job: Job, *, ahead: int) -> TrialSource:
        asked = present(self.experiment, job.folder)
        return TuneRun(asked, job.folder, job.plan.tunings, Planner(self.experiment), workers=ahead)

    def most_at_once(self, job: Job) -> int:
        return max(job.num_trials, sum(tuning.num_trials for tuning in job.plan.tunings))

    def start_mirror(self, mirror: Mirror, asked: Sequence[QueuedTrial]) -> None:
        mirror.start(asked)

    def size(self, job: Job) -> str:
        return tuning_size(job.plan)

    def states(self, job: Job) -> Iterator[State]:
        yield from super().states(job)
        tried = {trial.hash: trial for tuning in job.plan.tunings for trial in tuning.trials.values()}
        yield from (trial.state for trial in tried.values())

    def table(self, job: Job) -> list[str]:
        return [*tuning_lines(job.plan), *cell_table(job.plan)]


class SearchStudy(Study):
    """A sampler proposes one trial after another; the best proposals are replicated."""

    can_be_narrowed = False
    is_judged = False
    why_not_alone = "a search has no trials of its own to run"

    def __init__(self, experiment: Experiment, search: Search) -> None:
        super().__init__(experiment)
        self.search = search

    def check(self) -> None:
        read_known(self.experiment)

    def job(
        self, *, only: Sequence[str] | None = None, seeds: str | None = None, retries_failed: bool = False
    ) -> Job:
        if only or seeds:
            rule = "a search has no cells to choose from: --only and --seeds do not go with it"
            raise ExperimentError(message(self.experiment.name, rule))
        plan = plan_trials(self.experiment)
        self.check()
        return Job(study=self, plan=plan, design=plan, is_search_over=is_over(self.experiment, plan.folder))

    def source(self, job: Job, *, ahead: int) -> TrialSource:
        return SearchRun(self.experiment, job.folder, Planner(self.experiment).trial, ahead=ahead)

    def most_at_once(self, job: Job) -> int:
        return self.search.num_trials

    def write_index(self, plan: Plan) -> None:
        """Write none: the records alone say what was proposed."""

    def size(self, job: Job) -> str:
        return f"search of {describe_search(self.search)}"

    def states(self, job: Job) -> Iterator[State]:
        yield from (record.state for record in search_records(job.folder))

    def table(self, job: Job) -> list[str]:
        return proposal_table(self.experiment, self.search, job.folder)


def study_of(experiment: Experiment) -> Study:
    """Return an experiment as its kind is swept."""
    match experiment.kind:
        case Search() as search:
            return SearchStudy(experiment, search)
        case Tune():
            return TunedStudy(experiment)
        case Design():
            return DesignStudy(experiment)


def _has_failed(entry: PlanEntry) -> bool:
    """Whether a trial failed for a reason of its own; a lost worker's trial is run again by every sweep."""
    return entry.record is not None and _is_own_failure(entry.record)


def _is_own_failure(record: TrialRecord) -> bool:
    return record.state is State.FAILED and record.failure is not FailureKind.LOST


def _failed_tuning(plan: Plan, *, retries_failed: bool) -> tuple[TrialFolder, ...]:
    """Return the tuning trials to run again: those whose worker was lost, or all that failed."""
    failed = {
        trial.hash
        for tuning in plan.tunings
        for trial in tuning.trials.values()
        if trial.state is State.FAILED
    }
    folders = [plan.folder.trial(trial_hash) for trial_hash in sorted(failed)]
    return tuple(f for f in folders if retries_failed or not _is_own_failure(trials.read_trial(f)))
