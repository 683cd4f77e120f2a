"""Where a sweep's trials come from."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from segbench.config.document import dump
from segbench.config.experiment import Experiment
from segbench.data import decode
from segbench.errors import ExperimentError, message
from segbench.guards import Finding, Severity, check_plan, check_work, sorted_findings
from segbench.guards.subjects import distinct_data
from segbench.plan.looks import present
from segbench.plan.plan import Plan, PlanEntry, Planner, plan_trials
from segbench.plan.reuse import reuse
from segbench.records import FailureKind, State, TrialRecord
from segbench.samples import FACTS
from segbench.store import trials
from segbench.store.atomic import write_text
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.store.queue import QueuedTrial
from segbench.store.samples import read_samples, write_samples
from segbench.store.scan import scan
from segbench.sweep.tune import reopen_if_damaged, reset
from segbench.trial.events import Event, label_trial

if TYPE_CHECKING:
    from rich.console import Console

    from segbench.dashboard.address import StorageAddress
    from segbench.dashboard.mirror import Mirror
    from segbench.store.lease import Lease
    from segbench.sweep.launchers import Launcher
    from segbench.trial.signals import Deadline, StopRequest


class TrialSource(Protocol):
    """What the supervisor asks for trials, and tells what became of them.

    A design knows all of its trials before it starts (`FixedTrials`). A search asks for more as others end.
    """

    @property
    def trials(self) -> Sequence[QueuedTrial]:
        """The queue: what is to be run, in order; what has ended may be left out."""

    @property
    def asked(self) -> Sequence[QueuedTrial]:
        """Everything asked for so far, in order: what the dashboard shows."""

    @property
    def is_closed(self) -> bool:
        """Whether no trial will be added any more."""

    @property
    def num_expected(self) -> int:
        """Trials in all, as far as one can tell."""

    @property
    def num_ended(self) -> int:
        """Trials that need no worker any more."""

    def open_trials(self) -> list[QueuedTrial]:
        """Return the trials that are to be run and were asked for before this sweep began."""

    def advance(self) -> list[QueuedTrial]:
        """Return the trials to add to the queue now."""

    def handle(self, event: Event) -> None:
        """Take an event of a running trial."""


class FixedTrials:
    """The trials of a design.

    Args:
        trials: What is to be run, in order; nothing of it has ended.
        num_ended: Trials of the design that need no worker any more.
        num_expected: Trials in all; None: these and those that have ended.
    """

    def __init__(
        self, trials: Sequence[QueuedTrial], *, num_ended: int = 0, num_expected: int | None = None
    ) -> None:
        self.trials = self.asked = tuple(trials)
        self.is_closed = True
        self.num_ended = num_ended
        self.num_expected = len(self.trials) + num_ended if num_expected is None else num_expected

    def open_trials(self) -> list[QueuedTrial]:
        return list({trial.hash: trial for trial in self.trials}.values())

    def advance(self) -> list[QueuedTrial]:
        return []

    def handle(self, event: Event) -> None:
        pass


# What a report must know of the test images to divide them into sub-groups.


def describe_test_images(experiment: Experiment, folder: ExperimentFolder, *, is_new: bool) -> None:
    """Write `samples.csv` where the experiment asks for sub-groups.

    The images are those of the baseline's data set, measured at its size, in the test part of any fold.

    Args:
        experiment: What was trained.
        folder: Its results.
        is_new: Whether trials are to be run; else a file that has what is asked for is left alone.

    Raises:
        ExperimentError: The data set knows no attribute of a name under `subgroups:`.
    """
    if not experiment.subgroups:
        return
    known = None if is_new else read_samples(folder)
    if known is not None and set(experiment.subgroups) <= set(known):
        return
    from segbench.data import prepare
    from segbench.data.facts import facts_of

    config, rows = experiment.baseline, []
    for fold in range(experiment.num_folds):
        data = prepare(config, experiment.project, fold=fold)
        rows += list(facts_of(data, [int(number) for number in data.split["test"]]))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    missing = [name for name in experiment.subgroups if name not in columns]
    if missing:
        places = [message("subgroups", _RULE, got=name, known=_divisions(columns)) for name in missing]
        raise ExperimentError(places)
    write_samples(folder, rows)


_RULE = "the data set says nothing of this name about its images"


def _divisions(columns: list[str]) -> list[str]:
    return [*(name for name in columns if name not in ("image", *FACTS)), *FACTS]


# A sweep from plan to summary: what `segbench sweep` does, without what it prints.


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one `segbench sweep` has to do."""

    experiment: Experiment
    folder: ExperimentFolder
    entries: tuple[PlanEntry, ...]
    """The trials that were asked for; empty for a search."""
    to_run: tuple[PlanEntry, ...]
    to_reuse: tuple[PlanEntry, ...]
    left_failed: tuple[PlanEntry, ...]
    """Trials that failed before, and are run again only with `--retry failed`."""
    plan: Plan
    """The part of the design that was asked for; what guards look at."""
    design: Plan
    """All of it."""
    is_search_over: bool = True
    """Whether no search and no tuning has anything left to try."""
    tuning_to_retry: tuple[TrialFolder, ...] = ()
    """Tuning trials that failed and are run again."""
    is_whole: bool = True
    """Whether all of the design was asked for, that is at a look all of its seeds."""

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

    @property
    def most_at_once(self) -> int:
        """How many trials could run at a time, were there workers enough."""
        return max(self.num_trials, sum(tuning.num_trials for tuning in self.plan.tunings))


def plan_job(
    experiment: Experiment,
    *,
    only: Sequence[str] | None = None,
    seeds: str | None = None,
    retries_failed: bool = False,
) -> Job:
    """Work out what is left to do.

    A trial whose worker was lost is tried again by every sweep; one that failed for a reason of its own only
    where that is asked for.

    Raises:
        ExperimentError: A selection names what is not there, or the data set is missing.
    """
    plan = plan_trials(experiment)
    if experiment.search is not None:
        from segbench.sweep.search import is_over
        from segbench.sweep.search_records import read_known

        read_known(experiment)  # refused here where it is to be warmed by what is not there
        return Job(
            experiment=experiment,
            folder=plan.folder,
            entries=(),
            to_run=(),
            to_reuse=(),
            left_failed=(),
            plan=plan,
            design=plan,
            is_search_over=is_over(experiment, plan.folder),
        )
    part = plan.narrowed(only=only, seeds=seeds) if only or seeds else plan
    left = [] if retries_failed else [e for e in part.to_run if _has_failed(e)]
    again = _failed_tuning(part, retries_failed=retries_failed)
    return Job(
        experiment=experiment,
        folder=plan.folder,
        entries=part.entries,
        to_run=tuple(e for e in part.to_run if e not in left),
        to_reuse=part.to_reuse,
        left_failed=tuple(left),
        plan=part,
        is_search_over=part.is_tuned and not again,
        tuning_to_retry=again,
        design=plan,
        is_whole=not (only or seeds),
    )


def check_job(
    job: Job,
    *,
    on_decoded: Callable[[int, int], None] | None = None,
    on_checked: Callable[[int, int], None] | None = None,
) -> tuple[Finding, ...]:
    """Return what the guards say about a job; images are decoded first, for the guards and for the workers.

    Where the plan alone tells of an error nothing is decoded and no network is built.

    Args:
        job: One that is not over.
        on_decoded: Told (images done, images in all) while a data set is decoded.
        on_checked: Told (levels looked at, levels in all) while networks are looked at.

    Raises:
        DataError: The data set is missing, or an image cannot be used.
    """
    findings = check_plan(job.plan)
    if any(finding.severity is Severity.ERROR for finding in findings):
        return findings
    for config in distinct_data(job.plan):
        decode(config, job.experiment.project, on_progress=on_decoded)
    return sorted_findings([*findings, *check_work(job.plan, on_progress=on_checked)])


def write_document(experiment: Experiment, folder: ExperimentFolder) -> bool:
    """Put the merged document beside the results; return whether another one stood there."""
    text = dump(experiment.document)
    try:
        before = folder.experiment_yaml.read_text(encoding="utf-8", errors="replace")
    except OSError:
        before = None
    if before != text:
        folder.root.mkdir(parents=True, exist_ok=True)
        write_text(folder.experiment_yaml, text)
    return before is not None and before != text


def copy_reused(job: Job) -> list[TrialRecord]:
    """Copy in what other experiments have trained already."""
    copied = []
    for entry in job.to_reuse:
        assert entry.reusable is not None
        record = reuse(entry.trial, entry.reusable, job.folder, search=entry.search)
        if record is not None:
            copied.append(record)
    return copied


def reopen_damaged(job: Job) -> list[str]:
    """Read every file of the finished trials, and have those with a damaged one run again.

    Returns:
        A line for each of them.
    """
    asked = {entry.trial.hash for entry in job.entries}
    records = [r for h, r in scan(job.folder).records.items() if h in asked or r.search is not None]
    found = []
    for record in records:
        damage = reopen_if_damaged(job.folder.trial(record.hash), record)
        if damage is not None:
            found.append(f"{label_trial(record.levels, record.search)}, seed {record.seed}: {damage}")
    return found


def reset_failed(job: Job) -> None:
    """Have failed trials that are to be run again wait, and tuning trials that are to be tested."""
    for entry in job.to_run:
        record = entry.record
        if record is not None and record.state is State.FAILED:
            reset(entry.folder, record, search=record.search)
        elif record is not None and record.state.is_finished and not record.is_tested:
            reset(entry.folder, record, search=None)
    for folder in job.tuning_to_retry:
        record = trials.read_trial(folder)
        reset(folder, record, search=record.search)


def make_source(job: Job, *, ahead: int) -> TrialSource:
    """Return where the trials of a job come from.

    Args:
        job: What is to be done.
        ahead: Trials that a search may have open at a time: one a worker.
    """

    if job.experiment.search is not None:
        from segbench.sweep.search import SearchRun

        return SearchRun(job.experiment, job.folder, Planner(job.experiment).trial, ahead=ahead)
    if job.experiment.tune is not None:
        from segbench.sweep.tune import TuneRun

        planner = Planner(job.experiment)
        asked = present(job.experiment, job.folder)
        return TuneRun(asked, job.folder, job.plan.tunings, planner, workers=ahead)
    return FixedTrials(
        [entry.queued() for entry in job.to_run],
        num_ended=job.num_done + len(job.to_reuse),
        num_expected=job.num_trials,
    )


def run_job(
    job: Job,
    *,
    launcher: Launcher,
    stop: StopRequest,
    console: Console,
    max_failures: int | None = None,
    has_study: bool = True,
    storage: StorageAddress | None = None,
    deadline: Deadline | None = None,
    hang_timeout_s: float | None = None,
    claim: Lease | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run what is left with a supervisor, showing progress, and write the index.

    Raises:
        ResultsError: Another sweep of the experiment is running, or the disk refuses.
        TrialError: Workers cannot be started.
    """
    from segbench.dashboard.mirror import make_mirror
    from segbench.sweep.display import SweepView, make_display
    from segbench.sweep.supervisor import Supervisor

    experiment = job.experiment
    source = make_source(job, ahead=launcher.size)
    view = SweepView(
        total=source.num_expected,
        done=source.num_ended,
        waiting={t.hash: _epochs_left(t, job.folder) for t in source.open_trials()},
        workers=launcher.size,
        clock=clock,
    )
    display = make_display(view, console)
    launcher.note = display.note
    mirror = make_mirror(experiment, job.folder, display.note, storage) if has_study else None
    try:
        if mirror is not None:
            start_mirror(mirror, experiment, source.asked)
        supervisor = Supervisor(
            folder=job.folder,
            source=source,
            launcher=launcher,
            display=display,
            stop=stop,
            mirror=mirror,
            max_failures=max_failures,
            deadline=deadline,
            hang_timeout_s=hang_timeout_s,
            claim=claim,
        )
        supervisor.run()
    finally:
        display.close()
        if mirror is not None:
            mirror.close()


def mirror_only(job: Job, storage: StorageAddress | None = None) -> None:
    """Bring the study up to date where nothing ran but something was copied in."""
    from segbench.dashboard.mirror import make_mirror

    mirror = make_mirror(job.experiment, job.folder, lambda text: None, storage)
    source = make_source(job, ahead=1)
    start_mirror(mirror, job.experiment, source.asked)
    mirror.close(None)


def start_mirror(mirror: Mirror, experiment: Experiment, proposed: Sequence[QueuedTrial]) -> None:
    """Start a mirror with the whole design, or with what a search or a tuning has asked for so far."""
    entries = plan_trials(experiment).entries
    if entries and experiment.tune is None:
        records = {e.trial.hash: e.record for e in entries if e.record is not None}
        mirror.start([e.queued() for e in entries], records)
    else:
        mirror.start(proposed)


def write_index(experiment: Experiment) -> Plan:
    """Regenerate `index.csv` and return the plan as it is now."""
    plan = plan_trials(experiment)
    if experiment.search is None:
        plan.write_index()
    return plan


def _has_failed(entry: PlanEntry) -> bool:
    record = entry.record
    return record is not None and record.state is State.FAILED and record.failure is not FailureKind.LOST


def _failed_tuning(plan: Plan, *, retries_failed: bool) -> tuple[TrialFolder, ...]:
    """Return the tuning trials to run again: those whose worker was lost, or all that failed."""
    failed = {
        trial.hash
        for tuning in plan.tunings
        for trial in tuning.trials.values()
        if trial.state is State.FAILED
    }
    folders = [plan.folder.trial(trial_hash) for trial_hash in sorted(failed)]
    return tuple(
        folder
        for folder in folders
        if retries_failed or trials.read_trial(folder).failure is FailureKind.LOST
    )


def _epochs_left(trial: QueuedTrial, folder: ExperimentFolder) -> int:
    return int(trial.config["epochs"]) - trials.count_epochs(folder.trial(trial.hash))
