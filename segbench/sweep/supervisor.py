"""Follows trials and brings a sweep to its end.

The supervisor writes the queue, has a launcher start workers, hears what they say and decides what follows. A
worker that it did not start tells nothing: one of a cluster's job, a `segbench worker` on another host, one
that an earlier supervisor left behind. The `Follower` turns what the files of such a worker's trial say into
the events that a worker of its own would send.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from segbench.errors import TrialError, message
from segbench.records import FailureKind, State, TrialRecord
from segbench.store import trials
from segbench.store.atomic import write_errors
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.store.lease import Lease, holder, is_leased, place
from segbench.store.queue import Queue, QueuedTrial
from segbench.sweep.display import Display
from segbench.sweep.launchers import Exit, Launcher
from segbench.sweep.process import StopFile
from segbench.trial.events import EpochFinished, Event, TrialFinished, TrialRefused, TrialStarted, label_trial
from segbench.trial.limits import OUT_OF_TIME, RESERVE_S, Deadline, StopRequest, Watchdog
from segbench.trial.provenance import now
from segbench.trial.record import finished_event

if TYPE_CHECKING:
    from segbench.dashboard.mirror import Mirror
    from segbench.sweep.sources import TrialSource


@dataclass
class _Seen:
    """What the last look found."""

    stamp: tuple[int, int] | None = None
    """Of `trial.json`."""
    record: TrialRecord | None = None
    attempt: int | None = None
    """The one that was announced and has not ended; None: nobody has the trial, as far as was told."""
    epochs_size: int = 0
    epochs_told: int = 0


class Follower:
    """Looks at the files of trials and tells what has changed since it last did.

    A trial that waits costs nothing, one that was begun two questions to the file system.
    """

    def __init__(self, folder: ExperimentFolder) -> None:
        self._folder = folder
        self._seen: dict[str, _Seen] = {}

    def look(self, followed: Iterable[QueuedTrial], *, own: Collection[int] = ()) -> Iterator[Event]:
        """Yield what happened, in the order of `followed`; epochs come once, and before a trial's end.

        Args:
            followed: Trials that have not ended as far as the caller knows.
            own: Processes of this host whose trials are left out: they tell of themselves.
        """
        begun = _names(self._folder)
        for trial in followed:
            if trial.hash not in begun:
                continue
            seen = self._seen.setdefault(trial.hash, _Seen())
            yield from self._look_at(trial, self._folder.trial(trial.hash), seen, own)

    def held_by(self, job: str) -> str | None:
        """Return the hash of the trial that a launcher's job left running when it ended, or None."""
        for trial_hash, seen in self._seen.items():
            if seen.record is None or seen.record.state is not State.RUNNING:
                continue
            held = holder(self._folder.trial(trial_hash))
            if held is not None and held.job == job:
                return trial_hash
        return None

    def free(self, trial_hash: str, job: str) -> None:
        """Take away the claim of a job that has ended, so that nobody waits for its heart to beat."""
        folder = self._folder.trial(trial_hash)
        for _ in range(2):  # the first look at a claim is never enough to call it dead
            held = holder(folder)
            if held is None or held.job != job:
                return
            lease = Lease.acquire(folder, stale_after_s=0.0, heartbeat_s=10.0)
            if lease is not None:
                lease.release()

    def _look_at(
        self, trial: QueuedTrial, folder: TrialFolder, seen: _Seen, own: Collection[int]
    ) -> Iterator[Event]:
        stamp = _stamp(folder)
        if stamp != seen.stamp or seen.record is None:
            record = trials.peek_trial(folder)
            if record is None:
                return  # the worker that takes it says what is wrong
            seen.record, seen.stamp = record, stamp
        elif seen.record.state is not State.RUNNING:
            return
        record = seen.record
        if record.state is State.RUNNING:
            yield from self._look_at_running(trial, folder, seen, record, own)
        elif record.state.has_ended:
            yield from _new_epochs(folder, seen)
            seen.attempt = None
            yield replace(finished_event(record), label=_name(trial))
        elif seen.attempt is not None:
            yield from _new_epochs(folder, seen)
            seen.attempt = None
            yield TrialFinished(hash=trial.hash, state=State.INTERRUPTED, reason=record.reason)

    def _look_at_running(
        self,
        trial: QueuedTrial,
        folder: TrialFolder,
        seen: _Seen,
        record: TrialRecord,
        own: Collection[int],
    ) -> Iterator[Event]:
        held = holder(folder)
        if held is not None and held.pid in own and held.place == place():
            return
        if held is None or not is_leased(folder):
            if seen.attempt is not None and _stamp(folder) == seen.stamp:
                yield from _new_epochs(folder, seen)
                seen.attempt = None
                reason = "its worker gives no sign of life"
                yield TrialFinished(hash=trial.hash, state=State.INTERRUPTED, reason=reason)
            return
        if seen.attempt != record.attempts:
            seen.attempt = record.attempts
            yield TrialStarted.of(
                trial,
                epochs_done=trials.count_epochs(folder),
                started=record.started or "",
                device=record.device or "",
            )
        yield from _new_epochs(folder, seen)


def _new_epochs(folder: TrialFolder, seen: _Seen) -> Iterator[EpochFinished]:
    """Yield the rows that were not told; those of earlier attempts too, for whoever lacks them."""
    try:
        size = folder.epochs.stat().st_size
    except OSError:
        return
    rows = trials.read_rows(folder) if size != seen.epochs_size else []
    if rows:
        seen.epochs_size = size
    for row in rows[seen.epochs_told :]:
        seen.epochs_told += 1
        yield EpochFinished(hash=folder.hash, epoch=int(row["epoch"]), row=row)


def _name(trial: QueuedTrial) -> str:
    return f"{label_trial(trial.levels, trial.search)}, seed {trial.seed}"


def _stamp(folder: TrialFolder) -> tuple[int, int] | None:
    try:
        status = folder.record.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def _names(folder: ExperimentFolder) -> frozenset[str]:
    try:
        with os.scandir(folder.trials) as entries:
            return frozenset(entry.name for entry in entries)
    except OSError:
        return frozenset()


MOST_LOSSES: Final = 3
"""A trial whose worker dies this often without an epoch in between is failed(lost)."""

MOST_IDLE_ROUNDS: Final = 3
"""Rounds of workers that end without progress; further ones will not do better."""

_POLL_S: Final = 2.0
_REFRESH_S: Final = 0.2
_PATIENCE_S: Final = 10.0


@dataclass
class _Losses:
    """How often a trial's worker died since its last new epoch."""

    epochs_done: int
    count: int = 0


@dataclass
class Supervisor:
    """Runs the trials of a queue with the workers of a launcher.

    It writes a record only for a trial that it gives up on, so killing it corrupts nothing.
    """

    folder: ExperimentFolder
    source: TrialSource
    launcher: Launcher
    display: Display
    stop: StopRequest
    mirror: Mirror | None = None
    max_failures: int | None = None
    """Failed trials after which the sweep stops; None: it never does."""
    deadline: Deadline | None = None
    """Workers stop before it by themselves; what still runs shortly before it is stopped within the epoch."""
    hang_timeout_s: float | None = None
    """Silence after which a worker is killed; None: by the usual epoch of its trial."""
    claim: Lease | None = None
    """On the experiment; where it is lost, another supervisor has taken over."""
    clock: Callable[[], float] = time.monotonic
    states: dict[str, State] = field(default_factory=dict)
    """Hash -> how the trial ended in this sweep."""

    def __post_init__(self) -> None:
        self._queued = {trial.hash: trial for trial in self.source.open_trials()}
        self._open = set(self._queued)
        self._taken: dict[int, str] = {}
        self._losses: dict[str, _Losses] = {}
        self._follower = Follower(self.folder)
        self._round_of: dict[int, int] = {}
        """Living worker -> how many rounds had ended without progress when it was started."""
        self._idle_rounds = 0
        self._silent: dict[int, float] = {}
        """Worker killed for its silence -> how long that was."""
        self._watchdog = Watchdog(self.hang_timeout_s, self.clock)
        self._requests = StopFile(self.folder)
        self._polled_s = self.clock()
        self._is_stopping = False

    def run(self) -> None:
        """Run until every trial has ended, or until asked to stop and every worker has.

        Raises:
            TrialError: Workers cannot be started.
            ResultsError: The queue cannot be written.
        """
        self._write_queue()
        try:
            while self._has_work() or self.launcher.num_running:
                try:
                    self._step()
                except KeyboardInterrupt:
                    self._stop_now()
                    break
        except BaseException:
            if not self.launcher.outlives_supervisor:
                self._stop_now()
            raise
        if not self._open and not self.stop():
            with write_errors(self.folder.queue):
                self.folder.queue.unlink(missing_ok=True)
                self.folder.stop_request.unlink(missing_ok=True)

    def _step(self) -> None:
        if self.stop() and not self._is_stopping:
            self._is_stopping = True
            self.display.note(
                "stopping: each running trial finishes its epoch and saves; once more stops at once"
            )
            self.launcher.signal(signal.SIGTERM)
        self._heed_time()
        if not self._is_stopping:
            self._extend()
            self._start_workers()
        if not self._has_work():
            self.launcher.dismiss()
        for worker, what in self.launcher.poll(_REFRESH_S):
            self._on_exit(what) if isinstance(what, Exit) else self._on_event(worker, what)
        self._end_hanging()
        if self.clock() - self._polled_s >= _POLL_S:
            self._polled_s = self.clock()
            self._heed_requests()
            self._poll()
        self.display.refresh()

    def _heed_requests(self) -> None:
        """Stop where `segbench stop` asks for it, or where another supervisor has taken over."""
        asked = self._requests.asked()
        if asked is not None and not self.stop():
            self.display.note("asked to stop by `segbench stop`")
            self.stop.set()
        if asked is not None and asked.is_now:
            raise KeyboardInterrupt
        if self.claim is not None and not self.stop() and not self.claim.is_held():
            self.display.note("another supervisor has taken this experiment over: this one stops")
            self.stop.set()

    def _heed_time(self) -> None:
        """Begin nothing more when the time is nearly over, and end what overstays it."""
        if self.deadline is None:
            return
        left_s = self.deadline.left_s()
        if left_s <= RESERVE_S and not self._is_stopping:
            self._wind_down()
        if left_s <= RESERVE_S / 2 and self.launcher.num_running:
            raise KeyboardInterrupt

    def _wind_down(self) -> None:
        """Stop without a signal: each worker judges by its own epochs how long it may go on."""
        self._is_stopping = True
        self.stop.set()
        self.display.note("the time limit is near: nothing more is begun, each running trial stops in time")

    def _end_hanging(self) -> None:
        for hang in self._watchdog.hangs():
            self._silent[hang.pid] = hang.silent_s
            silence = f"no sign of life for {hang.silent_s:.0f} s"
            self.display.note(f"{_name(self._queued[hang.hash])}: {silence}; its worker is killed")
            self.launcher.kill(hang.pid)

    def _has_work(self) -> bool:
        if self._is_stopping:
            return False
        return bool(self._open) or not self.source.is_closed

    def _start_workers(self) -> None:
        count = min(self.launcher.num_free, len(self._open) - self.launcher.num_running)
        if count > 0:
            self._round_of |= dict.fromkeys(self.launcher.start(count), self._idle_rounds)

    def _on_event(self, worker: int, event: Event) -> None:
        self._watchdog.hear(worker, event)
        if isinstance(event, TrialStarted):
            self._taken[worker] = event.hash
            self._idle_rounds = 0
            self._count_progress(event.hash, event.epochs_done)
        elif isinstance(event, EpochFinished):
            self._count_progress(event.hash, event.epoch)
        elif isinstance(event, TrialFinished | TrialRefused):
            self._taken.pop(worker, None)
        self._tell(event)

    def _tell(self, event: Event) -> None:
        """Pass an event on to display, study and source."""
        if isinstance(event, TrialFinished) and not event.state.has_ended:
            self.display.handle(event)
            return
        if isinstance(event, TrialFinished | TrialRefused):
            if event.hash not in self._open:
                return
            self._open.discard(event.hash)
            self.states[event.hash] = event.state if isinstance(event, TrialFinished) else State.FAILED
        if isinstance(event, TrialRefused):
            self.display.note(event.reason)
        self.display.handle(event)
        if self.mirror is not None:
            self.mirror.handle(event)
        self.source.handle(event)
        if self.max_failures is not None and self._num_failed() >= self.max_failures and not self.stop():
            self.display.note(f"{self._num_failed()} trials have failed: the sweep stops (--max-failures)")
            self.stop.set()

    def _num_failed(self) -> int:
        return sum(state is State.FAILED for state in self.states.values())

    def _count_progress(self, trial_hash: str, epochs_done: int) -> bool:
        """Note how far a trial is; return whether it is further than before."""
        seen = self._losses.get(trial_hash)
        if seen is None or epochs_done > seen.epochs_done:
            self._losses[trial_hash] = _Losses(epochs_done)
            return seen is not None
        return False

    def _on_exit(self, exit_: Exit) -> None:
        began = self._round_of.pop(exit_.worker, self._idle_rounds)
        lost = self._taken.pop(exit_.worker, None)
        self._watchdog.forget(exit_.worker)
        if exit_.code == OUT_OF_TIME and not self._is_stopping:
            self._wind_down()
        if self._is_stopping:
            return
        self._poll()
        if lost is None and exit_.job is not None:
            lost = self._follower.held_by(exit_.job)
            if lost is not None:
                self._follower.free(lost, exit_.job)
        if lost is not None and lost in self._open:
            self._on_loss(lost, exit_)
            return
        if exit_.job is not None and exit_.code:
            self.display.note(f"a worker ended ({exit_.cause})")
        if self._open and began == self._idle_rounds:
            self._idle_rounds += 1
        if self._open and exit_.code and not self._is_stopping:
            self._write_queue()  # it may be what the worker could not read
        if self._idle_rounds >= MOST_IDLE_ROUNDS and not self.launcher.num_running:
            raise TrialError(
                message(
                    "segbench worker",
                    f"workers end without progress ({exit_.cause})",
                    see=f"The end of {self.launcher.log}:\n{_tail(self.launcher.log)}",
                )
            )

    def _on_loss(self, trial_hash: str, exit_: Exit) -> None:
        losses = self._losses.setdefault(trial_hash, _Losses(0))
        losses.count += 1
        name = _name(self._queued[trial_hash])
        silent_s = self._silent.pop(exit_.worker, None)
        cause = exit_.cause if silent_s is None else f"{silent_s:.0f} s without a sign of life"
        if losses.count < MOST_LOSSES:
            self.display.view.lose(trial_hash)
            self.display.note(f"a worker died ({cause}); {name} goes on after epoch {losses.epochs_done}")
            return
        reason = f"its worker died {losses.count} times after epoch {losses.epochs_done}, by {cause}"
        self._give_up(trial_hash, reason)

    def _give_up(self, trial_hash: str, reason: str) -> None:
        folder = self.folder.trial(trial_hash)
        lease = Lease.acquire(folder)
        if lease is None:
            return  # another worker has the trial already: it may do better
        with lease:
            record = trials.read_trial(folder)
            lease.check()
            trials.write_trial(
                folder,
                replace(record, state=State.FAILED, failure=FailureKind.LOST, reason=reason, finished=now()),
            )
        self._tell(
            TrialFinished(hash=trial_hash, state=State.FAILED, failure=FailureKind.LOST, reason=reason)
        )

    def _poll(self) -> None:
        """Take what workers of others have done: jobs, other hosts, an earlier supervisor's."""
        taken = set(self._taken.values())
        others = [self._queued[h] for h in self._queued if h in self._open and h not in taken]
        own = self._round_of if self.launcher.has_events else ()
        for event in self._follower.look(others, own=own):
            if isinstance(event, TrialStarted):
                self._count_progress(event.hash, event.epochs_done)
            elif isinstance(event, EpochFinished):
                self._idle_rounds *= not self._count_progress(event.hash, event.epoch)
            elif isinstance(event, TrialFinished) and event.state.has_ended:
                self._idle_rounds = 0
            self._tell(event)

    def _extend(self) -> None:
        if self.source.is_closed:
            return
        added = self.source.advance()
        if not added and not self.source.is_closed:
            return
        for trial in added:
            if trial.hash in self._queued:
                continue
            self._queued[trial.hash] = trial
            if self.mirror is not None:
                self.mirror.add(trial)
            record = trials.peek_trial(self.folder.trial(trial.hash))
            if record is None or not record.state.has_ended:
                self._open.add(trial.hash)
                self.display.view.add_waiting(trial.hash, int(trial.config["epochs"]))
        self._write_queue()

    def _write_queue(self) -> None:
        source = self.source
        queue = Queue(experiment=self.folder.name, trials=tuple(source.trials), closed=source.is_closed)
        queue.write(self.folder.queue)

    def _stop_now(self) -> None:
        """End the workers; what they had saved stays."""
        self._is_stopping = True
        self.launcher.signal(signal.SIGTERM)
        self.launcher.signal(signal.SIGINT)  # the second one: within the epoch
        until = self.clock() + _PATIENCE_S
        while self.launcher.num_running and self.clock() < until:
            for worker, what in self.launcher.poll(_REFRESH_S):
                if not isinstance(what, Exit):
                    self._on_event(worker, what)
        self.launcher.signal(signal.SIGKILL)


def _tail(path: os.PathLike[str], num_lines: int = 12) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return "".join(file.readlines()[-num_lines:]).rstrip()
    except OSError:
        return "(it cannot be read)"
