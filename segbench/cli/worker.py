"""`segbench worker`: take trials from a sweep's queue."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli.options import (
    DeviceOption,
    HangTimeoutOption,
    LoaderWorkersOption,
    ProjectOption,
    ThreadsOption,
    TimeLimitOption,
    TrialsPerGpuOption,
)
from segbench.wording import counted

if TYPE_CHECKING:
    from segbench.config.project import Project
    from segbench.store.layout import ExperimentFolder
    from segbench.trial.devices import Slot
    from segbench.trial.events import Event
    from segbench.trial.limits import Deadline, StopRequest


def worker(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="The experiment's name.")],
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            help="Processes; without it one, or one for each GPU that --devices names.",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = "auto",
    trials_per_gpu: TrialsPerGpuOption = None,
    threads: ThreadsOption = None,
    loader_workers: LoaderWorkersOption = None,
    time_limit: TimeLimitOption = None,
    hang_timeout: HangTimeoutOption = None,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
    launcher: Annotated[str | None, typer.Option("--launcher", hidden=True)] = None,
    project: ProjectOption = None,
) -> None:
    """Help a sweep that is running.

    Take its trials one after another, on any host that shares the results folder.
    """
    from pathlib import Path

    from segbench import registry
    from segbench.config.load import results_name
    from segbench.config.project import Project
    from segbench.store.layout import ResultsFolder
    from segbench.sweep.process import StopFile
    from segbench.trial import devices
    from segbench.trial.limits import Deadline, StopRequest, parse_duration

    deadline = Deadline(parse_duration(time_limit)) if time_limit is not None else None
    hang_timeout_s = parse_duration(hang_timeout, "--hang-timeout") if hang_timeout is not None else None
    stop = StopRequest()
    stop.install()
    here = Project.around(project or Path.cwd())
    registry.use_project(here.root)
    folder = ResultsFolder(here.results).experiment(results_name(experiment))
    work = _Work(here, folder, stop, deadline, hang_timeout_s, loader_workers, launcher)
    if supervised:
        work.supervised(device, threads or 1)
        return
    with StopFile(folder).watched(stop):
        if workers is None and trials_per_gpu is None and device in ("auto", "cpu", "cuda"):
            workers = 1
        slots = devices.plan_slots(device, workers=workers, trials_per_gpu=trials_per_gpu, threads=threads)
        if len(slots) == 1:
            work.alone(slots[0])
        else:
            work.together(slots)


@dataclass(frozen=True)
class _Work:
    """What the workers of one command share."""

    project: Project
    folder: ExperimentFolder
    stop: StopRequest
    deadline: Deadline | None
    hang_timeout_s: float | None
    loader_workers: int | None
    launcher: str | None
    """Name of the launcher that is asked for more time when the worker's time is up; None: nobody is."""

    def supervised(self, device: str, threads: int) -> None:
        """Work for a supervisor that listens on the other end of standard output."""
        import faulthandler

        from segbench.errors import Interrupted
        from segbench.sweep.worker import EventWriter, claim_stdout
        from segbench.trial.limits import OUT_OF_TIME

        self.stop.watch_parent()
        on_event = EventWriter(claim_stdout(), self.stop)
        faulthandler.enable()
        ended, is_out_of_time = self._take_trials(device, threads, on_event)
        if self.stop():
            raise Interrupted(_stopped_text(self.folder.name, ended))
        if is_out_of_time:
            raise typer.Exit(OUT_OF_TIME)

    def alone(self, slot: Slot) -> None:
        """Work in this very process."""
        from segbench.sweep.launchers import read_launcher
        from segbench.sweep.worker import PlainEvents

        more_time = read_launcher(self.launcher).more_time(self.folder) if self.launcher else None
        os.environ.update(slot.environment)  # before torch is imported
        ended, is_out_of_time = self._take_trials(slot.device, slot.threads, PlainEvents(typer.echo))
        if more_time is not None and is_out_of_time:
            more_time()
        self._say_end(ended, is_out_of_time=is_out_of_time)

    def together(self, slots: list[Slot]) -> None:
        """Start one process per slot and pass on what they say."""
        from segbench.errors import TrialError, message
        from segbench.store.queue import Queue
        from segbench.sweep.launchers.local import LocalLauncher
        from segbench.sweep.worker import Crew
        from segbench.trial import devices
        from segbench.trial.limits import Watchdog

        Queue.read(self.folder.queue)  # without one this says what to do, before anything starts
        launcher = LocalLauncher(
            self.folder,
            self.project.root,
            slots,
            devices.loader_workers(slots[0].device, slots[0].threads, self.loader_workers),
            deadline=self.deadline,
            hang_timeout_s=self.hang_timeout_s,
        )
        crew = Crew(launcher, self.stop, typer.echo, Watchdog(self.hang_timeout_s))
        is_well = crew.run()
        self._say_end(crew.num_ended, is_out_of_time=crew.is_out_of_time)
        if not is_well:
            rule = "workers die without ending a trial"
            raise TrialError(message("segbench worker", rule, see=f"{launcher.log} has what they said"))

    def _take_trials(self, device: str, threads: int, on_event: Callable[[Event], None]) -> tuple[int, bool]:
        """Return how many trials ended here, and whether the time limit was what ended it."""
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

        from segbench.sweep.worker import Worker, settle_process
        from segbench.trial import devices
        from segbench.trial.limits import TimeLimit
        from segbench.trial.run import Resources

        settle_process(threads)
        loaders = devices.loader_workers(device, threads, self.loader_workers)
        worker = Worker(
            self.project,
            self.folder,
            Resources(device=device, threads=threads, loader_workers=loaders),
            self.stop,
            on_event,
            limit=TimeLimit(self.deadline) if self.deadline is not None else None,
            hang_timeout_s=self.hang_timeout_s,
        )
        return worker.work(), worker.is_out_of_time

    def _say_end(self, ended: int, *, is_out_of_time: bool) -> None:
        from segbench.errors import Interrupted

        name = self.folder.name
        if self.stop() or is_out_of_time:
            raise Interrupted(_stopped_text(name, ended))
        typer.echo(f"{name}: {counted(ended, 'trial')} ended here; nothing is left to take.")


def _stopped_text(name: str, number: int) -> str:
    return f"{name}: the worker was stopped after {counted(number, 'trial')}; what it had is saved."
