"""Requests to stop a sweep, wherever it runs: a file that its supervisor and its workers look at.

The file reaches every host; on the same host a signal makes it quick.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from segbench.errors import SegbenchError
from segbench.records import State, TrialRecord
from segbench.store import trials
from segbench.store.atomic import write_text
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.store.lease import STALE_AFTER_S, Claimed, holder, is_leased, place, process_start
from segbench.trial.limits import StopRequest
from segbench.trial.provenance import now

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
    return Stopped(was_running=True, has_ended=not watched, held=_records(held))


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


def _records(folders: list[TrialFolder]) -> tuple[TrialRecord, ...]:
    found = []
    for folder in folders:
        with suppress(SegbenchError):
            found.append(trials.read_trial(folder))
    return tuple(found)
