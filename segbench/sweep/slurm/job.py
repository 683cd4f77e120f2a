"""What runs inside a job of Slurm: `segbench worker`, with the job's time as its limit."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence

from segbench.errors import SegbenchError
from segbench.store.layout import ExperimentFolder
from segbench.store.lease import slurm_job
from segbench.store.queue import Queue
from segbench.sweep.slurm.commands import SlurmRefuses, call


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
