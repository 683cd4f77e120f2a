"""Workers: persistent processes that take trials from the queue, one after another.

A `Worker` needs no supervisor. A `Crew` is several of them that help a sweep on another host.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TextIO

from segbench.engine.heap import hold_freed_memory
from segbench.errors import ResultsError
from segbench.records import State
from segbench.store import trials
from segbench.store.layout import ExperimentFolder
from segbench.store.lease import LeaseLost
from segbench.store.queue import Queue
from segbench.sweep.launchers import Exit, Launcher
from segbench.trial.events import Event, TrialFinished, TrialRefused, TrialStarted, write_event
from segbench.trial.limits import OUT_OF_TIME, StopRequest, TimeLimit, Watchdog
from segbench.trial.picking import Picker, WarmData, shape_of
from segbench.trial.run import Resources, run_trial

if TYPE_CHECKING:
    from segbench.config.project import Project


POLL_S: Final = 0.5
"""How often an idle worker looks for new trials, and for claims that have become stale."""


@dataclass
class Worker:
    """Takes trials until none is left that it or anybody else has to do.

    It starts without a supervisor as well: on this host or on any other that shares the results folder.
    """

    project: Project
    experiment: ExperimentFolder
    resources: Resources
    stop: StopRequest
    on_event: Callable[[Event], None] = lambda event: None
    limit: TimeLimit | None = None
    """A wall-clock bound to stop before."""
    hang_timeout_s: float | None = None
    """Silence after which a trial counts as hanging; None: by its usual epoch."""
    is_out_of_time: bool = False
    """Whether it ended because of `limit`."""

    def __post_init__(self) -> None:
        self._warm = WarmData(self.project)
        self._picker = Picker()
        self._queue: Queue | None = None
        self._queue_stamp: tuple[int, int] | None = None

    def work(self) -> int:
        """Run trials until all have ended, or the worker is asked to stop.

        Returns:
            How many trials this worker ended.

        Raises:
            ResultsError: There is no queue.
        """
        count = 0
        while not self.stop():
            queue = self._read_queue()
            if queue is None:  # the sweep has ended and taken its queue away
                break
            ran = self._run_next(queue)
            count += ran
            if self.is_out_of_time or (self.limit is not None and self.limit.is_over()):
                self.is_out_of_time = True
                break
            if not ran and not self.stop():
                if queue.closed and self._picker.is_empty:
                    break
                self.stop.wait(POLL_S)
        return count

    def _run_next(self, queue: Queue) -> bool:
        """Run the first trial that nobody holds; return whether there was one."""
        self._picker.update(queue.trials)
        is_short_of_time = False
        for trial in self._picker.candidates():
            known = trials.peek_trial(self.experiment.trial(trial.hash))
            if known is not None and known.state.has_ended:  # a failed one runs again where a sweep resets it
                self._picker.drop(trial.hash)
                continue
            if self.limit is not None and not self.limit.may_start(shape_of(trial.config)):
                is_short_of_time = True
                continue
            try:
                record = run_trial(
                    trial,
                    self.project,
                    self.experiment,
                    self.resources,
                    on_event=self.on_event,
                    should_stop=self.stop,
                    warm=self._warm,
                    limit=self.limit,
                    hang_timeout_s=self.hang_timeout_s,
                )
            except LeaseLost as error:
                print(error, file=sys.stderr)
                lost = TrialFinished(hash=trial.hash, state=State.INTERRUPTED, reason=str(error))
                self.on_event(lost)
                continue
            except ResultsError as error:
                print(error, file=sys.stderr)
                self._picker.drop(trial.hash)
                self.on_event(TrialRefused(hash=trial.hash, reason=str(error)))
                continue
            if record is not None:
                self._picker.went_on_with(trial)
                if record.state.has_ended:
                    self._picker.drop(trial.hash)
                return True
        self.is_out_of_time = is_short_of_time
        return False

    def _read_queue(self) -> Queue | None:
        try:
            status = self.experiment.queue.stat()
        except FileNotFoundError:
            if self._queue is None:
                Queue.read(self.experiment.queue)  # raises what the user needs to know
            return None
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._queue_stamp:
            self._queue, self._queue_stamp = Queue.read(self.experiment.queue), stamp
        return self._queue


class EventWriter:
    """Writes events to a pipe; a supervisor that is gone is noticed, and does no harm."""

    def __init__(self, pipe: TextIO, stop: StopRequest) -> None:
        self._pipe, self._stop = pipe, stop

    def __call__(self, event: Event) -> None:
        try:
            self._pipe.write(write_event(event) + "\n")
            self._pipe.flush()
        except (OSError, ValueError):
            self._stop.set()


class PlainEvents:
    """Says one line when a trial starts and one when it ends."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._names: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, TrialStarted):
            self._names[event.hash] = f"{event.label}, seed {event.seed}"
            self._say(f"start    {self._names[event.hash]} ({event.hash})")
        elif isinstance(event, TrialFinished):
            reason = f": {event.reason}" if event.reason else ""
            self._say(f"{event.state:<8} {self._names.get(event.hash, event.hash)}{reason}")
        elif isinstance(event, TrialRefused):
            self._say(f"refused  {event.reason}")


def claim_stdout() -> TextIO:
    """Keep standard output for events: whatever users' code prints goes to standard error."""
    sys.stdout.flush()
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return pipe


def settle_process(threads: int) -> None:
    """Make this process one that trains: so many CPU threads in PyTorch, and freed memory is used again."""
    import torch

    torch.set_num_threads(threads)
    hold_freed_memory()


# Several workers that help a sweep, without being its supervisor.


MOST_DEATHS: Final = 3
"""Workers of one crew that die in a row without ending a trial: the crew gives up."""

_LOOK_S: Final = 0.2


@dataclass
class Crew:
    """Keeps the workers of a launcher at work until nothing is left to take.

    It writes neither queue nor records: those are the workers' and the supervisor's.
    """

    launcher: Launcher
    stop: StopRequest
    say: Callable[[str], None]
    watchdog: Watchdog
    is_out_of_time: bool = False
    num_ended: int = 0

    def run(self) -> bool:
        """Work until all workers have ended; return whether they ended as they should."""
        talkers = {worker: PlainEvents(self.say) for worker in self.launcher.start(self.launcher.num_free)}
        deaths, is_stopping = 0, False
        try:
            while self.launcher.num_running:
                if self.stop() and not is_stopping:
                    is_stopping = True
                    self.launcher.signal(signal.SIGTERM)
                said = list(self.launcher.poll(_LOOK_S))
                for hang in self.watchdog.hangs():
                    self.say(f"{hang.hash}: no sign of life for {hang.silent_s:.0f} s; its worker is killed")
                    self.launcher.kill(hang.pid)
                for worker, what in said:
                    if not isinstance(what, Exit):
                        deaths = 0 if isinstance(what, TrialFinished) else deaths
                        self.num_ended += isinstance(what, TrialFinished)
                        self.watchdog.hear(worker, what)
                        talkers[worker](what)
                        continue
                    self.watchdog.forget(worker)
                    self.is_out_of_time |= what.code == OUT_OF_TIME
                    if what.code not in (0, OUT_OF_TIME) and not is_stopping:
                        deaths += 1
                        self.say(f"a worker died ({what.cause})")
                        if deaths < MOST_DEATHS:
                            talkers |= {new: PlainEvents(self.say) for new in self.launcher.start(1)}
        except BaseException:
            self.launcher.signal(signal.SIGTERM)
            self.launcher.signal(signal.SIGINT)
            raise
        return deaths < MOST_DEATHS
