"""`segbench worker`: take trials from a sweep's queue."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli.options import ProjectOption
from segbench.cli.resources import DeviceOption, LoaderWorkersOption, ThreadsOption

if TYPE_CHECKING:
    from segbench.sweep.events import Event


def worker(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="The experiment's name.")],
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    loader_workers: LoaderWorkersOption = None,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
    project: ProjectOption = None,
) -> None:
    """Help a sweep that is running.

    Take its trials one after another, on any host that shares the results folder.
    """
    import faulthandler
    from pathlib import Path

    from segbench import registry
    from segbench.config.project import Project
    from segbench.errors import Interrupted
    from segbench.store.layout import ResultsFolder
    from segbench.sweep import devices
    from segbench.sweep.signals import StopRequest

    on_event: Callable[[Event], None]
    stop = StopRequest()
    stop.install()
    if supervised:
        from segbench.sweep.worker import EventWriter, claim_stdout

        stop.watch_parent()
        on_event = EventWriter(claim_stdout(), stop)
        faulthandler.enable()
    here = Project.around(project or Path.cwd())
    registry.use_project(here.root)
    folder = ResultsFolder(here.results).experiment(Path(experiment).stem)
    if not supervised:
        slot = devices.plan_slots(device, workers=1, threads=threads)[0]
        os.environ.update(slot.environment)  # before torch is imported
        device, threads = slot.device, slot.threads
    threads = threads or 1
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

    from segbench.sweep.runner import Resources
    from segbench.sweep.worker import PlainEvents, Worker, settle_threads

    settle_threads(threads)
    if loader_workers is None:
        loader_workers = devices.loader_workers(device, threads)
    resources = Resources(device=device, threads=threads, loader_workers=loader_workers)
    if not supervised:
        on_event = PlainEvents(typer.echo)
    count = Worker(here, folder, resources, stop, on_event).work()
    if stop():
        raise Interrupted(
            f"{folder.name}: the worker was stopped after {count} trials; what it had is saved."
        )
    if not supervised:
        typer.echo(f"{folder.name}: {count} trials ended here; nothing is left to take.")
