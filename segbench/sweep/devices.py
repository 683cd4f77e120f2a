"""Device slots: where workers run, and how many threads each may use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segbench.errors import ExperimentError, message

_MOST_CPU_WORKERS = 8
_GIB_A_WORKER = 4
"""Memory a CPU worker is reckoned with: PyTorch alone takes nearly one."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Slot:
    """What one worker gets."""

    device: str
    """`cpu`, or `cuda` where the environment shows the worker one device only."""
    threads: int
    environment: Mapping[str, str]
    """Set before the worker starts, because libraries read it when they are imported."""
    name: str
    """For the user: `cpu`, `cuda:1`."""


def plan_slots(
    device: str = "auto",
    *,
    workers: int | None = None,
    threads: int | None = None,
    num_trials: int = 1,
    cores: int | None = None,
    memory_gib: float | None = None,
    gpus: list[str] | None = None,
) -> list[Slot]:
    """Divide the machine among workers.

    Args:
        device: `auto` (CUDA where there is a GPU), `cpu`, `cuda` (all GPUs) or `cuda:1` (one).
        workers: Processes; None: one a GPU; on a CPU one a core, as far as trials and memory go, because
            trials side by side use cores better than threads do. More workers than GPUs share them in turn.
        threads: CPU threads of each worker; None: the cores divided by the workers.
        num_trials: Trials of the whole design, done or not: what is left must not change the threads of a
            trial that goes on, for other numbers of threads give other sums.
        cores: CPU cores to divide; None: those this process may use.
        memory_gib: Memory to divide; None: the machine's.
        gpus: Entries for `CUDA_VISIBLE_DEVICES`; None: asks the machine.

    Raises:
        ExperimentError: There is no such device.
    """
    cores = cores or len(os.sched_getaffinity(0))
    shown = _cuda_devices(device, gpus)
    workers = workers or len(shown) or _cpu_workers(num_trials, cores, memory_gib or _memory_gib())
    threads = threads or max(1, cores // workers)
    slots = []
    for number in range(workers):
        environment = dict.fromkeys(_THREAD_VARIABLES, str(threads))
        if not shown:
            slots.append(Slot("cpu", threads, {**environment, "CUDA_VISIBLE_DEVICES": ""}, "cpu"))
            continue
        index = number % len(shown)
        name = device if ":" in device else f"cuda:{index}"
        slots.append(Slot("cuda", threads, {**environment, "CUDA_VISIBLE_DEVICES": shown[index]}, name))
    return slots


def _cpu_workers(num_trials: int, cores: int, memory_gib: float) -> int:
    return max(1, min(num_trials, cores, _MOST_CPU_WORKERS, int(memory_gib // _GIB_A_WORKER)))


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def loader_workers(device: str, threads: int) -> int:
    """Return how many loader processes feed a trial unless the user says: none on a CPU."""
    return 0 if device == "cpu" else min(8, max(0, threads - 1))


def visible_gpus() -> list[str]:
    """Return the entries of `CUDA_VISIBLE_DEVICES`, one a GPU; without a driver torch is not imported."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None and not listed.strip():
        return []
    if not Path("/dev/nvidiactl").exists() and not Path("/dev/dxg").exists():  # Linux, WSL
        return []
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if listed is not None:
        return [entry.strip() for entry in listed.split(",")][:count]
    return [str(number) for number in range(count)]


def _cuda_devices(device: str, gpus: list[str] | None) -> list[str]:
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and (kind != "cuda" or not number.isdigit())):
        raise ExperimentError(
            message(
                "--device", "there is no such device", got=device, known=("auto", "cpu", "cuda", "cuda:0")
            )
        )
    if kind == "cpu":
        return []
    found = visible_gpus() if gpus is None else gpus
    if kind == "cuda" and not found:
        raise ExperimentError(
            message("--device", "no CUDA device is visible", got=device, see="--device cpu runs without one")
        )
    if not number:
        return found
    if int(number) >= len(found):
        known = [f"cuda:{k}" for k in range(len(found))]
        raise ExperimentError(message("--device", "there is no such device", got=device, known=known))
    return [found[int(number)]]
