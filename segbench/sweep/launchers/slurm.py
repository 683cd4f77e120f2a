"""Slurm's own commands, and its own words where one fails."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass, fields, replace
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any, Final

import segbench
from segbench.config.slurm import defaults
from segbench.errors import ExperimentError, Interrupted, SegbenchError, TrialError, message
from segbench.records import RESULTS_FORMAT
from segbench.store.atomic import write_text
from segbench.store.layout import ExperimentFolder
from segbench.store.lease import slurm_job
from segbench.store.queue import Queue
from segbench.sweep import stop
from segbench.sweep.launchers.local import Exit
from segbench.trial.events import Event
from segbench.trial.provenance import now

if TYPE_CHECKING:
    from submitit import SlurmExecutor

    from segbench.config.experiment import Experiment


_TIMEOUT_S: Final = 60.0

_NO_WORD: Final = "it does not say why"

ENDED: Final = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL"),
        *("OUT_OF_MEMORY", "PREEMPTED", "RECONFIG_FAIL", "REVOKED", "TIMEOUT"),
    }
)
"""States after which a job does nothing more; Slurm keeps them for MinJobAge, 300 s unless set otherwise."""

STARTED: Final = frozenset(
    {"COMPLETING", "RESIZING", "RUNNING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED"}
)
"""States of jobs that have a worker."""

HOPELESS: Final = re.compile(
    r"Partition(Config|NodeLimit|TimeLimit)|BadConstraints|Invalid(Account|QOS)|AccountNotAllowed|QOSNotAllowed|.*PerJob.*"
)
"""Reasons for which a job waits and will never start."""


class SlurmRefuses(TrialError):
    """A command of Slurm failed; the text is Slurm's own."""


@dataclass(frozen=True)
class Listed:
    """A job as `squeue` shows it."""

    state: str
    reason: str
    comment: str


def call(*command: str, given: str | None = None) -> str:
    """Run one of Slurm's commands and return what it printed.

    Raises:
        SlurmRefuses: It failed, does not answer, or is not there.
    """
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise SlurmRefuses(f"{command[0]}: there is no such command on this machine") from None
    except subprocess.TimeoutExpired:
        raise SlurmRefuses(f"{command[0]}: no answer within {_TIMEOUT_S:.0f} s") from None
    if done.returncode:
        raise SlurmRefuses(f"{command[0]}: {own_words(done.stderr or done.stdout)}")
    return done.stdout


def own_words(text: str) -> str:
    """Return Slurm's complaint on one line, each part once."""
    lines = [
        re.sub(r"^(sbatch|squeue|scancel|scontrol): (error: )?", "", line.strip())
        for line in text.split("\n")
    ]
    return "; ".join(dict.fromkeys(line for line in lines if line)) or _NO_WORD


def list_jobs(name: str) -> dict[str, Listed]:
    """Return this user's jobs of a name, by id (`12_3` in arrays), also those that ended a moment ago."""
    text = call(
        "squeue", "--me", "--noheader", "--array", "--states=all", f"--name={name}", "--format=%i|%T|%r|%k"
    )
    found = {}
    for line in text.splitlines():
        job, _, rest = line.partition("|")
        state, reason, comment = rest.split("|", 2)
        for each in _expand(job.strip()):
            found[each] = Listed(state, reason, comment.strip())
    return found


def _expand(job: str) -> list[str]:
    """Return the jobs that one line stands for: `12_[0-1,3%2]`, which never began, is 12_0, 12_1 and 12_3."""
    array = re.fullmatch(r"(\d+)_\[([\d,-]+)(?:%\d+)?\]", job)
    if array is None:
        return [job]
    tasks: list[int] = []
    for part in array[2].split(","):
        first, _, last = part.partition("-")
        tasks += range(int(first), int(last or first) + 1)
    return [f"{array[1]}_{task}" for task in tasks]


def how_it_ended(job: str, listed: Listed | None) -> tuple[int, str]:
    """Return an exit code (0: as it should) and Slurm's words for how a job ended."""
    if listed is None:
        return 1, "Slurm knows it no longer"
    if listed.state == "COMPLETED":
        return 0, "COMPLETED"
    try:
        said = re.search(r"ExitCode=(\d+):(\d+)", call("scontrol", "show", "job", "--oneliner", job))
    except SlurmRefuses:
        said = None
    if said is not None and said[1] == str(Interrupted.exit_code):
        return Interrupted.exit_code, "stopped at the end of an epoch"
    words = listed.state
    if listed.reason not in ("None", "NonZeroExitCode", ""):
        words += f" ({listed.reason})"
    if said is not None and said[1] != "0":
        words += f", exit code {said[1]}"
    return int(said[1]) or 1 if said is not None else 1, words


def cancel(jobs: Sequence[str], *options: str) -> None:
    """Cancel or signal jobs; that one has ended meanwhile is no problem.

    Raises:
        SlurmRefuses: Slurm does not answer.
    """
    if not jobs:
        return
    try:
        call("scancel", "--quiet", *options, *jobs)
    except SlurmRefuses as error:
        if not str(error).endswith(_NO_WORD):  # a filter that left no job
            raise


def max_array_size() -> int | None:
    """Return how many jobs an array may hold; None where Slurm does not say."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", call("scontrol", "show", "config"), re.MULTILINE)
    return int(found[1]) if found else None


# `slurm/jobs.json`: workers that are jobs of Slurm, so that a later sweep finds the living ones again.


@dataclass
class Job:
    """A worker that is a job."""

    job: str
    """As `squeue` writes it: `12`, or `12_3` of an array."""
    submitted: str
    """UTC, ISO 8601."""
    state: str = "PENDING"
    """Slurm's word, as last seen."""
    reason: str = ""
    """Why it waits, or how it ended, in Slurm's words."""


def read_jobs(folder: ExperimentFolder) -> list[Job]:
    """Return the jobs in the file; none where it is missing or damaged: `squeue` finds them by their name."""
    known = {f.name for f in fields(Job)}
    try:
        content = json.loads(folder.jobs.read_text(encoding="utf-8"))
        return [Job(**{k: v for k, v in job.items() if k in known}) for job in content["jobs"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def write_jobs(folder: ExperimentFolder, jobs: Sequence[Job]) -> None:
    """Replace the file.

    Raises:
        ResultsError: It could not be written.
    """
    folder.slurm.mkdir(parents=True, exist_ok=True)
    content = {"format": RESULTS_FORMAT, "jobs": [asdict(job) for job in jobs]}
    write_text(folder.jobs, json.dumps(content, indent=2) + "\n")


# What runs inside a job of Slurm: `segbench worker`, with the job's time as its limit.


def become_worker(arguments: Sequence[str], notice_s: int) -> None:
    """Replace this process, which submitit started, by `segbench worker`.

    Slurm could tell of a job's end by a signal, but it would reach every process of the job, those that load
    images too. The worker gets a time limit instead, and judges by its own epochs how long it may go on.

    Args:
        arguments: What follows `segbench worker`.
        notice_s: Kept back from the job's time.
    """
    job = slurm_job()
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    print(f"job {job} on {platform.node()}: CUDA_VISIBLE_DEVICES={gpus}", flush=True)
    left_s = _time_left_s(job)
    limit = [] if left_s is None else ["--time-limit", f"{max(1, left_s - notice_s)}s"]
    os.execv(sys.executable, [sys.executable, "-m", "segbench", "worker", *arguments, *limit])


def _time_left_s(job: str | None) -> int | None:
    """Return how long Slurm lets the job go on; None: without a bound, or it does not say."""
    try:
        said = call("squeue", "--noheader", f"--jobs={job}", "--format=%L").strip()
    except SlurmRefuses as error:
        print(f"job {job}: {error}; its time limit is not known", flush=True)
        return None
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", said)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((24 * days + hours) * 60 + minutes) * 60 + seconds


class MoreTime:
    """Has Slurm start a job again whose time is up, so that a sweep goes on without a supervisor.

    Args:
        folder: The experiment's.
    """

    def __init__(self, folder: ExperimentFolder) -> None:
        self._folder = folder
        self._epochs_before = _count_epochs(folder)

    def ask(self) -> None:
        """Ask, where work is left and the time was of use."""
        job = slurm_job()
        if job is None or not self._folder.queue.exists():
            return
        if _count_epochs(self._folder) <= self._epochs_before:
            print(f"job {job}: no epoch has ended within its time, so it is not started again", flush=True)
            return
        print(f"job {job}: its time is up, Slurm is asked to start it again", flush=True)
        subprocess.run(["scontrol", "requeue", job], check=False)


def _count_epochs(folder: ExperimentFolder) -> int:
    """Return a number that grows with every epoch of the queue's trials: the bytes of their `epochs.csv`."""
    try:
        queued = Queue.read(folder.queue).trials
    except SegbenchError:
        return 0
    total = 0
    for trial in queued:
        try:
            total += folder.trial(trial.hash).epochs.stat().st_size
        except OSError:
            continue
    return total


# From the block `slurm:` to a job array, through submitit.


@dataclass(frozen=True, kw_only=True)
class Submission:
    """How the jobs of an experiment are submitted."""

    folder: ExperimentFolder
    root: Path
    """The project's."""
    options: Mapping[str, Any]
    """The block `slurm:` with every default."""
    device: str = "auto"
    threads: int | None = None
    """None: as many as the job has cores."""
    loader_workers: int | None = None
    hang_timeout_s: float | None = None

    @classmethod
    def of(cls, experiment: Experiment, folder: ExperimentFolder, **resources: Any) -> Submission:
        options = {**defaults(), **experiment.slurm}
        return cls(folder=folder, root=experiment.project.root, options=options, **resources)

    @property
    def name(self) -> str:
        """The jobs' name: with the folder in their comment it tells them from all others."""
        return "segbench:" + re.sub(r"[^\w.-]", "_", self.folder.name)

    @property
    def comment(self) -> str:
        return str(self.folder.root.resolve())

    @property
    def num_threads(self) -> int:
        return int(self.threads or self.options["cpus"])

    @property
    def worker_arguments(self) -> list[str]:
        """What follows `segbench worker`."""
        arguments = [self.folder.name, "--project", str(self.root)]
        arguments += ["--device", self.device] if self.device != "auto" else self._device()
        arguments += ["--threads", str(self.num_threads)]
        if self.loader_workers is not None:
            arguments += ["--loader-workers", str(self.loader_workers)]
        if self.hang_timeout_s is not None:
            arguments += ["--hang-timeout", f"{self.hang_timeout_s:g}s"]
        return arguments + (["--requeue"] if self.options["requeue"] else [])

    def _device(self) -> list[str]:
        """Without GPUs of its own a job must not find those of its neighbours."""
        has_gpus = self.options["gpus"] or "gres" in self.options["extra"]
        return [] if has_gpus else ["--device", "cpu"]

    def parameters(self) -> dict[str, Any]:
        """Return what `SlurmExecutor.update_parameters` takes."""
        options = self.options
        extra = {name.lstrip("-"): value for name, value in options["extra"].items()}
        package = shlex.quote(str(Path(segbench.__file__).parent.parent))
        asked = {
            "job_name": self.name,
            "comment": self.comment,
            "partition": options["partition"],
            "account": options["account"],
            "qos": options["qos"],
            "time": options["time"],
            "cpus_per_task": options["cpus"],
            "gpus_per_node": None if "gres" in extra else options["gpus"] or None,
            "mem": None if options["memory_gib"] is None else f"{round(options['memory_gib'] * 1024)}M",
            "additional_parameters": {
                "signal": "CONT@1",  # in place of submitit's SIGUSR2, which would end the worker
                "requeue" if options["requeue"] else "no-requeue": True,
                **{name: value for name, value in extra.items() if value is not False},
            },
            "setup": [
                f'export PYTHONPATH={package}"${{PYTHONPATH:+:$PYTHONPATH}}"',
                "export NO_ALBUMENTATIONS_UPDATE=1",
                *options["setup"],
            ],
            "srun_args": [f"--cpus-per-task={options['cpus']}"],  # Slurm 22.05 and later: not inherited
            "array_parallelism": 100_000,
            "wckey": None,
        }
        return {
            name: value for name, value in asked.items() if value is not None or name in ("wckey", "time")
        }

    def submit(self, count: int) -> list[str]:
        """Submit so many workers as one array and return their ids.

        Raises:
            SlurmRefuses: With Slurm's words.
        """
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        executor = self._executor()
        try:
            with redirect_stderr(StringIO()):  # submitit prints what it raises
                jobs = executor.map_array(
                    become_worker, [self.worker_arguments] * count, [self.options["notice_s"]] * count
                )
        except (FailedJobError, FailedSubmissionError) as error:
            raise SlurmRefuses(f"sbatch: {own_words(str(error))}") from None
        return [job.job_id for job in jobs]

    def check_tools(self) -> None:
        """Return where Slurm's commands and submitit are there.

        Raises:
            ExperimentError: One is missing.
        """
        missing = [name for name in ("sbatch", "srun", "squeue", "scancel", "scontrol") if not which(name)]
        if missing:
            rule = f"there is no {missing[0]} on this machine"
            see = "Start the sweep where jobs are submitted from, such as a login node"
            raise ExperimentError(message("--launcher slurm", rule, see=see))
        if find_spec("submitit") is None:
            see = "Install it: pip install 'segbench[slurm]'"
            raise ExperimentError(message("--launcher slurm", "submitit is missing", see=see))

    def check(self, workers: int) -> None:
        """Return where Slurm would take an array of so many jobs.

        Raises:
            ExperimentError: It refuses; its own words are in the text.
        """
        try:
            most = max_array_size()
            if most is not None and workers > most:
                rule = f"an array of this cluster holds at most {most} jobs (MaxArraySize)"
                raise ExperimentError(message("slurm: workers", rule, got=workers))
            self._try(self._script(workers))
        except SlurmRefuses as error:
            asked = ", ".join(f"{k} {v}" for k, v in self.options.items() if v not in (None, [], {}))
            rule = f"Slurm refuses, in its own words: {error}"
            raise ExperimentError(message("--launcher slurm", rule, see=f"Asked for: {asked}")) from None

    def _try(self, script: str) -> None:
        """Ask Slurm without leaving a trace; where it says no, ask in earnest.

        `--test-only` also says no to what could start later, once nodes are back that are down now.
        """
        try:
            call("sbatch", "--test-only", given=script)
        except SlurmRefuses:
            job = call("sbatch", "--hold", "--parsable", "--job-name=segbench-asks", given=script)
            cancel([job.strip().partition(";")[0]])

    def _script(self, workers: int) -> str:
        executor = self._executor()
        if workers > 1:
            executor.parameters["map_count"] = workers  # as `map_array` does
        return executor._make_submission_file_text("true", "asks")

    def _executor(self) -> SlurmExecutor:
        from submitit import SlurmExecutor

        executor = SlurmExecutor(self.folder.slurm)
        executor.update_parameters(**self.parameters())
        return executor


# Workers that are jobs of Slurm, as their supervisor sees them.


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
            stop.ask(self._folder, is_now=number == signal.SIGINT)
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
