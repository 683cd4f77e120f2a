"""`segbench run`: one trial in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from segbench.cli.options import (
    DeviceOption,
    ExperimentArgument,
    LoaderWorkersOption,
    OnlyOption,
    ProjectOption,
    ScaleOption,
    SeedsOption,
    SetOption,
    SmokeOption,
    ThreadsOption,
)

if TYPE_CHECKING:
    from segbench.config.project import Project
    from segbench.config.trial import TrialConfig
    from segbench.data import PreparedData


def run(
    experiment: ExperimentArgument,
    scale: ScaleOption = None,
    set_: SetOption = None,
    only: OnlyOption = None,
    seeds: SeedsOption = None,
    smoke: SmokeOption = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    loader_workers: LoaderWorkersOption = None,
    project: ProjectOption = None,
) -> None:
    """Train one trial in the foreground.

    In this very process, with its log on the screen: `breakpoint()` works.

    Its record counts like one of a sweep. --only and --seeds name the trial; without --seeds it is the first
    seed.
    """
    import logging
    import os
    import sys

    from segbench.config.load import load_experiment
    from segbench.errors import ExperimentError, Interrupted, ResultsError, TrialError, message
    from segbench.records import State
    from segbench.store.queue import QueuedTrial
    from segbench.sweep import launch
    from segbench.sweep.studies import study_of
    from segbench.trial import devices
    from segbench.trial.limits import StopRequest

    loaded = load_experiment(experiment, scale=scale, overrides=set_ or (), smoke=smoke, start=project)
    study = study_of(loaded)
    if study.why_not_alone is not None:
        see = f"segbench sweep {loaded.name}"
        raise ExperimentError(message(loaded.name, study.why_not_alone, see=see))
    job = study.job(only=only, seeds=seeds, retries_failed=True)
    labels = list(dict.fromkeys(e.trial.cell.label for e in job.entries))
    if len(labels) > 1:
        rule = f"run takes one trial, and {len(labels)} cells are meant"
        raise ExperimentError(message(loaded.name, rule, known=labels, see="Name it by --only AXIS=LEVEL"))
    entry = job.entries[0]
    if entry.state.is_finished:
        typer.echo(f"{entry.trial.cell.label}, seed {entry.trial.seed} is {entry.state}: {entry.folder.path}")
        return
    slot = devices.plan_slots(device, workers=1, threads=threads)[0]
    os.environ.update(slot.environment)  # before torch is imported
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

    from segbench.sweep.worker import settle_process
    from segbench.trial.picking import WarmData
    from segbench.trial.run import Resources, run_trial

    settle_process(slot.threads)
    launch.write_document(loaded, job.folder)
    launch.reset_failed(job)
    stop = StopRequest()
    stop.install()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger("segbench").addHandler(handler)
    loaders = devices.loader_workers(slot.device, slot.threads, loader_workers)
    resources = Resources(device=slot.device, threads=slot.threads, loader_workers=loaders)
    warm = WarmData(loaded.project, _prepare)
    record = run_trial(
        QueuedTrial.of(entry.trial), loaded.project, job.folder, resources, should_stop=stop, warm=warm
    )
    launch.write_index(loaded)
    where = str(entry.folder.path)
    if record is None:
        raise ResultsError(message(where, "another process is training this trial"))
    if record.state is State.INTERRUPTED:
        raise Interrupted(message(where, "stopped", see="The same command goes on from here"))
    if record.state is State.FAILED:
        raise TrialError(message(where, f"the trial failed ({record.failure}): {record.reason}"))
    for name, value in record.test.items():
        typer.echo(f"test_{name} {value:.4f}")
    typer.echo(where)


def _prepare(config: TrialConfig, project: Project, *, fold: int) -> PreparedData:
    """Prepare data, with a bar where images are decoded."""
    from segbench.cli.printing import file_bar
    from segbench.data import prepare

    with file_bar("images decoded") as on_progress:
        return prepare(config, project, fold=fold, on_progress=on_progress)
