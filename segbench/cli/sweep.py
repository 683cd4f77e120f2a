"""`segbench sweep`: train what an experiment lacks, and judge its looks.

The parts, in order: what follows once the trials that were asked for are complete; which workers are started;
what is printed before and after training; the command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli.options import (
    AsOption,
    DetachOption,
    DeviceOption,
    ExperimentArgument,
    HangTimeoutOption,
    LoaderWorkersOption,
    LogOption,
    NotifyOption,
    OnlyOption,
    ProjectOption,
    ScaleOption,
    SeedsOption,
    SetOption,
    SmokeOption,
    StorageOption,
    StrictOption,
    ThreadsOption,
    TimeLimitOption,
    TrialsPerGpuOption,
    WorkersOption,
)
from segbench.wording import counted

if TYPE_CHECKING:
    from segbench.config.experiment import Experiment
    from segbench.dashboard.address import StorageAddress
    from segbench.report.analyse import Look
    from segbench.store.lease import Lease
    from segbench.sweep.launchers import Launcher, Request
    from segbench.sweep.studies import Job
    from segbench.trial.devices import Slot
    from segbench.trial.limits import Deadline, StopRequest


def needs_more(job: Job) -> bool:
    """Note that what was asked for is complete, and judge it at a look; return whether the next look follows.

    A part of the design (`--only`, `--seeds`) is never judged, nor is a look some of whose trials failed: to
    run these again afterwards would be one look more.
    """
    from segbench.plan import history
    from segbench.plan.plan import present

    experiment = job.experiment
    if not job.is_whole or not job.study.is_judged or not job.plan.is_finished:
        if job.is_whole and experiment.looks and job.left_failed:
            number = len({entry.trial.seed for entry in job.entries})
            failed = counted(len(job.left_failed), "trial")
            typer.echo(f"the look at {number} seeds is not judged: {failed} failed")
        return False
    if not experiment.looks:
        history.note_complete(experiment, job.folder)
        return False
    seen = present(experiment, job.folder)
    unresolved = history.judged(experiment, job.folder)
    if unresolved is None:
        from segbench.report.analyse import judge_look

        look = judge_look(experiment, len(seen.seeds))
        unresolved = len(look.unresolved)
        typer.echo(_said(experiment, look))
        history.note_complete(seen, job.folder, unresolved=unresolved)
        return bool(unresolved) and len(seen.seeds) < len(experiment.seeds)
    return False


def _said(experiment: Experiment, look: Look) -> str:
    number = experiment.looks.index(look.num_seeds) + 1
    spent = f"{counted(look.num_seeds, 'seed')}, alpha {look.alpha:.3g}"
    parts = [f"{name} {word}" for name, word in look.resolved.items()]
    resolved = f"resolved: {'; '.join(parts) or 'nothing'}"
    if look.is_resolved:
        end = "no more seeds are needed"
    elif look.num_seeds == len(experiment.seeds):
        end = f"unresolved: {'; '.join(look.unresolved)}; this was the last look"
    else:
        end = f"unresolved: {'; '.join(look.unresolved)}; on to {experiment.looks[number]} seeds"
    return f"look {number} of {len(experiment.looks)} ({spent}): {resolved}. {end[0].upper()}{end[1:]}."


# `segbench sweep --launcher`: which workers it starts.


def _launchers() -> list[str]:
    from segbench.sweep.launchers import find_launchers

    return list(find_launchers())


LauncherOption = Annotated[
    str,
    typer.Option(
        "--launcher",
        metavar="NAME",
        help="What starts workers: local (processes here), slurm (jobs of Slurm), or another package's.",
        autocompletion=_launchers,
    ),
]

SlurmOption = Annotated[
    list[str] | None,
    typer.Option(
        "--slurm",
        metavar="KEY=VALUE",
        help="Lay a key over the file's block `slurm`, such as time=2:00:00. May be repeated.",
        show_default=False,
    ),
]


def find_launcher(name: str, slurm: Sequence[str] | None, given: Mapping[str, object]) -> type[Launcher]:
    """Return the launcher of a name, and refuse options that do not go with it.

    Args:
        name: What `--launcher` holds.
        slurm: What `--slurm` holds.
        given: Options that a launcher may ignore -> value; None where one was not given.

    Raises:
        ExperimentError: There is no such launcher, or an option does not go with it.
    """
    from segbench.errors import ExperimentError, message
    from segbench.sweep.launchers import read_launcher

    launcher = read_launcher(name)
    rule, see = f"it does not go with --launcher {name}", launcher.why_ignored
    ignored = [option for option in launcher.ignores if given.get(option) is not None]
    problems = [message(option, rule, see=see) for option in ignored]
    if slurm and name != "slurm":
        problems.append(message("--slurm", "it goes with --launcher slurm"))
    if problems:
        raise ExperimentError(problems)
    return launcher


def _say_where(launcher: Launcher) -> None:
    for line in launcher.describe():
        typer.echo(line)


# What `segbench sweep` prints before and after it trains.


def announce(job: Job) -> None:
    """Print what there is to do."""
    experiment = job.experiment
    if experiment.overrides:
        changed = ", ".join(f"{key}={value}" for key, value in experiment.overrides.items())
        typer.echo(f"--set {changed}: these are other trials than those of the file")
    typer.echo(f"{experiment.name}: {job.study.size(job)}")
    typer.echo(f"in {job.folder.root}")


def end(job: Job, *, is_new: bool) -> None:
    """Print how the sweep ended.

    Raises:
        ResultsError: Trials could not be run, because of what lies on the disk.
        TrialError: Trials failed.
    """
    from segbench.errors import ResultsError, TrialError, message

    num_failed = summarise(job, is_new=is_new)
    if job.to_run:
        name = job.experiment.name
        damaged = [entry.problem for entry in job.to_run if entry.problem is not None]
        rule = f"{counted(len(job.to_run), 'trial')} could not be run"
        see = f"The reasons are above and in {job.folder.log}; then run the same command again"
        raise ResultsError("\n".join([*damaged, message(name, rule, see=see)]))
    if num_failed:
        name = job.experiment.name
        raise TrialError(
            message(
                name,
                f"{counted(num_failed, 'trial')} failed",
                see=f"Each log.txt says why; `segbench sweep {name} --retry failed` runs them again",
            )
        )


def summarise(job: Job, *, is_new: bool) -> int:
    """Print the table of cells and what to do next; return how many trials failed."""
    experiment = job.experiment
    states = job.count_states()
    num_failed = states.get("failed", 0)
    shown = ", ".join(f"{count} {state}" for state, count in states.items())
    if not job.is_over:
        typer.echo(f"so far: {shown}.")
    elif num_failed:
        typer.echo(f"nothing is left to run: {shown}.")
    else:
        typer.echo(f"finished: {shown}." if is_new else f"{experiment.name} is finished: {shown}.")
    for line in job.study.table(job):
        typer.echo(line)
    typer.echo(f"segbench report {experiment.name}")
    return num_failed


# `segbench sweep`: train what an experiment lacks.


class Retry(StrEnum):
    """What `--retry` takes."""

    FAILED = "failed"


def sweep(
    experiment: ExperimentArgument,
    scale: ScaleOption = None,
    set_: SetOption = None,
    only: OnlyOption = None,
    seeds: SeedsOption = None,
    smoke: SmokeOption = False,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    trials_per_gpu: TrialsPerGpuOption = None,
    threads: ThreadsOption = None,
    loader_workers: LoaderWorkersOption = None,
    launcher: LauncherOption = "local",
    slurm: SlurmOption = None,
    retry: Annotated[
        Retry | None, typer.Option("--retry", help="Run failed trials again too.", show_default=False)
    ] = None,
    max_failures: Annotated[
        int | None,
        typer.Option("--max-failures", min=1, help="Stop after so many failed trials.", show_default=False),
    ] = None,
    time_limit: TimeLimitOption = None,
    hang_timeout: HangTimeoutOption = None,
    notify: NotifyOption = None,
    detach: DetachOption = False,
    storage: StorageOption = None,
    log: LogOption = None,
    no_study: Annotated[bool, typer.Option("--no-study", help="Write nothing for the dashboard.")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Read all files of finished trials; run those again that are damaged."),
    ] = False,
    supersede: Annotated[
        bool,
        typer.Option(
            "--supersede",
            help="Go on where a changed file leaves finished trials behind: they are kept, unreported.",
        ),
    ] = False,
    as_: AsOption = None,
    strict: StrictOption = False,
    project: ProjectOption = None,
) -> None:
    """Train the trials that have no record yet.

    Run it again after an interruption, with more seeds or with more levels: only what is missing is trained.
    Where the file plans looks, the claims are judged at each, and more seeds follow while some are open.
    """
    from segbench.cli.printing import check_changes
    from segbench.config.load import load_experiment
    from segbench.dashboard.address import find_address
    from segbench.dashboard.mirror import check_storage
    from segbench.sweep import launch
    from segbench.sweep.launchers import Request
    from segbench.sweep.loggers import check_installed, logging
    from segbench.sweep.process import notifying, only_supervisor, tidy_up
    from segbench.sweep.studies import study_of
    from segbench.trial.limits import Deadline, parse_duration

    check_installed(log or (), "--log")
    deadline = None if time_limit is None else Deadline(parse_duration(time_limit))
    hang_timeout_s = None if hang_timeout is None else parse_duration(hang_timeout, "--hang-timeout")
    heeded_by_some = {"--workers": workers, "--time-limit": time_limit, "--trials-per-gpu": trials_per_gpu}
    kind = find_launcher(launcher, slurm, heeded_by_some)
    loaded = load_experiment(
        experiment, scale=scale, overrides=set_ or (), slurm=slurm or (), smoke=smoke, start=project, name=as_
    )
    study = study_of(loaded)
    job = study.job(only=only, seeds=seeds, retries_failed=retry is not None)
    if verify:
        with only_supervisor(job.folder, say=typer.echo):
            for line in launch.reopen_damaged(job):
                typer.echo(f"damaged  {line}", err=True)
        job = study.job(only=only, seeds=seeds, retries_failed=retry is not None)
    check_changes(job.design, may_supersede=supersede or smoke)
    announce(job)
    address = None if no_study else find_address(storage, loaded.project.results)
    if address is not None:
        check_storage(loaded, job.folder, address)
    while job.is_over:
        tidy_up(job.folder)
        launch.write_document(loaded, job.folder)
        launch.describe_test_images(loaded, job.folder, is_new=False)
        is_more = needs_more(job)
        launch.write_index(loaded)
        if not is_more:
            if address is not None and address.is_named:
                launch.mirror_only(job, address)
            with logging(log or (), job.folder, typer.echo):
                pass  # one look: what is finished is written
            end(job, is_new=False)
            return
        job = study.job(retries_failed=retry is not None)
        announce(job)
    request = Request(
        experiment=loaded,
        folder=job.folder,
        num_trials=job.study.most_at_once(job),
        workers=workers,
        device=device,
        trials_per_gpu=trials_per_gpu,
        threads=threads,
        loader_workers=loader_workers,
        deadline=deadline,
        hang_timeout_s=hang_timeout_s,
    )
    opened = kind.open(request)
    _say_where(opened)
    if trials_per_gpu is not None:
        _check_memory(job, opened.slots, trials_per_gpu)
    _heed(job, is_strict=strict)
    if detach:
        _detach(job, deadline)
        return
    how = _How(opened, request, max_failures, address)
    with (
        notifying(notify, job.folder, lambda problem: typer.echo(problem, err=True)),
        logging(log or (), job.folder, lambda problem: typer.echo(problem, err=True)),
    ):
        _carry_out(job, how, only=only, seeds=seeds)


@dataclass(frozen=True)
class _How:
    """What a sweep runs on, and for how long."""

    launcher: Launcher
    request: Request
    """What the launcher was asked for."""
    max_failures: int | None
    storage: StorageAddress | None
    """Where the dashboard's study is written; None: nowhere."""


def _carry_out(job: Job, how: _How, *, only: list[str] | None, seeds: str | None) -> None:
    """Run what is left and print how it ended.

    Raises:
        Interrupted: It was asked to stop.
        TrialError: Trials failed.
    """
    from segbench.errors import Interrupted
    from segbench.sweep import launch
    from segbench.sweep.process import only_supervisor
    from segbench.trial.limits import StopRequest

    loaded, study = job.experiment, job.study
    stop = StopRequest()
    stop.install()  # one for all looks: a request between two of them counts
    with only_supervisor(job.folder, say=typer.echo) as claim:
        launch.write_document(loaded, job.folder)
        while True:
            for record in launch.copy_reused(job):
                typer.echo(
                    f"reused   {', '.join(record.levels.values())}, seed {record.seed}: {record.reused_from}"
                )
            launch.reset_failed(job)
            launch.describe_test_images(loaded, job.folder, is_new=True)
            _run(job, how, claim, stop)
            after = study.job(only=only, seeds=seeds)
            is_more = after.is_over and needs_more(after)
            launch.write_index(loaded)
            if is_more:
                after = study.job()
            if stop() or not is_more:
                break
            job = after
            announce(job)
            launcher = how.launcher.renewed(replace(how.request, num_trials=job.study.most_at_once(job)))
            if launcher is not how.launcher:
                _say_where(launcher)
                how = replace(how, launcher=launcher)
    if stop() and not after.is_over:
        summarise(after, is_new=True)
        raise Interrupted(f"{loaded.name}: stopped; the same command goes on from here.")
    end(after, is_new=True)


def _detach(job: Job, deadline: Deadline | None) -> None:
    """Let the same command go on in a session of its own, and say how to watch and stop it."""
    import sys

    from segbench.sweep.process import detach, without_detach

    left_s = None if deadline is None else max(1.0, deadline.left_s())
    pid = detach(without_detach(sys.argv[1:], left_s), job.folder)
    name = job.folder.name
    typer.echo(f"detached: process {pid}")
    typer.echo(f"tail -f {job.folder.sweep_log}    what it prints")
    typer.echo(f"segbench status {name}    where it stands")
    typer.echo(f"segbench stop {name}    lets each running trial finish its epoch, saves and ends it")


def _run(job: Job, how: _How, claim: Lease, stop: StopRequest) -> None:
    """Run the job, until it is done or asked to stop."""
    from rich.console import Console

    from segbench.sweep import launch

    if not job.to_run and job.is_search_over:
        if how.storage is not None:
            launch.mirror_only(job, how.storage)
        return
    launch.run_job(
        job,
        launcher=how.launcher,
        stop=stop,
        console=Console(),
        max_failures=how.max_failures,
        storage=how.storage,
        deadline=how.request.deadline,
        hang_timeout_s=how.request.hang_timeout_s,
        claim=claim,
    )


def _check_memory(job: Job, slots: Sequence[Slot], trials_per_gpu: int) -> None:
    """Refuse more trials per GPU than were measured to fit or to be of use, and say what is not known."""
    from segbench.plan import costs
    from segbench.store.layout import ResultsFolder
    from segbench.trial.picking import shape_of

    configs = [entry.trial.cell.config.to_json() for entry in job.to_run]
    configs += [tuning.cell.config.to_json() for tuning in job.plan.tunings if tuning.num_unplanned]
    peaks = costs.measured_peaks(
        ResultsFolder(job.experiment.project.results), {shape_of(config) for config in configs}
    )
    entries = {slot.name: slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots}
    free = {name: costs.free_memory_mib(entry) for name, entry in entries.items()}
    for note in costs.check_fit(trials_per_gpu, costs.fit(configs, peaks), free):
        typer.echo(note, err=True)
    for name, entry in entries.items():
        model = costs.gpu_name(entry)
        shares = costs.measured_shares(job.experiment.project, configs, model) if model else []
        for note in costs.check_filled(trials_per_gpu, name, shares):
            typer.echo(note, err=True)


def _heed(job: Job, *, is_strict: bool) -> None:
    """Have the guards look, print what they say, and refuse to start where one forbids it.

    Raises:
        ExperimentError: The study itself is at fault.
        ResultsError: What lies on disk is.
    """
    from segbench.cli.printing import file_bar
    from segbench.errors import ExperimentError, ResultsError
    from segbench.guards import refuses
    from segbench.sweep import launch

    with file_bar("images decoded") as on_decoded, file_bar("guards asked", has_lines=False) as on_checked:
        findings = launch.check_job(job, on_decoded=on_decoded, on_checked=on_checked)
    refused = [finding for finding in findings if refuses(finding, is_strict=is_strict)]
    for finding in findings:
        if finding not in refused:
            typer.echo(f"{finding.severity} {finding.code}: {finding.text}", err=True)
    texts = [f"{finding.code} {finding.text}" for finding in refused]
    if any(not finding.is_about_storage for finding in refused):
        raise ExperimentError(texts)
    if refused:
        raise ResultsError("\n".join(texts))
