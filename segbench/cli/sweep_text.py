"""What `segbench sweep` prints before and after it trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from segbench.cli.text import count

if TYPE_CHECKING:
    from segbench.sweep.launch import Job


def announce(job: Job) -> None:
    """Print what there is to do."""
    experiment = job.experiment
    if experiment.overrides:
        changed = ", ".join(f"{key}={value}" for key, value in experiment.overrides.items())
        typer.echo(f"--set {changed}: these are other trials than those of the file")
    if experiment.search is not None:
        from segbench.cli.search_line import describe_search

        typer.echo(f"{experiment.name}: search of {describe_search(experiment.search)}")
    elif experiment.tune is not None:
        from segbench.sweep.tuning import tuning_size

        typer.echo(f"{experiment.name}: {tuning_size(job.plan)}")
    else:
        cells, seeds = {e.trial.cell.label for e in job.entries}, {e.trial.seed for e in job.entries}
        folds = {e.trial.fold for e in job.entries}
        size = f"{count(len(cells), 'cell')} x {count(len(seeds), 'seed')}"
        size += f" x {len(folds)} folds" if len(folds) > 1 else ""
        parts = [f"{len(job.to_run)} to run", f"{job.num_done} done"]
        parts += [f"{len(job.to_reuse)} reused"] if job.to_reuse else []
        parts += [f"{len(job.left_failed)} failed"] if job.left_failed else []
        typer.echo(f"{experiment.name}: {size}, {count(job.num_trials, 'trial')}: {', '.join(parts)}")
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
        rule = f"{count(len(job.to_run), 'trial')} could not be run"
        see = f"The reasons are above and in {job.folder.log}; then run the same command again"
        raise ResultsError("\n".join([*damaged, message(name, rule, see=see)]))
    if num_failed:
        name = job.experiment.name
        raise TrialError(
            message(
                name,
                f"{count(num_failed, 'trial')} failed",
                see=f"Each log.txt says why; `segbench sweep {name} --retry failed` runs them again",
            )
        )


def summarise(job: Job, *, is_new: bool) -> int:
    """Print the table of cells and what to do next; return how many trials failed."""
    from segbench.sweep.summary import cell_table, count_states, proposal_table

    experiment = job.experiment
    states = count_states(job)
    num_failed = states.get("failed", 0)
    shown = ", ".join(f"{count} {state}" for state, count in states.items())
    if not job.is_over:
        typer.echo(f"so far: {shown}.")
    elif num_failed:
        typer.echo(f"nothing is left to run: {shown}.")
    else:
        typer.echo(f"finished: {shown}." if is_new else f"{experiment.name} is finished: {shown}.")
    if experiment.tune is not None:
        from segbench.sweep.tuning import tuning_lines

        for line in tuning_lines(job.plan):
            typer.echo(line)
    for line in proposal_table(job) if experiment.search is not None else cell_table(job):
        typer.echo(line)
    typer.echo(f"segbench report {experiment.name}")
    return num_failed
