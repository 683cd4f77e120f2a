"""Claims on a trial, held by one worker at a time, on any file system that several hosts may share.

A claim is the file `lease.<n>` in the trial's folder; the highest number holds. It is taken by creating the
next number with `O_EXCL`, which has exactly one winner, and removing the lower ones. The holder raises a
counter in its file, through the descriptor it opened, so a holder that was thought dead and wakes up cannot
touch its successor's file. No clock of another host is ever read: an observer calls a claim stale when the
counter has not moved for some seconds of its own monotonic clock, or when the holder's process on this very
host is gone.

A supervisor's claim on its experiment is of the same kind, `supervisor.<n>`.

A holder calls `check` before each write; that, and not the absence of a second worker, is what keeps a record
whole.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol

from segbench.errors import TrialError, message
from segbench.store.atomic import write_errors

STALE_AFTER_S: Final = float(os.environ.get("SEGBENCH_LEASE_S") or 60.0)
"""A claim whose counter stands still for this long may be taken over. `SEGBENCH_LEASE_S` sets it,
on all hosts alike: a holder beats six times in that time."""

JOB_VARIABLE: Final = "SEGBENCH_JOB"
"""Set by a launcher in the environment of a worker: what the launcher calls it."""

_COUNTER_DIGITS: Final = 12

_watched: dict[Path, tuple[str, float]] = {}
"""Lease file -> its content when it last changed, and the monotonic time at which this process saw that."""


class Claimed(Protocol):
    """What can be claimed: a trial's folder, or a whole experiment's for its supervisor."""

    @property
    def path(self) -> Path:
        """The folder that holds the claims."""

    def lease(self, generation: int) -> Path:
        """Return the file of a claim: a stem of its own with the number behind it."""


class LeaseLost(TrialError):
    """Another worker has taken the trial over; what this one computed must not be written."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a claim, as the file tells it; all None while the file is being written."""

    token: str | None = None
    place: str | None = None
    """Hash of the host, its boot and its process namespace: where `pid` means something."""
    pid: int | None = None
    pid_start: str | None = None
    job: str | None = None
    """What the launcher of its worker calls it (`SEGBENCH_JOB`), such as a job's id."""
    counter: int | None = None


class Lease:
    """A claim that this process holds. Use it as a context manager, or call `release`."""

    def __init__(self, folder: Claimed, generation: int, descriptor: int, token: str) -> None:
        self.folder = folder
        self.token = token
        self._generation = generation
        self._descriptor = descriptor
        self._counter = 0
        self._counter_offset = 0
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._heart: threading.Thread | None = None
        self._is_alive: Callable[[], bool] = lambda: True

    @classmethod
    def acquire(
        cls,
        folder: Claimed,
        *,
        stale_after_s: float = STALE_AFTER_S,
        heartbeat_s: float | None = None,
        is_alive: Callable[[], bool] = lambda: True,
    ) -> Lease | None:
        """Take the trial, or return None while somebody else holds it.

        A claim that looks alive must be seen standing still for `stale_after_s` before it is taken over, so a
        caller that waits for it calls again from time to time; each call is quick.

        Args:
            folder: What is claimed; its folder is made if it is missing.
            stale_after_s: How long a counter must stand still.
            heartbeat_s: Time between two beats; None: a sixth of `stale_after_s`.
            is_alive: Asked before each beat: a holder that hangs lets its claim go stale.

        Raises:
            ResultsError: The folder cannot be written.
        """
        with write_errors(folder.lease(0)):
            folder.path.mkdir(parents=True, exist_ok=True)
            present = _generations(folder)
            if present and not _is_stale(folder.lease(present[-1]), stale_after_s):
                return None
            generation = present[-1] + 1 if present else 1
            lease = cls._create(folder, generation)
        if lease is not None:
            lease._is_alive = is_alive
            lease._start(heartbeat_s if heartbeat_s is not None else stale_after_s / 6)
        return lease

    @classmethod
    def _create(cls, folder: Claimed, generation: int) -> Lease | None:
        try:
            descriptor = os.open(folder.lease(generation), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
        except FileExistsError:
            return None
        lease = cls(folder, generation, descriptor, secrets.token_hex(8))
        try:
            lease._write()
            # A caller that slept since it looked may have created a number that was used and removed before.
            if _generations(folder)[-1:] != [generation]:
                lease.release()
                return None
        except BaseException:
            lease.release()
            raise
        for lower in _generations(folder):
            if lower < generation:
                folder.lease(lower).unlink(missing_ok=True)
        return lease

    def is_held(self) -> bool:
        """Whether the claim is still this one's."""
        if self._ended.is_set():
            return False
        return self._is_in_place() and not self.folder.lease(self._generation + 1).exists()

    def check(self) -> None:
        """Return if the claim is still this one's; call it before every write.

        Raises:
            LeaseLost: Somebody else took the trial over, or it was released.
        """
        if not self.is_held():
            raise LeaseLost(
                message(
                    str(self.folder.path),
                    "another worker has taken this trial over; this one gave no sign of life for too long",
                    see="Nothing was written; the other worker's record counts",
                )
            )

    def beat(self) -> None:
        """Raise the counter; the thread started by `acquire` does it."""
        with self._guard:
            if not self._ended.is_set():
                self._counter += 1
                os.pwrite(self._descriptor, self._counter_text(), self._counter_offset)
                os.fsync(self._descriptor)

    def release(self) -> None:
        """Give the trial back; harmless when it was lost or released before."""
        with self._guard:
            if self._ended.is_set():
                return
            self._ended.set()
            with suppress(OSError):  # a disk that has become read-only: the claim goes stale by itself
                if self._is_in_place():
                    self.folder.lease(self._generation).unlink(missing_ok=True)
            os.close(self._descriptor)
        if self._heart is not None and self._heart is not threading.current_thread():
            self._heart.join(timeout=5)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _is_in_place(self) -> bool:
        try:
            ours = os.fstat(self._descriptor)
            present = self.folder.lease(self._generation).stat()
        except OSError:
            return False
        return (ours.st_ino, ours.st_dev) == (present.st_ino, present.st_dev)

    def _start(self, heartbeat_s: float) -> None:
        self._heart = threading.Thread(target=self._run, args=(heartbeat_s,), name="lease", daemon=True)
        self._heart.start()

    def _run(self, heartbeat_s: float) -> None:
        while not self._ended.wait(heartbeat_s):
            if not self._is_alive():
                continue
            with suppress(OSError):  # a network share that hiccups: the next beat may reach it
                self.beat()

    def _write(self) -> None:
        head = {
            "token": self.token,
            "place": place(),
            "pid": os.getpid(),
            "pid_start": process_start(os.getpid()),
            **({"job": job} if (job := os.environ.get(JOB_VARIABLE)) else {}),
        }
        text = json.dumps(head, separators=(",", ":"))[:-1] + ',"counter":"'
        self._counter_offset = len(text)
        os.pwrite(self._descriptor, text.encode() + self._counter_text() + b'"}\n', 0)
        os.fsync(self._descriptor)

    def _counter_text(self) -> bytes:
        return str(self._counter).zfill(_COUNTER_DIGITS).encode()


def holder(folder: Claimed) -> Holder | None:
    """Return who holds the trial; None where nobody does. A holder may be dead (see `is_leased`)."""
    present = _generations(folder)
    content = _read(folder.lease(present[-1])) if present else None
    return None if content is None else _parse(content)


def is_leased(folder: Claimed, *, stale_after_s: float = STALE_AFTER_S) -> bool:
    """Whether somebody holds the trial and, as far as this process can tell by now, is alive."""
    present = _generations(folder)
    return bool(present) and not _is_stale(folder.lease(present[-1]), stale_after_s)


@functools.cache
def place() -> str:
    """Hash what must agree for two processes to see each other by number: host, boot, process namespace."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def process_start(pid: int) -> str | None:
    """Return when a process of this host started, in ticks of the kernel; None: not known, or it is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    is_dead = fields[0] in "ZX"
    return None if is_dead else fields[19]


def _is_dead(holder: Holder) -> bool:
    if holder.pid is None or holder.place != place():
        return False
    if holder.pid_start is not None:
        return process_start(holder.pid) != holder.pid_start
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _is_stale(path: Path, stale_after_s: float) -> bool:
    content = _read(path)
    if content is None:
        return False  # it was released or taken over a moment ago: look again
    if _is_dead(_parse(content)):
        return True
    now = time.monotonic()
    seen = _watched.get(path)
    if seen is None or seen[0] != content:
        _watched[path] = (content, now)
        return False
    return now - seen[1] >= stale_after_s


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _parse(content: str) -> Holder:
    try:
        read: dict[str, Any] = json.loads(content)
        return Holder(**{**read, "counter": int(read["counter"])})
    except (ValueError, TypeError, KeyError):
        return Holder()


def _generations(folder: Claimed) -> list[int]:
    """Return the numbers of the claims in the folder, ascending."""
    prefix = folder.lease(0).name.removesuffix("0")
    try:
        names = [path.name for path in folder.path.iterdir()]
    except FileNotFoundError:
        return []
    numbers = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return sorted(int(n) for n in numbers if n.isdigit())
