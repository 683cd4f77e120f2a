"""One trial: claim, run, persist, accept.

The order of writes makes every moment a good one to be killed at. After an epoch come the weights
(`segbench.store.weights` says in which order), then the row of `epochs.csv`; a resume takes the rows from
`last.pt`. What is said of the test images is computed from saved weights. `trial.json` comes last and accepts
all.

Before that: why a trial failed (a kind and one line), bounds that refuse a network untrained, and how a trial
goes on when memory has run out.
"""

from __future__ import annotations

import gc
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from segbench.config.experiment import Constraint, Search
from segbench.config.trial import TrialConfig
from segbench.engine.heap import return_freed_memory
from segbench.errors import DataError, ResultsError, is_out_of_memory
from segbench.quantities import QUANTITIES, Kind
from segbench.records import EpochRecord, FailureKind, State, TrialRecord
from segbench.store import trials
from segbench.store.atomic import sweep_temporaries
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.store.lease import Lease, LeaseLost
from segbench.store.queue import QueuedTrial
from segbench.trial.events import EpochFinished, EpochProgress, Event, TrialStarted, label_trial
from segbench.trial.limits import OutOfTime, Pulse, TimeLimit
from segbench.trial.picking import WarmData, shape_of
from segbench.trial.provenance import now, write_diff
from segbench.trial.record import (
    Resources,
    begin,
    check_identity,
    finished_event,
    logging_to,
    new_record,
    write_outcome,
)

if TYPE_CHECKING:
    from segbench.config.project import Project
    from segbench.data import PreparedData
    from segbench.engine.protocol import TrainingRun


_MOST_REASON = 300


def classify(error: BaseException) -> FailureKind:
    """Return the kind of failure an exception stands for."""
    if is_out_of_memory(error):
        return FailureKind.OOM
    return FailureKind.DATA if isinstance(error, DataError) else FailureKind.CODE


def one_line(error: BaseException) -> str:
    """Return the exception as a record's `reason`: the first line of its text, with its type."""
    from segbench.errors import SegbenchError

    text = " ".join(str(error).strip().split("\n")[0].split())
    if not isinstance(error, SegbenchError) or not text:
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return shorten(text)


def shorten(text: str) -> str:
    """Return a reason that fits one line of a status."""
    return text if len(text) <= _MOST_REASON else text[: _MOST_REASON - 3] + "..."


# Bounds on what a network costs: a proposal that breaks one is refused before its first epoch.


LEARNS_FROM_COMPLETE: Final = ("gp", "nsga2", "nsga3")
"""Samplers that learn from complete proposals alone: refused ones would be proposed again and again."""


def limits_of(search: Search) -> tuple[dict[str, Any], ...]:
    """Return the bounds that a worker checks before it trains a proposal; none where the sampler needs it
    trained."""
    if search.sampler in LEARNS_FROM_COMPLETE:
        return ()
    checked = [each for each in search.constraints if QUANTITIES[each.metric].kind is Kind.DETERMINISTIC]
    return tuple({"metric": each.metric, "low": each.low, "high": each.high} for each in checked)


def find_excess(limits: Iterable[Mapping[str, Any]], record: TrialRecord) -> str | None:
    """Say which bound a network breaks; None where it breaks none, or does not tell its cost.

    Args:
        limits: The bounds, as `limits_of` gives them.
        record: With parameters and FLOPs.
    """
    for limit in limits:
        value = getattr(record, limit["metric"])
        if value is None or Constraint(**limit).violation(value) <= 0:
            continue
        ends = [
            f"at {word} {limit[end]:g}" for end, word in (("low", "least"), ("high", "most")) if limit[end]
        ]
        return f"not trained: {value:,} {limit['metric']}, and the search allows {' and '.join(ends)}"
    return None


def is_wrongly_refused(search: Search, record: TrialRecord | None) -> bool:
    """Whether a proposal was refused by a bound that the search no longer has."""
    if record is None or record.state is not State.PRUNED or record.epochs_done:
        return False
    if record.search is None or not record.search.limits:
        return False
    return find_excess(limits_of(search), record) is None


# Out of memory: smaller parts of a batch where that changes nothing, else what would fit.


OpenRun = Callable[[TrialConfig], "TrainingRun"]
"""Makes a run of a configuration, to be looked at and thrown away."""


@dataclass(frozen=True)
class Rung:
    """How a trial goes on after memory has run out."""

    micro_batch: int | None
    """Images at a time from now on; None: it cannot go on."""
    text: str
    """A note for the record, or why it cannot."""
    fitting_batch_size: int | None = None


def step_down(config: TrialConfig, micro_batch: int | None, epochs_done: int, open_run: OpenRun) -> Rung:
    """Decide how a trial that ran out of memory goes on. What it held must be free again.

    Args:
        config: The trial's.
        micro_batch: Images at a time that were too many; None: a whole batch.
        epochs_done: Epochs that stand.
        open_run: Makes a run for trying.
    """
    size = micro_batch or config.batch_size
    why = _try(lambda: _why_whole(open_run(config)))
    if why is None and size > 1:
        half = size // 2
        return Rung(
            half,
            f"out of memory with {size} images at a time: from epoch {epochs_done + 1} on a batch of "
            f"{config.batch_size} went through in parts of {half}, their gradients added up, which equals "
            "the whole batch to rounding only",
        )
    if why is None:
        return Rung(None, "not even one image at a time fits")
    fits = _largest_fitting(config, open_run)
    if fits is None:
        return Rung(None, f"a batch of {size} does not fit, cannot be split ({why}), and no smaller one ran")
    return Rung(
        None,
        f"a batch of {size} does not fit and cannot be split ({why}); one of {fits} fits: with batch_size "
        f"{fits} in the baseline all arms could hold theirs",
        fits,
    )


def free_memory() -> None:
    """Give back what is cached of the device's memory and of the system's."""
    import torch

    from segbench.engine.kept import take

    take(None)
    gc.collect()
    return_freed_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _largest_fitting(config: TrialConfig, open_run: OpenRun) -> int | None:
    """Return the largest of a half, a quarter, ... of the batch with which a step goes through."""
    size = config.batch_size // 2
    while size >= 1:
        if _try(lambda size=size: _step(open_run(replace(config, batch_size=size)))) is None:  # type: ignore[misc]
            return size
        free_memory()
        size //= 2
    return None


def _why_whole(run: Any) -> str | None:
    try:
        ask = getattr(run, "why_whole", None)
        return "its loop is the user's own" if ask is None else ask()
    finally:
        run.close()


def _step(run: Any) -> str | None:
    try:
        run.try_step()
        return None
    finally:
        run.close()


def _try(look: Callable[[], str | None]) -> str | None:
    """Return what a look finds, or why it could not look; what it held is free afterwards."""
    try:
        return look()
    except Exception as error:
        is_memory = classify(error) is FailureKind.OOM
        return "the network itself does not fit" if is_memory else one_line(error)
    finally:
        free_memory()


# The trial itself.


__all__ = ["Resources", "run_trial"]

_PROGRESS_INTERVAL_S: Final = 0.2
_RECENT_EPOCHS: Final = 5
"""By the slowest of them it is judged whether another ends in time."""


def run_trial(
    trial: QueuedTrial,
    project: Project,
    experiment: ExperimentFolder,
    resources: Resources,
    *,
    on_event: Callable[[Event], None] = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
    warm: WarmData | None = None,
    limit: TimeLimit | None = None,
    hang_timeout_s: float | None = None,
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
        limit: A wall-clock bound to stop before.
        hang_timeout_s: Silence after which the trial counts as hanging and its claim goes stale; None: by its
            usual epoch (`watchdog.patience_s`).

    Returns:
        The record, or None where somebody else holds the trial.

    Raises:
        ResultsError: The folder holds another identity, the disk refuses the record, or the code is not that
            of the plan.
    """
    folder = experiment.trial(trial.hash)
    pulse = Pulse(hang_timeout_s)
    lease = Lease.acquire(folder, is_alive=pulse.is_alive)
    if lease is None:
        return None
    with lease:
        record = trials.open_trial(folder, trial.identity)
        if record is not None and record.state.is_finished:
            if record.is_tested or not trial.is_tested:
                return record
            record = replace(record, search=None)  # a tuning trial: it goes on to the test images
        sweep_temporaries(folder.path)
        check_identity(trial)
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
                pulse,
                limit,
            )
            ended = attempt.run(record or new_record(trial, experiment))
    on_event(finished_event(ended))
    return ended


@dataclass(frozen=True)
class _Known:
    """What is left of a run that was closed."""

    history: list[EpochRecord] = field(default_factory=list)
    selected_epoch: int | None = None


@dataclass
class _Attempt:
    """One go at a trial, from lease to record."""

    trial: QueuedTrial
    project: Project
    folder: TrialFolder
    resources: Resources
    lease: Lease
    log: logging.Logger
    on_event: Callable[[Event], None]
    should_stop: Callable[[], bool]
    warm: WarmData
    pulse: Pulse
    limit: TimeLimit | None

    def __post_init__(self) -> None:
        self.config = TrialConfig.from_json(self.trial.config)
        self.label = label_trial(self.trial.levels, self.trial.search)
        self._last_progress_s = 0.0
        self._turn_began_s = time.monotonic()
        self._turns_s: deque[float] = deque(maxlen=_RECENT_EPOCHS)
        self._run: TrainingRun | None = None
        self._known = _Known()

    def run(self, before: TrialRecord) -> TrialRecord:
        from segbench.engine.divergence import Diverged

        record = begin(before, self.trial, self.resources, self.project.root)
        self._write(record)
        if record.is_dirty:
            write_diff(self.project.root, self.folder)
        self.log.info(
            "attempt %d of %s, seed %d, fold %d", record.attempts, self.label, record.seed, record.fold
        )
        try:
            epochs_done, device = trials.count_epochs(self.folder), self.resources.device
            self.on_event(TrialStarted.of(self.trial, epochs_done=epochs_done, started=now(), device=device))
            data = self.warm.get(self.config, fold=self.trial.fold, fingerprint=self.trial.data_fingerprint)
            self.pulse.beat()
            record = self._run_within_memory(data, record)
        except Diverged as error:
            record = self._ended(record, State.DIVERGED, reason=one_line(error))
        except OutOfTime:
            record = self._ended(
                record, State.INTERRUPTED, reason="stopped within an epoch: the time is over"
            )
        except KeyboardInterrupt:
            record = self._ended(record, State.INTERRUPTED, reason="stopped within an epoch")
            self._write(record)
            raise
        except LeaseLost:
            raise
        except ResultsError as error:
            self.log.error("%s", error)
            raise
        except Exception as error:
            self.log.exception("the trial failed")
            record = self._ended(record, State.FAILED, reason=one_line(error), failure=classify(error))
        finally:
            self._close_run()
        self._write(record)
        with suppress(OSError):  # the record is accepted; the next sweep tidies up
            self.folder.stop_request.unlink(missing_ok=True)
        self.log.info("%s%s", record.state, f": {record.reason}" if record.reason else "")
        return record

    def _run_within_memory(self, data: PreparedData, record: TrialRecord) -> TrialRecord:
        """Run the trial; where memory runs out, go on with parts of batches if that changes nothing."""
        while True:
            try:
                self._run = self._open_run(data, record.micro_batch)
                record = replace(
                    record,
                    parameters=self._run.parameters,
                    trainable_parameters=self._run.trainable_parameters,
                    flops=self._run.flops,
                )
                limits = () if self.trial.search is None else self.trial.search.limits
                refusal = find_excess(limits, record)
                if refusal is not None:
                    return self._ended(record, State.PRUNED, reason=refusal)
                return self._train(self._run, data, record)
            except Exception as error:
                if classify(error) is not FailureKind.OOM:
                    raise
                self.log.exception("out of memory")
                said = one_line(error)
            # The handler is left: what the traceback held of the device can be freed.
            self._close_run()
            free_memory()
            rung = step_down(
                self.config, record.micro_batch, len(self._known.history), lambda c: self._build(c, data)
            )
            self.pulse.beat()
            if rung.micro_batch is None:
                reason = shorten(f"{said}; {rung.text}")
                fits = replace(record, fitting_batch_size=rung.fitting_batch_size)
                return self._ended(fits, State.FAILED, reason=reason, failure=FailureKind.OOM)
            self.log.warning("%s", rung.text)
            record = replace(record, micro_batch=rung.micro_batch, notes=(*record.notes, rung.text))
            self._write(record)

    def _build(
        self, config: TrialConfig, data: PreparedData, *, micro_batch: int | None = None
    ) -> TrainingRun:
        from segbench.engine.protocol import build_run

        options = {} if micro_batch is None else {"micro_batch": micro_batch}
        return build_run(
            config,
            data,
            seed=self.trial.seed,
            device=self.resources.device,
            threads=self.resources.threads,
            loader_workers=self.resources.loader_workers,
            on_step=self._on_step,
            **options,
        )

    def _close_run(self) -> None:
        """End the run and let go of its memory; what is known of it stays."""
        if self._run is not None:
            self._known = _Known(list(self._run.history), self._run.selected_epoch)
            self._run.close()
            self._run = None

    def _open_run(self, data: PreparedData, micro_batch: int | None) -> TrainingRun:
        """Make the run, at the epoch where the files leave it."""
        from segbench.store import weights

        run = self._build(self.config, data, micro_batch=micro_batch)
        try:
            if weights.restore_run(self.folder, run, before_write=self.lease.check):
                self.log.info("going on after epoch %d", len(run.history))
        except weights.DamagedWeights as error:
            self.log.warning("%s It was set aside, and the trial starts from its beginning", error)
            run.close()
            self.lease.check()
            weights.set_aside(self.folder)
            run = self._build(self.config, data, micro_batch=micro_batch)
        if hasattr(run, "on_batch"):
            run.on_batch = lambda: self._on_step(1, 1)  # shows that an evaluation goes on
        self.lease.check()
        trials.rewrite_epochs(self.folder, run.history)
        return run

    def _train(self, run: TrainingRun, data: PreparedData, record: TrialRecord) -> TrialRecord:
        for epoch in run:
            self._persist(run, epoch)
            self._end_turn()
            if epoch.epoch >= self.config.epochs:
                continue
            if self.folder.stop_request.exists():
                return self._ended(record, State.PRUNED, reason=f"pruned after epoch {epoch.epoch}")
            if self.should_stop():
                return self._ended(record, State.INTERRUPTED, reason=f"stopped after epoch {epoch.epoch}")
            is_next_last = epoch.epoch == self.config.epochs - 1
            if self.limit is not None and not self.limit.may_go_on(max(self._turns_s), is_last=is_next_last):
                reason = f"stopped after epoch {epoch.epoch}: the next would not end within the time limit"
                return self._ended(record, State.INTERRUPTED, reason=reason)
        self.lease.check()
        test = write_outcome(run, data, self.folder) if self.trial.is_tested else {}
        return self._ended(replace(record, test=test), State.COMPLETE)

    def _end_turn(self) -> None:
        """Note that an epoch is on disk, and the wall time it took, saving included."""
        now_s = time.monotonic()
        turn_s, self._turn_began_s = now_s - self._turn_began_s, now_s
        self.pulse.end_epoch(turn_s)
        if self.limit is not None and not self._turns_s:
            self.limit.note_first(shape_of(self.trial.config), turn_s)
        self._turns_s.append(turn_s)

    def _persist(self, run: TrainingRun, epoch: EpochRecord) -> None:
        from segbench.store import weights

        weights.save_run(self.folder, run, before_write=self.lease.check)
        self.lease.check()
        trials.append_epoch(self.folder, epoch)
        row = {name: float(trials.format_number(value)) for name, value in epoch.row().items()}
        self.log.info("epoch %d: %s", epoch.epoch, ", ".join(f"{k} {v:.5g}" for k, v in row.items()))
        self.on_event(EpochFinished(hash=self.trial.hash, epoch=epoch.epoch, row=row))

    def _on_step(self, step: int, num_steps: int) -> None:
        self.pulse.step()
        if self.limit is not None and self.limit.is_over():
            raise OutOfTime
        at = time.monotonic()
        if at - self._last_progress_s >= _PROGRESS_INTERVAL_S:
            self._last_progress_s = at
            self.on_event(EpochProgress(hash=self.trial.hash, fraction=step / max(1, num_steps)))

    def _ended(
        self,
        record: TrialRecord,
        state: State,
        *,
        reason: str | None = None,
        failure: FailureKind | None = None,
    ) -> TrialRecord:
        if self._run is not None:
            record = replace(record, path=getattr(self._run, "path", None))  # a user's engine may have none
        run = self._run or self._known
        history, selected = run.history, run.selected_epoch
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
