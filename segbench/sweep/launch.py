"""A sweep from its plan to its end: what `segbench sweep` does, without what it prints."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from segbench.config.document import dump
from segbench.config.experiment import Experiment
from segbench.data import decode
from segbench.errors import ExperimentError, message
from segbench.guards import Finding, Severity, check_plan, check_work, sorted_findings
from segbench.guards.data import distinct_data
from segbench.plan.plan import Plan, plan_trials, reuse
from segbench.records import State, TrialRecord
from segbench.samples import FACTS
from segbench.store import trials
from segbench.store.atomic import write_text
from segbench.store.damage import reopen_if_damaged, run_again
from segbench.store.layout import ExperimentFolder
from segbench.store.queue import QueuedTrial
from segbench.store.samples import read_samples, write_samples
from segbench.store.scan import scan
from segbench.sweep.studies import Job, study_of
from segbench.trial.events import label_trial

if TYPE_CHECKING:
    from rich.console import Console

    from segbench.dashboard.address import StorageAddress
    from segbench.store.lease import Lease
    from segbench.sweep.launchers import Launcher
    from segbench.trial.limits import Deadline, StopRequest


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
        rule = "the data set says nothing of this name about its images"
        names = [*(name for name in columns if name not in ("image", *FACTS)), *FACTS]
        raise ExperimentError([message("subgroups", rule, got=name, known=names) for name in missing])
    write_samples(folder, rows)


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
        One line per trial.
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
            run_again(entry.folder, record, search=record.search)
        elif record is not None and record.state.is_finished and not record.is_tested:
            run_again(entry.folder, record, search=None)
    for folder in job.tuning_to_retry:
        record = trials.read_trial(folder)
        run_again(folder, record, search=record.search)


def run_job(
    job: Job,
    *,
    launcher: Launcher,
    stop: StopRequest,
    console: Console,
    max_failures: int | None = None,
    storage: StorageAddress | None,
    deadline: Deadline | None = None,
    hang_timeout_s: float | None = None,
    claim: Lease | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run what is left with a supervisor, showing progress.

    Args:
        job: What is left.
        launcher: Starts the workers.
        stop: Asked whether to stop.
        console: Where progress is shown.
        max_failures: Failed trials after which the sweep stops; None: it never does.
        storage: Where the dashboard's study is written; None: nowhere.
        deadline: When it must have ended.
        hang_timeout_s: Silence after which a worker is killed; None: by the usual epoch of its trial.
        claim: On the experiment; where it is lost, another supervisor has taken over.
        clock: Seconds that only grow.

    Raises:
        ResultsError: Another sweep of the experiment is running, or the disk refuses.
        TrialError: Workers cannot be started.
    """
    from segbench.dashboard.mirror import make_mirror
    from segbench.sweep.display import SweepView, make_display
    from segbench.sweep.supervisor import Supervisor

    experiment = job.experiment
    source = job.study.source(job, ahead=launcher.size)
    view = SweepView(
        total=source.num_expected,
        done=source.num_ended,
        waiting={t.hash: _epochs_left(t, job.folder) for t in source.open_trials()},
        workers=launcher.size,
        clock=clock,
    )
    display = make_display(view, console)
    launcher.note = display.note
    mirror = make_mirror(experiment, job.folder, display.note, storage) if storage is not None else None
    try:
        if mirror is not None:
            job.study.start_mirror(mirror, source.asked)
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


def mirror_only(job: Job, storage: StorageAddress) -> None:
    """Bring the study up to date where nothing ran but something was copied in."""
    from segbench.dashboard.mirror import make_mirror

    mirror = make_mirror(job.experiment, job.folder, lambda text: None, storage)
    source = job.study.source(job, ahead=1)
    job.study.start_mirror(mirror, source.asked)
    mirror.close(None)


def write_index(experiment: Experiment) -> Plan:
    """Regenerate `index.csv` and return the plan as it is now."""
    plan = plan_trials(experiment)
    study_of(experiment).write_index(plan)
    return plan


def _epochs_left(trial: QueuedTrial, folder: ExperimentFolder) -> int:
    return int(trial.config["epochs"]) - trials.count_epochs(folder.trial(trial.hash))
