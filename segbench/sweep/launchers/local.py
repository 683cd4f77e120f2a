"""Workers as processes of this host, one per slot: they tell what they do through a pipe."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from segbench.store.atomic import write_errors
from segbench.store.layout import ExperimentFolder
from segbench.sweep.launchers import Exit, Launcher, Request
from segbench.sweep.process import python_path
from segbench.trial.devices import Slot, loader_workers, plan_slots
from segbench.trial.events import Event, read_event
from segbench.trial.limits import Deadline
from segbench.wording import counted


class LocalLauncher(Launcher):
    """Starts one worker per slot and listens to what they say.

    Args:
        experiment: The experiment's folder.
        project: The project's folder.
        slots: The devices and threads of one worker each.
        loader_workers: Processes that load images, per worker.
        deadline: When the workers must have ended.
        hang_timeout_s: Silence of a trial after which its worker lets go of it.
    """

    has_events = True

    def __init__(
        self,
        experiment: ExperimentFolder,
        project: Path,
        slots: Sequence[Slot],
        loader_workers: int,
        *,
        deadline: Deadline | None = None,
        hang_timeout_s: float | None = None,
    ) -> None:
        super().__init__()
        self.slots = slots
        self._experiment, self._project, self._loader_workers = experiment, project, loader_workers
        self._deadline, self._hang_timeout_s = deadline, hang_timeout_s
        self._workers: dict[int, tuple[int, subprocess.Popen[bytes]]] = {}
        self._said: queue.SimpleQueue[tuple[int, Event | Exit]] = queue.SimpleQueue()

    @classmethod
    def open(cls, request: Request) -> LocalLauncher:
        slots = plan_slots(
            request.device,
            workers=request.workers,
            trials_per_gpu=request.trials_per_gpu,
            threads=request.threads,
            num_trials=request.num_trials,
        )
        return cls(
            request.folder,
            request.experiment.project.root,
            slots,
            loader_workers(slots[0].device, slots[0].threads, request.loader_workers),
            deadline=request.deadline,
            hang_timeout_s=request.hang_timeout_s,
        )

    def describe(self) -> list[str]:
        names = ", ".join(dict.fromkeys(slot.name for slot in self.slots))
        workers = counted(len(self.slots), "worker")
        return [f"on {names}: {workers} of {counted(self.slots[0].threads, 'thread')}"]

    @property
    def size(self) -> int:
        return len(self.slots)

    @property
    def num_running(self) -> int:
        return len(self._workers)

    @property
    def log(self) -> Path:
        return self._experiment.log

    @property
    def num_free(self) -> int:
        return len(self.slots) - len(self._workers)

    def start(self, count: int) -> list[int]:
        taken = {slot for slot, _ in self._workers.values()}
        free = [number for number in range(len(self.slots)) if number not in taken]
        return [self._start(number) for number in free[:count]]

    def _start(self, number: int) -> int:
        slot = self.slots[number]
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
                env={**os.environ, "PYTHONPATH": python_path(), **slot.environment},
                process_group=0,  # the terminal's Ctrl-C reaches us alone; we pass it on
            )
        self._workers[process.pid] = (number, process)
        threading.Thread(target=self._listen, args=(process,), name=f"worker {number}", daemon=True).start()
        return process.pid

    def poll(self, timeout_s: float) -> Iterator[tuple[int, Event | Exit]]:
        while True:
            try:
                worker, said = self._said.get(timeout=timeout_s)
            except queue.Empty:
                return
            timeout_s = 0.0
            if isinstance(said, Exit):
                _, process = self._workers.pop(worker)
                with suppress(OSError):
                    if process.stdin is not None:
                        process.stdin.close()
            yield worker, said

    def signal(self, number: int) -> None:
        for _, process in self._workers.values():
            with suppress(ProcessLookupError):
                process.send_signal(number)

    def kill(self, worker: int) -> None:
        if worker in self._workers:
            with suppress(ProcessLookupError):
                os.killpg(worker, signal.SIGKILL)  # with the processes that it has started

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as pipe:
            for line in pipe:
                event = read_event(line.decode("utf-8", "replace"))
                if event is not None:
                    self._said.put((process.pid, event))
        self._said.put((process.pid, Exit(process.pid, process.wait())))
