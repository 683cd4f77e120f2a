"""One supervisor per experiment, on whatever host; and a sweep that goes on without its terminal.

On one machine the kernel's lock decides: it is freed when its holder dies, whatever the cause. Between hosts
a claim with a heartbeat decides (`store/lease.py`), since few network file systems carry the lock from host
to host. A detached sweep is the same command again, in a session of its own.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import segbench
from segbench.errors import ResultsError, TrialError, message
from segbench.store.atomic import write_errors
from segbench.store.layout import ExperimentFolder
from segbench.store.lease import STALE_AFTER_S, Holder, Lease, holder, place
from segbench.store.leftovers import is_untidy, tidy

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


def detach(
    arguments: Sequence[str],
    folder: ExperimentFolder,
    *,
    most_s: float = _MOST_S,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Start `segbench` with these arguments in its own session and return its process id once it has begun.

    Its output goes to `sweep.log` in the experiment's folder. It has begun when it holds the experiment's
    claim, or has ended in peace because nothing was left.

    Raises:
        TrialError: It ended before it began; the text holds what it said.
    """
    folder.root.mkdir(parents=True, exist_ok=True)
    began_at = folder.sweep_log.stat().st_size if folder.sweep_log.exists() else 0
    package = str(Path(segbench.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    with folder.sweep_log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "segbench", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
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
