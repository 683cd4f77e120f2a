"""Worker processes as their supervisor sees them: started, listened to, stopped."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import segbench
from segbench.store.atomic import write_errors
from segbench.store.layout import ExperimentFolder
from segbench.trial.devices import Slot
from segbench.trial.events import Event, read_event
from segbench.trial.signals import Deadline


@dataclass(frozen=True)
class Exit:
    """A worker process has ended, and all its events were delivered before."""

    pid: int
    code: int
    """Negative: the signal that killed it."""
    job: str | None = None
    """The Slurm job that the worker was."""

    @property
    def cause(self) -> str:
        """`signal 9 (SIGKILL)`, or `exit code 1`."""
        if self.code >= 0:
            return f"exit code {self.code}"
        try:
            return f"signal {-self.code} ({signal.Signals(-self.code).name})"
        except ValueError:
            return f"signal {-self.code}"


class Pool:
    """Starts one worker a slot and gathers what they say."""

    def __init__(
        self,
        experiment: ExperimentFolder,
        project: Path,
        slots: list[Slot],
        loader_workers: int,
        *,
        deadline: Deadline | None = None,
        hang_timeout_s: float | None = None,
    ) -> None:
        self._experiment, self._project = experiment, project
        self._deadline, self._hang_timeout_s = deadline, hang_timeout_s
        self._slots, self._loader_workers = slots, loader_workers
        self._workers: dict[int, tuple[int, subprocess.Popen[bytes]]] = {}
        self._said: queue.SimpleQueue[tuple[int, Event | Exit]] = queue.SimpleQueue()

    outlives_supervisor = False
    """These workers end when the process that started them does."""

    @property
    def num_running(self) -> int:
        return len(self._workers)

    @property
    def log(self) -> Path:
        """Where workers' standard error goes."""
        return self._experiment.log

    def free_slots(self) -> list[int]:
        """Return the numbers of the slots without a worker."""
        taken = {slot for slot, _ in self._workers.values()}
        return [number for number in range(len(self._slots)) if number not in taken]

    def start(self, number: int) -> int:
        """Start a worker in a slot and return its process id."""
        slot = self._slots[number]
        command = [sys.executable, "-m", "segbench", "worker", self._experiment.name, "--supervised"]
        command += ["--project", str(self._project), "--device", slot.device, "--threads", str(slot.threads)]
        command += ["--loader-workers", str(self._loader_workers)]
        if self._deadline is not None:
            command += ["--time-limit", f"{max(1.0, self._deadline.left_s()):.3f}s"]
        if self._hang_timeout_s is not None:
            command += ["--hang-timeout", f"{self._hang_timeout_s:g}s"]
        with write_errors(self.log), self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # held open: its end tells the worker that we are gone
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **_python_path(), **slot.environment},
                process_group=0,  # the terminal's Ctrl-C reaches us alone; we pass it on
            )
        self._workers[process.pid] = (number, process)
        assert process.stdout is not None
        threading.Thread(
            target=self._listen,
            args=(process.pid, process, process.stdout),
            name=f"worker {number}",
            daemon=True,
        ).start()
        return process.pid

    def next(self, timeout_s: float) -> tuple[int, Event | Exit] | None:
        """Return the next thing a worker said, with the worker's process id; None: nothing in that time."""
        try:
            pid, said = self._said.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(said, Exit):
            _, process = self._workers.pop(pid)
            with suppress(OSError):
                if process.stdin is not None:
                    process.stdin.close()
        return pid, said

    def dismiss(self) -> None:
        """Hear that no work is left: these workers see it themselves."""

    def signal(self, number: int) -> None:
        """Send a signal to every worker."""
        for _, process in self._workers.values():
            with suppress(ProcessLookupError):
                process.send_signal(number)

    def kill(self, pid: int) -> None:
        """End a worker and the processes it has started, at once; its `Exit` follows."""
        if pid in self._workers:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def _listen(self, pid: int, process: subprocess.Popen[bytes], pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                event = read_event(line.decode("utf-8", "replace"))
                if event is not None:
                    self._said.put((pid, event))
        self._said.put((pid, Exit(pid, process.wait())))


def _python_path() -> Mapping[str, Any]:
    """Let a worker import this very segbench, installed or not."""
    package = str(Path(segbench.__file__).parent.parent)
    before = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": package + (os.pathsep + before if before else "")}
