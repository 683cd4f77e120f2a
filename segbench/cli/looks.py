"""What `segbench sweep` does when the trials that were asked for are complete: notes it, judges a look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from segbench.cli.text import count

if TYPE_CHECKING:
    from segbench.config.experiment import Experiment
    from segbench.report.looks import Look
    from segbench.sweep.launch import Job


def needs_more(job: Job) -> bool:
    """Note that what was asked for is complete, and judge it at a look; return whether the next look follows.

    A part of the design (`--only`, `--seeds`) is never judged, nor is a look some of whose trials failed: to
    run these again afterwards would be one look more.
    """
    from segbench.sweep import ending
    from segbench.sweep.looks import present

    experiment = job.experiment
    if not job.is_whole or experiment.search is not None or not job.plan.is_finished:
        if job.is_whole and experiment.looks and job.left_failed:
            number = len({entry.trial.seed for entry in job.entries})
            failed = count(len(job.left_failed), "trial")
            typer.echo(f"the look at {number} seeds is not judged: {failed} failed")
        return False
    if not experiment.looks:
        ending.note_complete(experiment, job.folder)
        return False
    seen = present(experiment, job.folder)
    unresolved = ending.judged(experiment, job.folder)
    if unresolved is None:
        from segbench.report.looks import judge_look

        look = judge_look(experiment, len(seen.seeds))
        unresolved = len(look.unresolved)
        typer.echo(_said(experiment, look))
        ending.note_complete(seen, job.folder, unresolved=unresolved)
        return bool(unresolved) and len(seen.seeds) < len(experiment.seeds)
    return False


def _said(experiment: Experiment, look: Look) -> str:
    number = experiment.looks.index(look.num_seeds) + 1
    spent = f"{count(look.num_seeds, 'seed')}, alpha {look.alpha:.3g}"
    parts = [f"{name} {word}" for name, word in look.resolved.items()]
    resolved = f"resolved: {'; '.join(parts) or 'nothing'}"
    if look.is_resolved:
        end = "no more seeds are needed"
    elif look.num_seeds == len(experiment.seeds):
        end = f"unresolved: {'; '.join(look.unresolved)}; this was the last look"
    else:
        end = f"unresolved: {'; '.join(look.unresolved)}; on to {experiment.looks[number]} seeds"
    return f"look {number} of {len(experiment.looks)} ({spent}): {resolved}. {end[0].upper()}{end[1:]}."
