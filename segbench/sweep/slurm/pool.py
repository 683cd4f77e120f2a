"""Workers that are jobs of Slurm, as their supervisor sees them."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from segbench.errors import TrialError, message
from segbench.sweep import stopping
from segbench.sweep.events import Event
from segbench.sweep.pool import Exit
from segbench.sweep.provenance import now
from segbench.sweep.slurm.commands import (
    ENDED,
    HOPELESS,
    STARTED,
    Listed,
    SlurmRefuses,
    cancel,
    how_it_ended,
    list_jobs,
)
from segbench.sweep.slurm.jobs import Job, read_jobs, write_jobs
from segbench.sweep.slurm.submission import Submission

SHORTEST_POLL_S: Final = 1.0
LONGEST_POLL_S: Final = 15.0
"""`squeue` is asked ever more rarely while nothing changes."""

RETRY_S: Final = 30.0
MOST_RETRIES: Final = 10
"""A submission that fails in mid-sweep (a controller that restarts) is tried so often, so long apart."""

PATIENCE_S: Final = 10.0
"""A reason to wait that lasts longer than this is told, once."""


@dataclass(frozen=True)
class JobExit(Exit):
    """A job has ended."""

    words: str = ""

    @property
    def cause(self) -> str:
        """`Slurm job 12_3: TIMEOUT (TimeLimit)`."""
        return f"Slurm job {self.job}: {self.words}"


class SlurmPool:
    """Submits one job a slot and follows them by `squeue`; what they do is followed by their files.

    Jobs outlive this process: the next one finds them by `jobs.json`, and by name and folder should that be
    lost.

    Args:
        submission: How jobs are submitted.
        workers: Jobs at a time.
        note: Told what the user should know.
        clock: Seconds that only grow.
        sleep: Waits.
    """

    def __init__(
        self,
        submission: Submission,
        workers: int,
        *,
        note: Callable[[str], None] = lambda text: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._submission, self._workers = submission, workers
        self.note, self._clock, self._sleep = note, clock, sleep
        self._folder = submission.folder
        self._jobs: dict[int, Job] = {}
        """Worker's number -> its job, while it lives."""
        self._wanted: list[int] = []
        """Numbers of workers that were asked for and are not submitted yet."""
        self._ended: list[Job] = []
        self._exits: deque[JobExit] = deque()
        self._count = 0
        self._pause_s, self._poll_at = SHORTEST_POLL_S, clock()
        self._submit_at, self._refusals = clock(), 0
        self._is_stopping = False
        self._told: set[str] = set()
        self._waits_since = clock()
        self._last_log: Path | None = None

    outlives_supervisor = True
    """Jobs go on when the process that submitted them does not."""

    @property
    def size(self) -> int:
        """Jobs at a time."""
        return max(self._workers, len(self._jobs))

    @property
    def num_running(self) -> int:
        return len(self._jobs) + len(self._wanted) + len(self._exits)

    @property
    def log(self) -> Path:
        """Standard error of the job that ended last."""
        return self._last_log or self._folder.slurm

    @property
    def jobs(self) -> list[str]:
        """Ids of the living jobs."""
        return self._living()

    def attach(self) -> None:
        """Take over the living jobs of an earlier supervisor.

        Raises:
            SlurmRefuses: Slurm does not answer.
        """
        listed = self._list()
        known = {job.job: job for job in read_jobs(self._folder)}
        for job, seen in listed.items():
            if seen.state not in ENDED and (job in known or seen.comment == self._submission.comment):
                self._count += 1
                found = known.get(job) or Job(job, submitted=now())
                self._jobs[self._count] = replace(found, state=seen.state, reason=seen.reason)

    def free_slots(self) -> list[int]:
        """Return a number for every job that could be submitted."""
        return list(range(self._workers - len(self._jobs) - len(self._wanted)))

    def start(self, number: int) -> int:
        """Ask for one more job and return the worker's number; those asked for together become one array."""
        self._count += 1
        self._wanted.append(self._count)
        return self._count

    def next(self, timeout_s: float) -> tuple[int, Event | Exit] | None:
        """Return the next job's end; None: none in that time.

        Raises:
            SlurmRefuses: No job lives, and Slurm takes none.
            TrialError: No job runs, and one waits for what Slurm will never give.
        """
        if self._wanted and self._clock() >= self._submit_at:
            self._submit()
        if self._jobs and self._clock() >= self._poll_at:
            self._poll()
        if not self._exits and timeout_s:
            self._sleep(timeout_s)
        if not self._exits:
            return None
        exit_ = self._exits.popleft()
        return exit_.pid, exit_

    def dismiss(self) -> None:
        """Hear that no work is left: jobs that wait are cancelled, those that run see it themselves."""
        self._wanted.clear()
        if any(job.state not in STARTED for job in self._jobs.values()):
            self._cancel(self._living(), "--state=PENDING")
        if self._jobs:
            self._hurry(at_most_s=2 * SHORTEST_POLL_S)

    def signal(self, number: int) -> None:
        """Ask the workers to stop: SIGTERM after their epochs, SIGINT within them; SIGKILL cancels the jobs.

        It is asked by a file, for Slurm sends a signal to every process of a job, those that load images too.
        """
        self._wanted.clear()
        self._is_stopping = True
        if number == signal.SIGKILL:
            self._cancel(self._living())
        else:
            stopping.ask(self._folder, is_now=number == signal.SIGINT)
            self._cancel(self._living(), "--state=PENDING")
        self._hurry()

    def kill(self, pid: int) -> None:
        """Cancel a worker's job."""
        if pid in self._jobs:
            self._cancel([self._jobs[pid].job])

    def _living(self) -> list[str]:
        return [job.job for job in self._jobs.values()]

    def _cancel(self, jobs: list[str], *options: str) -> None:
        try:
            cancel(jobs, *options)
        except SlurmRefuses as error:
            self._tell(str(error))

    def _hurry(self, at_most_s: float = SHORTEST_POLL_S) -> None:
        self._pause_s = SHORTEST_POLL_S
        self._poll_at = min(self._poll_at, self._clock() + at_most_s)

    def _submit(self) -> None:
        try:
            ids = self._submission.submit(len(self._wanted))
        except SlurmRefuses as error:
            self._refusals += 1
            if not self._jobs and (self._refusals > MOST_RETRIES or not self._ended):
                raise
            self._submit_at = self._clock() + RETRY_S
            self._tell(str(error))
            return
        for number, job in zip(self._wanted, ids, strict=True):
            self._jobs[number] = Job(job, submitted=now())
        self._wanted.clear()
        self._refusals = 0
        self.note(f"submitted to Slurm: {shown(ids)}")
        self._waits_since = self._clock()
        self._hurry()
        self._write()

    def _list(self) -> dict[str, Listed]:
        return list_jobs(self._submission.name)

    def _poll(self) -> None:
        self._pause_s = min(LONGEST_POLL_S, 1.5 * self._pause_s)
        self._poll_at = self._clock() + self._pause_s
        try:
            listed = self._list()
        except SlurmRefuses as error:  # a controller that restarts: the jobs go on
            self._tell(str(error))
            return
        has_changed, began = False, []
        for number, job in list(self._jobs.items()):
            # an array that is cancelled before any of its jobs began is one line, without a task's number
            seen = listed.get(job.job) or listed.get(job.job.partition("_")[0])
            if seen is None or seen.state in ENDED:
                self._end(number, job, seen)
                has_changed = True
            elif (job.state, job.reason) != (seen.state, seen.reason):
                began += [job.job] if job.state not in STARTED else []
                job.state, job.reason = seen.state, seen.reason
                has_changed = True
        if has_changed:
            self._hurry()
            self._write()
        if self._is_stopping and began:  # after they were asked, so that they take the request for an old one
            self._cancel(began)
        self._look_at_reasons()

    def _end(self, number: int, job: Job, seen: Listed | None) -> None:
        code, words = how_it_ended(job.job, seen)
        del self._jobs[number]
        job.state, job.reason = seen.state if seen is not None else "UNKNOWN", words
        self._ended.append(job)
        suffix = "_0_log.err"  # submitit's name for what task 0 of a job prints
        self._last_log = self._folder.slurm / f"{job.job}{suffix}"
        self._exits.append(JobExit(number, code, job.job, words))

    def _look_at_reasons(self) -> None:
        """Tell why jobs wait; end where they wait in vain.

        Raises:
            TrialError: No job runs, and one waits for what Slurm will never give.
        """
        waiting = [job for job in self._jobs.values() if job.state not in STARTED]
        hopeless = [job for job in waiting if HOPELESS.fullmatch(job.reason)]
        if hopeless and len(waiting) == len(self._jobs):
            self._cancel(self._living())
            raise TrialError(
                message(
                    "--launcher slurm",
                    f"Slurm will never start job {hopeless[0].job}: {hopeless[0].reason}",
                    see="The jobs were cancelled; change the block `slurm:`, or give --slurm KEY=VALUE",
                )
            )
        if self._clock() - self._waits_since < PATIENCE_S:
            return
        for reason in dict.fromkeys(job.reason for job in waiting):
            if reason not in ("None", ""):
                count = sum(job.reason == reason for job in waiting)
                self._tell(f"{reason}: {count} of {len(self._jobs)} jobs wait", key=reason)

    def _tell(self, text: str, key: str | None = None) -> None:
        """Say something once."""
        if (key or text) not in self._told:
            self._told.add(key or text)
            self.note(f"Slurm: {text}")

    def _write(self) -> None:
        write_jobs(self._folder, [*self._ended, *self._jobs.values()])


def open_pool(submission: Submission, workers: int) -> SlurmPool:
    """Return a pool with the jobs that live already; room for more only where Slurm would take them.

    Raises:
        ExperimentError: Slurm is missing or refuses; its own words are in the text.
        SlurmRefuses: It does not answer.
    """
    submission.check_tools()
    pool = SlurmPool(submission, workers)
    pool.attach()
    if pool.num_running < workers:
        submission.check(workers - pool.num_running)
    return pool


def shown(ids: list[str]) -> str:
    """Write ids as people do: `12_0 ... 12_7`."""
    return ids[0] if len(ids) == 1 else f"{ids[0]} ... {ids[-1]} ({len(ids)} jobs)"
