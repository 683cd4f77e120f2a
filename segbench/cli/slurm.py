"""`segbench sweep --launcher slurm`: its options, and the jobs it finds or may submit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from segbench.sweep.launch import Job
    from segbench.sweep.slurm.pool import SlurmPool


class Launcher(StrEnum):
    """What `--launcher` takes."""

    LOCAL = "local"
    SLURM = "slurm"


LauncherOption = Annotated[
    Launcher, typer.Option("--launcher", help="Workers are processes here, or jobs of Slurm.")
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


def check_launcher(launcher: Launcher, slurm: Sequence[str] | None, local_only: Mapping[str, object]) -> None:
    """Refuse options that do not go with the launcher.

    Args:
        launcher: The one asked for.
        slurm: What `--slurm` holds.
        local_only: Options that jobs of Slurm do not heed -> value; None where one was not given.

    Raises:
        ExperimentError: One was given.
    """
    from segbench.errors import ExperimentError, message

    if launcher is not Launcher.SLURM:
        if slurm:
            raise ExperimentError(message("--slurm", "it goes with --launcher slurm"))
        return
    see = "The block `slurm` bounds each job by its `time`, and a job trains one trial at a time"
    given = [name for name, value in local_only.items() if value is not None]
    if given:
        raise ExperimentError(
            [message(name, "it does not go with --launcher slurm", see=see) for name in given]
        )


def find_jobs(job: Job, *, workers: int | None, num_trials: int, resources: dict[str, Any]) -> SlurmPool:
    """Find the living jobs of an earlier sweep, and ask Slurm whether it would take the others.

    Raises:
        ExperimentError: Slurm is missing or refuses.
    """
    from segbench.sweep.slurm.pool import open_pool, shown
    from segbench.sweep.slurm.submission import Submission

    submission = Submission.of(job.experiment, job.folder, **resources)
    pool = open_pool(submission, min(workers or submission.options["workers"], num_trials))
    partition = submission.options["partition"] or "the default partition"
    size = f"{_count(pool.size, 'worker')} of {_count(submission.num_threads, 'thread')}"
    typer.echo(f"on Slurm, {partition}: {size}")
    if pool.jobs:
        typer.echo(f"jobs of an earlier sweep live and are taken over: {shown(pool.jobs)}")
    return pool


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
