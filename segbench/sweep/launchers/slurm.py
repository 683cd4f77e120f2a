"""Workers as jobs of Slurm: submitted by submitit as arrays, followed by `squeue`.

The parts, in order: Slurm's own commands, with its own words where one fails; `slurm/jobs.json`, which
remembers the jobs for a later sweep; what runs inside a job; the way from the block `slurm:` to an array; the
launcher.
"""

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
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from segbench.store.lease import JOB_VARIABLE
from segbench.store.queue import Queue
from segbench.sweep import process
from segbench.sweep.launchers import Exit, Launcher, Request
from segbench.trial.events import Event
from segbench.trial.provenance import now
from segbench.wording import counted

if TYPE_CHECKING:
    from submitit import SlurmExecutor


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


def slurm_job() -> str | None:
    """Return the Slurm job that this process runs in, as `squeue` writes it, or None."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def max_array_size() -> int | None:
    """Return how many jobs an array may hold; None where Slurm does not say."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", call("scontrol", "show", "config"), re.MULTILINE)
    return int(found[1]) if found else None


# `slurm/jobs.json`: workers that are jobs of Slurm, so that a later sweep finds the living ones again.


def slurm_folder(folder: ExperimentFolder) -> Path:
    """Return where jobs leave their scripts and what they print."""
    return folder.root / "slurm"


def jobs_file(folder: ExperimentFolder) -> Path:
    return slurm_folder(folder) / "jobs.json"


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
        content = json.loads(jobs_file(folder).read_text(encoding="utf-8"))
        return [Job(**{k: v for k, v in job.items() if k in known}) for job in content["jobs"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def write_jobs(folder: ExperimentFolder, jobs: Sequence[Job]) -> None:
    """Replace the file.

    Raises:
        ResultsError: It could not be written.
    """
    slurm_folder(folder).mkdir(parents=True, exist_ok=True)
    content = {"format": RESULTS_FORMAT, "jobs": [asdict(job) for job in jobs]}
    write_text(jobs_file(folder), json.dumps(content, indent=2) + "\n")


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
    if job is not None:
        os.environ[JOB_VARIABLE] = job
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
    def of(cls, request: Request) -> Submission:
        return cls(
            folder=request.folder,
            root=request.experiment.project.root,
            options={**defaults(), **request.experiment.slurm},
            device=request.device,
            threads=request.threads,
            loader_workers=request.loader_workers,
            hang_timeout_s=request.hang_timeout_s,
        )

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
        return arguments + (["--launcher", "slurm"] if self.options["requeue"] else [])

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

        executor = SlurmExecutor(slurm_folder(self.folder))
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


class SlurmLauncher(Launcher):
    """Submits jobs and follows them by `squeue`; what they do is followed by their files.

    Jobs outlive this process: the next one finds them by `jobs.json`, and by name and folder should that be
    lost.

    Args:
        submission: How jobs are submitted.
        workers: Jobs at a time.
        clock: Seconds that only grow.
        sleep: Waits.
    """

    outlives_supervisor = True
    ignores = ("--time-limit", "--trials-per-gpu")
    why_ignored = "The block `slurm` bounds each job by its `time`, and a job trains one trial at a time"

    def __init__(
        self,
        submission: Submission,
        workers: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__()
        self._submission, self._workers = submission, workers
        self._clock, self._sleep = clock, sleep
        self._folder = submission.folder
        self._jobs: dict[int, Job] = {}
        """Worker's number -> its job, while it lives."""
        self._wanted: list[int] = []
        """Numbers of workers that were asked for and are not submitted yet."""
        self._ended: list[Job] = []
        self._exits: deque[Exit] = deque()
        self._count = 0
        self._pause_s, self._poll_at = SHORTEST_POLL_S, clock()
        self._submit_at, self._refusals = clock(), 0
        self._is_stopping = False
        self._told: set[str] = set()
        self._waits_since = clock()
        self._last_log: Path | None = None

    @classmethod
    def open(cls, request: Request) -> SlurmLauncher:
        """Return a launcher with the jobs that live already, if Slurm would take the others.

        Raises:
            ExperimentError: Slurm is missing or refuses; its own words are in the text.
            SlurmRefuses: It does not answer.
        """
        submission = Submission.of(request)
        workers = min(request.workers or submission.options["workers"], request.num_trials)
        submission.check_tools()
        launcher = cls(submission, workers)
        launcher.attach()
        if launcher.num_running < workers:
            submission.check(workers - launcher.num_running)
        return launcher

    @classmethod
    def more_time(cls, folder: ExperimentFolder) -> Callable[[], None]:
        """Return what has Slurm start a job again whose time is up, so that a sweep needs no supervisor.

        It asks only where work is left and the time was of use.
        """
        before = _count_epochs(folder)

        def ask() -> None:
            job = slurm_job()
            if job is None or not folder.queue.exists():
                return
            if _count_epochs(folder) <= before:
                print(
                    f"job {job}: no epoch has ended within its time, so it is not started again", flush=True
                )
                return
            print(f"job {job}: its time is up, Slurm is asked to start it again", flush=True)
            subprocess.run(["scontrol", "requeue", job], check=False)

        return ask

    def renewed(self, request: Request) -> SlurmLauncher:
        return self.open(request)

    def describe(self) -> list[str]:
        partition = self._submission.options["partition"] or "the default partition"
        threads = counted(self._submission.num_threads, "thread")
        lines = [f"on Slurm, {partition}: {counted(self.size, 'worker')} of {threads}"]
        if self._jobs:
            lines.append(f"jobs of an earlier sweep live and are taken over: {shown(self.jobs)}")
        return lines

    @property
    def size(self) -> int:
        return max(self._workers, len(self._jobs))

    @property
    def num_running(self) -> int:
        return len(self._jobs) + len(self._wanted) + len(self._exits)

    @property
    def log(self) -> Path:
        """Standard error of the job that ended last."""
        return self._last_log or slurm_folder(self._folder)

    def attach(self) -> None:
        """Take over the living jobs of an earlier supervisor.

        Raises:
            SlurmRefuses: Slurm does not answer.
        """
        listed = list_jobs(self._submission.name)
        known = {job.job: job for job in read_jobs(self._folder)}
        for job, seen in listed.items():
            if seen.state not in ENDED and (job in known or seen.comment == self._submission.comment):
                self._count += 1
                found = known.get(job) or Job(job, submitted=now())
                self._jobs[self._count] = replace(found, state=seen.state, reason=seen.reason)

    @property
    def jobs(self) -> list[str]:
        """Ids of the living jobs."""
        return [job.job for job in self._jobs.values()]

    @property
    def num_free(self) -> int:
        return self._workers - len(self._jobs) - len(self._wanted)

    def start(self, count: int) -> list[int]:
        """Ask for further jobs; those asked for together become one array."""
        started = range(self._count + 1, self._count + count + 1)
        self._count += count
        self._wanted += started
        return list(started)

    def poll(self, timeout_s: float) -> Iterator[tuple[int, Event | Exit]]:
        """Yield the ends of jobs.

        Raises:
            SlurmRefuses: No job lives, and Slurm takes none.
            TrialError: No job runs, and one waits for what Slurm will never give.
        """
        if self._wanted and self._clock() >= self._submit_at:
            self._submit()
        if self._jobs and self._clock() >= self._poll_at:
            self._look()
        if not self._exits and timeout_s:
            self._sleep(timeout_s)
        while self._exits:
            exit_ = self._exits.popleft()
            yield exit_.worker, exit_

    def dismiss(self) -> None:
        """Cancel the jobs that wait; those that run see it themselves."""
        self._wanted.clear()
        if any(job.state not in STARTED for job in self._jobs.values()):
            self._cancel(self.jobs, "--state=PENDING")
        if self._jobs:
            self._hurry(at_most_s=2 * SHORTEST_POLL_S)

    def signal(self, number: int) -> None:
        """Ask the workers to stop: SIGTERM after their epochs, SIGINT within them; SIGKILL cancels the jobs.

        It is asked by a file, for Slurm sends a signal to every process of a job, those that load images too.
        """
        self._wanted.clear()
        self._is_stopping = True
        if number == signal.SIGKILL:
            self._cancel(self.jobs)
        else:
            process.ask(self._folder, is_now=number == signal.SIGINT)
            self._cancel(self.jobs, "--state=PENDING")
        self._hurry()

    def kill(self, worker: int) -> None:
        if worker in self._jobs:
            self._cancel([self._jobs[worker].job])

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

    def _look(self) -> None:
        self._pause_s = min(LONGEST_POLL_S, 1.5 * self._pause_s)
        self._poll_at = self._clock() + self._pause_s
        try:
            listed = list_jobs(self._submission.name)
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
        self._last_log = slurm_folder(self._folder) / f"{job.job}{suffix}"
        self._exits.append(Exit(number, code, job.job, f"Slurm job {job.job}: {words}"))

    def _look_at_reasons(self) -> None:
        """Tell why jobs wait; end where they wait in vain.

        Raises:
            TrialError: No job runs, and one waits for what Slurm will never give.
        """
        waiting = [job for job in self._jobs.values() if job.state not in STARTED]
        hopeless = [job for job in waiting if HOPELESS.fullmatch(job.reason)]
        if hopeless and len(waiting) == len(self._jobs):
            self._cancel(self.jobs)
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


def shown(ids: list[str]) -> str:
    """Write ids as people do: `12_0 ... 12_7`."""
    return ids[0] if len(ids) == 1 else f"{ids[0]} ... {ids[-1]} ({len(ids)} jobs)"
