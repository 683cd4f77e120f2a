"""What a trial's record says when it begins, and what its end tells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.config.trial import TrialConfig, identity, variant_digests
from segbench.errors import ResultsError, message
from segbench.records import State, TrialRecord
from segbench.store.layout import ExperimentFolder
from segbench.store.queue import QueuedTrial
from segbench.sweep.events import TrialFinished
from segbench.sweep.provenance import hash_host, name_device, now, read_commit, read_versions

if TYPE_CHECKING:
    from segbench.engine.protocol import TrainingRun


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a trial may use; recorded, and no part of its identity."""

    device: str
    """`cpu` or `cuda`."""
    threads: int
    loader_workers: int = 0


def check_identity(trial: QueuedTrial) -> None:
    """Return if this process would compute the trial that was planned.

    Raises:
        ResultsError: A user's variant was edited since, or this segbench is another one than the planner's.
    """
    config = TrialConfig.from_json(trial.config)
    data = trial.data_fingerprint
    if identity(config, seed=trial.seed, fold=trial.fold, data_fingerprint=data) != trial.identity:
        own = ", ".join(variant_digests(config))
        rule = "the code is not that of the plan any more" + (f" (your own: {own})" if own else "")
        see = "Run segbench sweep again: it plans with the code as it is now"
        raise ResultsError(message(f"trial {trial.hash}", rule, see=see))


def new_record(trial: QueuedTrial, experiment: ExperimentFolder) -> TrialRecord:
    """Return the record of a trial that has never run."""
    return TrialRecord(
        hash=trial.hash,
        identity=trial.identity,
        experiment=experiment.name,
        levels=trial.levels,
        config=trial.config,
        config_hash=trial.config_hash,
        seed=trial.seed,
        fold=trial.fold,
        data_fingerprint=trial.data_fingerprint,
        variant_digests=variant_digests(TrialConfig.from_json(trial.config)),
        search=trial.search,
    )


def begin(before: TrialRecord, trial: QueuedTrial, resources: Resources, root: Path) -> TrialRecord:
    """Return the record of one more attempt, by this process.

    Args:
        before: The record so far.
        trial: As it is asked for now.
        resources: What it runs on.
        root: The project's folder, whose commit is recorded.
    """
    commit = read_commit(root)
    return replace(
        before,
        levels=trial.levels,
        search=trial.search if trial.search is not None else before.search,
        state=State.RUNNING,
        failure=None,
        reason=None,
        attempts=before.attempts + 1,
        started=before.started or now(),
        finished=None,
        device=resources.device,
        threads=resources.threads,
        loader_workers=resources.loader_workers,
        fitting_batch_size=None,
        device_name=name_device(resources.device),
        host=hash_host(),
        commit=commit.sha,
        is_dirty=commit.is_dirty,
        versions=read_versions(),
    )


def facts(run: TrainingRun) -> dict[str, Any]:
    """Return what the record says of a network."""
    return {
        "parameters": run.parameters,
        "trainable_parameters": run.trainable_parameters,
        "flops": run.flops,
    }


def path_of(run: TrainingRun) -> dict[str, Any] | None:
    """Return how a run computes; None: a user's engine that does not say."""
    path: dict[str, Any] | None = getattr(run, "path", None)
    return path


def finished_event(record: TrialRecord) -> TrialFinished:
    """Return what the end of a trial tells its supervisor."""
    return TrialFinished(
        hash=record.hash,
        state=str(record.state),
        failure=str(record.failure) if record.failure else None,
        reason=record.reason,
        objective=record.objective,
        test=dict(record.test),
        commit=record.commit,
    )
