"""One trial: lease, run, persist, accept.

The order of writes makes every moment a good one to be killed at. After an epoch come the weights
(`segbench.store.weights` says in which order), then the row of `epochs.csv`; a resume takes the rows from
`last.pt`. What is said of the test images is computed from saved weights. `trial.json` comes last and accepts
all.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from segbench.config.trial import TrialConfig, variant_digests
from segbench.errors import ResultsError
from segbench.records import EpochRecord, FailureKind, State, TrialRecord
from segbench.store import trials
from segbench.store.atomic import sweep_temporaries
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.store.lease import Lease, LeaseLost
from segbench.store.queue import QueuedTrial
from segbench.sweep.events import (
    EpochFinished,
    EpochProgress,
    Event,
    TrialFinished,
    TrialStarted,
    label_trial,
)
from segbench.sweep.failure import classify, one_line
from segbench.sweep.outcome import write_outcome
from segbench.sweep.provenance import hash_host, name_device, now, read_commit, read_versions, write_diff
from segbench.sweep.triallog import logging_to
from segbench.sweep.warm import WarmData

if TYPE_CHECKING:
    from segbench.config.project import Project
    from segbench.data import PreparedData
    from segbench.engine.protocol import TrainingRun

_PROGRESS_INTERVAL_S: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a trial may use; recorded, and no part of its identity."""

    device: str
    """`cpu` or `cuda`."""
    threads: int
    loader_workers: int = 0


def run_trial(
    trial: QueuedTrial,
    project: Project,
    experiment: ExperimentFolder,
    resources: Resources,
    *,
    on_event: Callable[[Event], None] = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
    warm: WarmData | None = None,
) -> TrialRecord | None:
    """Run a trial to its end, or to the next epoch boundary where it should stop, and leave its record.

    A trial that crashes leaves a record that says so and raises nothing: the sweep goes on.

    Args:
        trial: What to run.
        project: Where its data are.
        experiment: Where its folder is.
        resources: Device and threads.
        on_event: Told what happens, for displays and pruners.
        should_stop: Asked after each epoch; True leaves the trial interrupted, to go on later.
        warm: Data of the trial before.

    Returns:
        The record, or None where somebody else holds the trial.

    Raises:
        ResultsError: The folder holds another identity, or the disk refuses the record.
    """
    folder = experiment.trial(trial.hash)
    lease = Lease.acquire(folder)
    if lease is None:
        return None
    with lease:
        record = trials.open_trial(folder, trial.identity)
        if record is not None and record.state.is_finished:
            return record
        sweep_temporaries(folder.path)
        with logging_to(folder.log) as log:
            attempt = _Attempt(
                trial,
                project,
                folder,
                resources,
                lease,
                log,
                on_event,
                should_stop,
                warm or WarmData(project),
            )
            ended = attempt.run(record or _new_record(trial, experiment))
    on_event(_finished(ended))
    return ended


class _Attempt:
    """One go at a trial, from lease to record."""

    def __init__(
        self,
        trial: QueuedTrial,
        project: Project,
        folder: TrialFolder,
        resources: Resources,
        lease: Lease,
        log: logging.Logger,
        on_event: Callable[[Event], None],
        should_stop: Callable[[], bool],
        warm: WarmData,
    ) -> None:
        self.trial, self.project, self.folder, self.resources = trial, project, folder, resources
        self.lease, self.log, self.on_event, self.should_stop = lease, log, on_event, should_stop
        self.warm = warm
        self.config = TrialConfig.from_json(trial.config)
        self._last_progress_s = 0.0

    def run(self, before: TrialRecord) -> TrialRecord:
        from segbench.engine.divergence import Diverged

        commit = read_commit(self.project.root)
        record = replace(
            before,
            levels=self.trial.levels,
            search=self.trial.search if self.trial.search is not None else before.search,
            state=State.RUNNING,
            failure=None,
            reason=None,
            attempts=before.attempts + 1,
            started=before.started or now(),
            finished=None,
            device=self.resources.device,
            threads=self.resources.threads,
            loader_workers=self.resources.loader_workers,
            device_name=name_device(self.resources.device),
            host=hash_host(),
            commit=commit.sha,
            is_dirty=commit.is_dirty,
            versions=read_versions(),
        )
        self._write(record)
        if commit.is_dirty:
            write_diff(self.project.root, self.folder)
        self.log.info(
            "attempt %d of %s, seed %d, fold %d", record.attempts, self.label, record.seed, record.fold
        )
        run: TrainingRun | None = None
        try:
            self._announce()
            data = self.warm.get(self.config, fold=self.trial.fold, fingerprint=self.trial.data_fingerprint)
            run = self._open_run(data)
            record = replace(record, **_facts(run))
            record = self._train(run, data, record)
        except Diverged as error:
            record = self._ended(record, run, State.DIVERGED, reason=one_line(error))
        except KeyboardInterrupt:
            record = self._ended(record, run, State.INTERRUPTED, reason="stopped within an epoch")
            self._write(record)
            raise
        except LeaseLost:
            raise
        except ResultsError as error:
            self.log.error("%s", error)
            raise
        except Exception as error:
            self.log.exception("the trial failed")
            record = self._ended(record, run, State.FAILED, reason=one_line(error), failure=classify(error))
        finally:
            if run is not None:
                run.close()
        if record.failure is FailureKind.OOM:
            run = None
            _free_memory()
        self._write(record)
        self.folder.stop_request.unlink(missing_ok=True)
        self.log.info("%s%s", record.state, f": {record.reason}" if record.reason else "")
        return record

    @property
    def label(self) -> str:
        return label_trial(self.trial.levels, self.trial.search)

    def _announce(self) -> None:
        self.on_event(
            TrialStarted(
                hash=self.trial.hash,
                label=self.label,
                seed=self.trial.seed,
                fold=self.trial.fold,
                epochs=self.config.epochs,
                epochs_done=trials.count_epochs(self.folder),
                started=now(),
                device=self.resources.device,
            )
        )

    def _open_run(self, data: PreparedData) -> TrainingRun:
        """Make the run, at the epoch where the files leave it."""
        from segbench.engine.protocol import build_run
        from segbench.store import weights

        run = build_run(
            self.config,
            data,
            seed=self.trial.seed,
            device=self.resources.device,
            threads=self.resources.threads,
            loader_workers=self.resources.loader_workers,
            on_step=self._on_step,
        )
        if weights.restore_run(self.folder, run, before_write=self.lease.check):
            self.log.info("going on after epoch %d", len(run.history))
        self.lease.check()
        trials.rewrite_epochs(self.folder, run.history)
        return run

    def _train(self, run: TrainingRun, data: PreparedData, record: TrialRecord) -> TrialRecord:
        for epoch in run:
            self._persist(run, epoch)
            is_over = epoch.epoch >= self.config.epochs
            if not is_over and self.folder.stop_request.exists():
                return self._ended(record, run, State.PRUNED, reason=f"pruned after epoch {epoch.epoch}")
            if not is_over and self.should_stop():
                return self._ended(
                    record, run, State.INTERRUPTED, reason=f"stopped after epoch {epoch.epoch}"
                )
        self.lease.check()
        test = write_outcome(run, data, self.folder)
        return self._ended(replace(record, test=test), run, State.COMPLETE)

    def _persist(self, run: TrainingRun, epoch: EpochRecord) -> None:
        from segbench.store import weights

        weights.save_run(self.folder, run, before_write=self.lease.check)
        self.lease.check()
        trials.append_epoch(self.folder, epoch)
        row = {name: float(trials.format_number(value)) for name, value in epoch.row().items()}
        self.log.info("epoch %d: %s", epoch.epoch, ", ".join(f"{k} {v:.5g}" for k, v in row.items()))
        self.on_event(EpochFinished(hash=self.trial.hash, epoch=epoch.epoch, row=row))

    def _on_step(self, step: int, num_steps: int) -> None:
        at = time.monotonic()
        if at - self._last_progress_s >= _PROGRESS_INTERVAL_S:
            self._last_progress_s = at
            self.on_event(EpochProgress(hash=self.trial.hash, fraction=step / max(1, num_steps)))

    def _ended(
        self,
        record: TrialRecord,
        run: TrainingRun | None,
        state: State,
        *,
        reason: str | None = None,
        failure: FailureKind | None = None,
    ) -> TrialRecord:
        history = run.history if run is not None else []
        selected = run.selected_epoch if run is not None else None
        objective = None
        if selected is not None:
            objective = float(history[selected - 1].row()[self.config.objective.metric])
        return replace(
            record,
            state=state,
            reason=reason,
            failure=failure,
            epochs_done=len(history),
            selected_epoch=selected,
            objective=objective,
            finished=now(),
            train_time_s=sum(e.epoch_time_s for e in history) if history else None,
        )

    def _write(self, record: TrialRecord) -> None:
        self.lease.check()
        trials.write_trial(self.folder, record)


def _facts(run: TrainingRun) -> dict[str, Any]:
    return {
        "parameters": run.parameters,
        "trainable_parameters": run.trainable_parameters,
        "flops": run.flops,
    }


def _free_memory() -> None:
    """Give cached device memory back, so that a smaller trial can run in this process."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _new_record(trial: QueuedTrial, experiment: ExperimentFolder) -> TrialRecord:
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


def _finished(record: TrialRecord) -> TrialFinished:
    return TrialFinished(
        hash=record.hash,
        state=str(record.state),
        failure=str(record.failure) if record.failure else None,
        reason=record.reason,
        objective=record.objective,
        test=dict(record.test),
        commit=record.commit,
    )
