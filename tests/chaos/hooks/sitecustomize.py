# ruff: noqa
"""Faults from within: imported by every Python process that has this folder on its path.

`CHAOS_TICKETS`: a folder. Where it holds a file `<role>-<n>` (role: `worker` or `sweep`), the first process of
that role to reach its n-th write kills itself there, and leaves `done-<pid>` that says what it was writing.
A write is the opening of a file below `CHAOS_ROOT` for writing, a sync, a rename, a removal.

`CHAOS_CLOCK`: a file. While it is there the clock of the day is an hour behind.

`CHAOS_HANG`: a file. The first worker to sleep while it is there takes it away and sleeps for ever.
"""

import os
import signal
import sys


def role() -> str:
    arguments = sys.orig_argv
    return next((name for name in ("worker", "sweep") if name in arguments), "")


def kill_within_writes(tickets: str, root: str) -> None:
    mine = role()
    count = 0
    real_fsync, real_kill, real_listdir, real_rename = os.fsync, os.kill, os.listdir, os.rename
    is_busy = False

    def look(what: str, path: str) -> None:
        nonlocal count, is_busy
        if is_busy or not path.startswith(root):
            return
        count += 1
        is_busy = True
        try:
            for name in real_listdir(tickets):
                kind, _, number = name.partition("-")
                if kind == mine and count >= int(number):
                    taken = os.path.join(tickets, f"taken-{os.getpid()}")
                    real_rename(os.path.join(tickets, name), taken)  # one process gets it
                    with open(taken, "w") as file:
                        file.write(f"{what} {os.path.basename(path)}")
                    real_rename(taken, os.path.join(tickets, f"done-{os.getpid()}"))
                    real_kill(os.getpid(), signal.SIGKILL)
        except (FileNotFoundError, ValueError):
            pass
        finally:
            is_busy = False

    def audit(event: str, arguments: tuple) -> None:
        if event == "open":
            path, mode, flags = arguments
            is_write = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if isinstance(path, str) and (is_write or (isinstance(mode, str) and set(mode) & set("wax+"))):
                look("open", path)
        elif event in ("os.rename", "os.remove", "os.mkdir", "os.link"):
            look(event, os.fspath(arguments[-3] if event in ("os.rename", "os.link") else arguments[0]))

    def fsync(descriptor: int) -> None:
        look("sync", os.readlink(f"/proc/self/fd/{descriptor}"))
        real_fsync(descriptor)

    os.fsync = fsync
    sys.addaudithook(audit)


def shift_clock(switch: str) -> None:
    import datetime
    import time

    real_time, real_time_ns, real_datetime = time.time, time.time_ns, datetime.datetime

    def offset() -> float:
        return -3600.0 if os.path.exists(switch) else 0.0

    class Shifted(real_datetime):
        @classmethod
        def now(cls, tz=None):
            return real_datetime.now(tz) + datetime.timedelta(seconds=offset())

    time.time = lambda: real_time() + offset()
    time.time_ns = lambda: real_time_ns() + int(offset() * 1e9)
    datetime.datetime = Shifted


def hang(switch: str) -> None:
    import time

    real_sleep = time.sleep

    def sleep(seconds: float) -> None:
        try:
            os.unlink(switch)
        except FileNotFoundError:
            real_sleep(seconds)
            return
        while True:
            real_sleep(3600)

    time.sleep = sleep


if role() == "worker" and "CHAOS_HANG" in os.environ:
    hang(os.environ["CHAOS_HANG"])
if role() and "CHAOS_TICKETS" in os.environ:
    kill_within_writes(os.environ["CHAOS_TICKETS"], os.environ["CHAOS_ROOT"])
if role() and "CHAOS_CLOCK" in os.environ:
    shift_clock(os.environ["CHAOS_CLOCK"])
