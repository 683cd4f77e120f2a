"""A sweep as a process: one supervisor per experiment, in or without a terminal, and how it is asked to
stop.

On one machine the kernel's lock decides who supervises: it is freed when its holder dies, whatever the
cause. Between hosts a claim with a heartbeat decides (`store/lease.py`), since few network file systems
carry the lock from host to host. A detached sweep is the same command again, in a session of its own. A
request to stop is a file, which reaches every host; on the same host a signal makes it quick.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import segbench
from segbench.errors import Interrupted, ResultsError, TrialError, message
from segbench.records import State, TrialRecord
from segbench.store import trials
from segbench.store.atomic import write_errors, write_text
from segbench.store.layout import ExperimentFolder
from segbench.store.lease import (
    STALE_AFTER_S,
    Claimed,
    Holder,
    Lease,
    holder,
    is_leased,
    place,
    process_start,
)
from segbench.store.leftovers import is_untidy, tidy
from segbench.trial.limits import StopRequest
from segbench.trial.provenance import now

_LOOK_S = 1.0


@contextmanager
def only_supervisor(
    folder: ExperimentFolder,
    *,
    say: Callable[[str], None] = lambda text: None,
    stale_after_s: float = STALE_AFTER_S,
) -> Iterator[Lease]:
    """Hold an experiment's lock and claim: one supervisor at a time.

    What killed processes have left is removed when it is taken, and before it is given back. A claim of
    another host that gives no sign of life is watched for `stale_after_s` and then taken over.

    Args:
        folder: The experiment's.
        say: Told that another host's claim is being watched.
        stale_after_s: How long a claim must stand still.

    Raises:
        ResultsError: Another sweep of the experiment is running, or the folder is not writable.
    """
    with write_errors(folder.lock):
        folder.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder.lock, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _refused(folder, os.pread(descriptor, 32, 0).decode().strip() or "?") from None
        except OSError:
            pass  # the file system has no locks: the claim alone decides
        with _claim(folder, say, stale_after_s) as lease:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            tidy(folder)
            yield lease
            tidy(folder)
    finally:
        os.close(descriptor)


def tidy_up(folder: ExperimentFolder) -> None:
    """Remove what killed processes have left of a sweep that has nothing to do; leave a running one alone."""
    present = holder(folder.supervisor)
    if is_untidy(folder) and (present is None or present.place == place()):
        with suppress(ResultsError, OSError), only_supervisor(folder):
            folder.queue.unlink(missing_ok=True)


def _claim(folder: ExperimentFolder, say: Callable[[str], None], stale_after_s: float) -> Lease:
    seen: Holder | None = None
    while True:
        lease = Lease.acquire(folder.supervisor, stale_after_s=stale_after_s)
        if lease is not None:
            return lease
        present = holder(folder.supervisor)
        if present is not None and present.token is not None:
            if present.place == place():
                raise _refused(folder, str(present.pid))
            if seen is None:
                say(
                    f"a sweep of {folder.name} was begun on another host; watching for up to "
                    f"{stale_after_s:.0f} s whether it lives"
                )
            elif present != seen:
                raise _refused(folder, f"{present.pid} on another host")
            seen = present
        time.sleep(min(_LOOK_S, stale_after_s / 10))


def _refused(folder: ExperimentFolder, process: str) -> ResultsError:
    return ResultsError(
        message(
            str(folder.root),
            f"a sweep of this experiment is running already, process {process}",
            see=f"`segbench status {folder.name}` shows it, `segbench worker {folder.name}` helps it, "
            f"`segbench stop {folder.name}` ends it",
        )
    )


# A sweep that goes on without its terminal: the same command again, in a session of its own.


_DETACHED_LOOK_S: Final = 0.2
_MOST_S: Final = 600.0
"""The detached process plans once more, with what the guards found before it."""


def without_detach(arguments: Sequence[str], left_s: float | None) -> list[str]:
    """Return a command's arguments as the detached process gets them.

    Args:
        arguments: What was typed after `segbench`.
        left_s: What is left of its time limit; None: it has none.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    limit = [] if left_s is None else ["--time-limit", f"{left_s:.0f}s"]  # the last one counts
    return [*(a for a in arguments[:end] if a != "--detach"), *limit, *arguments[end:]]


def python_path() -> str:
    """Return a `PYTHONPATH` by which another process imports this very segbench, installed or not."""
    package = str(Path(segbench.__file__).parent.parent)
    return os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))


def detach(
    arguments: Sequence[str],
    folder: ExperimentFolder,
    *,
    most_s: float = _MOST_S,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Start `segbench` with these arguments in its own session and return its process id once it has begun.

    Its output goes to `sweep.log` in the experiment's folder. It has begun when it holds the experiment's
    claim, or has ended because nothing was left.

    Raises:
        TrialError: It ended before it began; the text holds what it said.
    """
    folder.root.mkdir(parents=True, exist_ok=True)
    began_at = folder.sweep_log.stat().st_size if folder.sweep_log.exists() else 0
    with folder.sweep_log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "segbench", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": python_path(), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    until = clock() + most_s
    while clock() < until:
        code = process.poll()
        if code == 0:
            return process.pid
        if code is not None:
            said = folder.sweep_log.read_bytes()[began_at:].decode("utf-8", "replace").strip()
            rule = f"the detached sweep ended before it began (exit code {code})"
            raise TrialError(message(str(folder.sweep_log), rule, see=f"It said:\n{said}"))
        present = holder(folder.supervisor)
        if present is not None and present.pid == process.pid:
            return process.pid
        time.sleep(_DETACHED_LOOK_S)
    return process.pid


LOOK_S: Final = 2.0
"""How often supervisors and workers look for a request."""


@dataclass(frozen=True)
class StopAsked:
    """A request to stop."""

    is_now: bool
    """Within the epoch, not at its end."""


class StopFile:
    """`results/<experiment>/stop` as one process sees it: what lay there before is not meant for it."""

    def __init__(self, folder: ExperimentFolder) -> None:
        self._path = folder.stop_request
        self._old = self._read()

    def asked(self) -> StopAsked | None:
        """Return the request that came since, or None."""
        content = self._read()
        if content is None or content == self._old:
            return None
        try:
            return StopAsked(bool(json.loads(content)["now"]))
        except (ValueError, KeyError, TypeError):
            return StopAsked(is_now=False)

    @contextmanager
    def watched(self, stop: StopRequest, every_s: float = LOOK_S) -> Iterator[None]:
        """Pass requests on to a process without a supervisor, from a thread, as long as the block runs."""
        is_over = threading.Event()
        thread = threading.Thread(
            target=self._pass_on, args=(stop, is_over, every_s), name="stop", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _pass_on(self, stop: StopRequest, is_over: threading.Event, every_s: float) -> None:
        while not is_over.is_set():
            asked = self.asked()
            if asked is not None:
                stop.set()
                if asked.is_now:
                    os.kill(os.getpid(), signal.SIGTERM)  # the second request: within the epoch
                    return
            is_over.wait(every_s)

    def _read(self) -> str | None:
        try:
            return self._path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """What became of a request to stop."""

    was_running: bool
    has_ended: bool
    held: tuple[TrialRecord, ...] = ()
    """The trials that were running, as their records stand now."""


def ask(folder: ExperimentFolder, *, is_now: bool) -> None:
    """Leave a request to stop.

    Raises:
        ResultsError: The folder cannot be written.
    """
    content = {"id": secrets.token_hex(8), "now": is_now, "asked": now()}
    write_text(folder.stop_request, json.dumps(content) + "\n")


def stop_sweep(
    folder: ExperimentFolder,
    *,
    is_now: bool = False,
    timeout_s: float | None = None,
    stale_after_s: float = STALE_AFTER_S,
    say: Callable[[str], None] = lambda text: None,
    clock: Callable[[], float] = time.monotonic,
) -> Stopped:
    """Ask whoever works on an experiment to stop, and wait until nobody does.

    Args:
        folder: The experiment's.
        is_now: Whether to stop within the epoch.
        timeout_s: How long to wait; None: as long as it takes.
        stale_after_s: After which a claim without a sign of life counts as given up.
        say: Told what is waited for.
        clock: Seconds that only grow.

    Raises:
        ResultsError: The folder cannot be written.
    """
    held = [trial for trial in folder.trial_folders() if is_leased(trial, stale_after_s=stale_after_s)]
    has_supervisor = is_leased(folder.supervisor, stale_after_s=stale_after_s)
    if not held and not has_supervisor:
        return Stopped(was_running=False, has_ended=True)
    ask(folder, is_now=is_now)
    if has_supervisor:
        _signal(folder)
    who = "its supervisor" if has_supervisor else "workers without a supervisor"
    how = "at once" if is_now else "at the end of the epoch"
    say(f"asked {who} to stop {how}; {len(held)} running")
    until = None if timeout_s is None else clock() + timeout_s
    watched: list[Claimed] = [folder.supervisor, *held]
    while watched := [each for each in watched if is_leased(each, stale_after_s=stale_after_s)]:
        if until is not None and clock() >= until:
            break
        time.sleep(0.2)
    records = tuple(record for trial in held if (record := trials.peek_trial(trial)) is not None)
    return Stopped(was_running=True, has_ended=not watched, held=records)


def saved_line(record: TrialRecord) -> str:
    """Say what is left of a trial that was running."""
    what = ", ".join(record.levels.values()) or "baseline"
    name = f"{what}, seed {record.seed} ({record.hash})"
    if record.state is State.INTERRUPTED:
        return f"{name}: saved after epoch {record.epochs_done}"
    return f"{name}: {record.state}"


def _signal(folder: ExperimentFolder) -> None:
    """Send SIGUSR1 to a supervisor of this very host, if it is the process that made the claim."""
    found = holder(folder.supervisor)
    if found is None or found.pid is None or found.place != place():
        return
    if found.pid_start is not None and process_start(found.pid) == found.pid_start:
        with suppress(OSError):
            os.kill(found.pid, signal.SIGUSR1)


# Telling a command of the user's how a sweep ended: a mail, a chat, a shell line.


MOST_S: Final = 60.0
"""A command that takes longer is killed."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a sweep ended."""

    experiment: str
    state: str
    """`finished`, `stopped`, `failed` (trials failed, or could not be run) or `error`."""
    summary: str
    """One line."""
    folder: str
    trials: Mapping[str, int] = field(default_factory=dict)
    """State -> number of trials."""


@contextmanager
def notifying(command: str | None, folder: ExperimentFolder, say: Callable[[str], None]) -> Iterator[None]:
    """Run a command when the block ends, however it ends; None: run nothing.

    Args:
        command: A line for the shell.
        folder: The experiment's.
        say: Told where the command failed; that is no error of the sweep.
    """
    ended_by: BaseException | None = None
    try:
        yield
    except BaseException as error:
        ended_by = error
        raise
    finally:
        problem = None if command is None else run_command(command, describe(folder, ended_by))
        if problem:
            say(problem)


def describe(folder: ExperimentFolder, error: BaseException | None) -> Ending:
    """Return how a sweep ended, with the states of its trials."""
    from segbench.plan.overview import count_states

    counts = {str(state): number for state, number in count_states(folder).items() if number}
    states = ", ".join(f"{number} {state}" for state, number in counts.items()) or "no trial"
    if error is None:
        state, why = "finished", ""
    elif isinstance(error, Interrupted | KeyboardInterrupt):
        state, why = "stopped", ""
    else:
        state = "failed" if isinstance(error, TrialError) else "error"
        why = ": " + " ".join(str(error).split())
    return Ending(
        experiment=folder.name,
        state=state,
        summary=f"segbench {folder.name} {state}: {states}{why}",
        folder=str(folder.root),
        trials=counts,
    )


def run_command(command: str, ending: Ending, *, most_s: float = MOST_S) -> str | None:
    """Run a command in a shell and return what went wrong, or None.

    It finds the ending in `SEGBENCH_EXPERIMENT`, `SEGBENCH_STATE`, `SEGBENCH_SUMMARY`, `SEGBENCH_FOLDER`, in
    `SEGBENCH_COMPLETE` and its like for each state that trials are in, and as JSON on standard input.
    """
    environment = {
        "SEGBENCH_EXPERIMENT": ending.experiment,
        "SEGBENCH_STATE": ending.state,
        "SEGBENCH_SUMMARY": ending.summary,
        "SEGBENCH_FOLDER": ending.folder,
        **{f"SEGBENCH_{state.upper()}": str(number) for state, number in ending.trials.items()},
    }
    try:
        process = subprocess.Popen(
            command,
            shell=True,
            stdin=subprocess.PIPE,
            env={**os.environ, **environment},
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        return f"--notify: {command!r} could not be run: {error}"
    try:
        with suppress(BrokenPipeError):
            process.communicate(json.dumps(asdict(ending), ensure_ascii=False) + "\n", timeout=most_s)
        code = process.wait(timeout=most_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"--notify: {command!r} was ended after {most_s:.0f} s"
    return None if code == 0 else f"--notify: {command!r} ended with exit code {code}"
