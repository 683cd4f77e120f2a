"""Device slots: where workers run, and how many threads each may use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segbench.errors import ExperimentError, message

_MOST_CPU_WORKERS = 8
_GIB_PER_WORKER = 4
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
    trials_per_gpu: int | None = None,
    threads: int | None = None,
    num_trials: int = 1,
    cores: int | None = None,
    memory_gib: float | None = None,
    gpus: list[str] | None = None,
) -> list[Slot]:
    """Divide the machine among workers.

    Args:
        device: `auto` (CUDA where there is a GPU), `cpu`, `cuda` (all GPUs), or numbers of GPUs: `cuda:1`,
            `0,2`, `cuda:0,cuda:2`.
        workers: Processes; None: one per GPU; on a CPU one per core, as far as trials and memory go, because
            trials side by side use cores better than threads do. More workers than GPUs share them in turn.
        trials_per_gpu: Workers of each GPU, in place of `workers`; whether that many fit is another question
            (`gpu_memory`).
        threads: CPU threads of each worker; None: the cores divided by the workers.
        num_trials: Trials of the whole design, done or not: what is left must not change the threads of a
            trial that goes on, for other numbers of threads give other sums.
        cores: CPU cores to divide; None: those this process may use.
        memory_gib: Memory to divide; None: the machine's.
        gpus: Entries for `CUDA_VISIBLE_DEVICES`; None: asks the machine.

    Raises:
        ExperimentError: There is no such device, or there is no GPU to divide.
    """
    cores = cores or len(os.sched_getaffinity(0))
    numbered = _cuda_devices(device, gpus)
    shown = list(numbered.values())
    if trials_per_gpu is not None:
        workers = _workers_of_gpus(trials_per_gpu, len(shown), workers)
    memory_gib = memory_gib or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    fitting = max(1, min(num_trials, cores, _MOST_CPU_WORKERS, int(memory_gib // _GIB_PER_WORKER)))
    workers = workers or len(shown) or fitting
    threads = threads or max(1, cores // workers)
    slots = []
    for number in range(workers):
        environment = dict.fromkeys(_THREAD_VARIABLES, str(threads))
        if not shown:
            slots.append(Slot("cpu", threads, {**environment, "CUDA_VISIBLE_DEVICES": ""}, "cpu"))
            continue
        index = number % len(shown)
        name = f"cuda:{list(numbered)[index]}"
        slots.append(Slot("cuda", threads, {**environment, "CUDA_VISIBLE_DEVICES": shown[index]}, name))
    return slots


def _workers_of_gpus(trials_per_gpu: int, num_gpus: int, workers: int | None) -> int:
    where = "--trials-per-gpu"
    if not num_gpus:
        see = "--workers N says how many processes share the CPU"
        raise ExperimentError(message(where, "there is no GPU to run several trials on", see=see))
    if workers is not None and workers != trials_per_gpu * num_gpus:
        rule = f"{trials_per_gpu} trials on each of {num_gpus} GPUs are {trials_per_gpu * num_gpus} workers"
        raise ExperimentError(message(where, rule, got=f"--workers {workers}", see="Leave one of them out"))
    return trials_per_gpu * num_gpus


def loader_workers(device: str, threads: int, asked: int | None = None) -> int:
    """Return how many loader processes feed a trial: as many as asked for; else none on a CPU."""
    if asked is not None:
        return asked
    return 0 if device == "cpu" else min(8, max(0, threads - 1))


def visible_gpus() -> list[str]:
    """Return the entries of `CUDA_VISIBLE_DEVICES`, one per GPU; without a driver torch is not imported."""
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


def _cuda_devices(device: str, gpus: list[str] | None) -> dict[int, str]:
    """Return the GPUs to use: their number as users count them -> entry for `CUDA_VISIBLE_DEVICES`."""
    parts = [part.strip() for part in device.split(",")]
    parts = [f"cuda:{part}" if part.isdigit() else part for part in parts]
    for part, written in zip(parts, device.split(","), strict=True):
        _check_device(part, written.strip(), is_alone=len(parts) == 1)
    if parts == ["cpu"]:
        return {}
    found = visible_gpus() if gpus is None else gpus
    if parts == ["auto"] or parts == ["cuda"]:
        if parts == ["cuda"] and not found:
            raise _no_gpu(device)
        return dict(enumerate(found))
    if not found:
        raise _no_gpu(device)
    chosen: dict[int, str] = {}
    for part in parts:
        number = int(part.partition(":")[2])
        if number >= len(found):
            known = [f"cuda:{k}" for k in range(len(found))]
            raise ExperimentError(message("--device", "there is no such device", got=part, known=known))
        if number in chosen:
            see = "--trials-per-gpu runs several trials on each GPU"
            raise ExperimentError(message("--device", "a GPU is named twice", got=device, see=see))
        chosen[number] = found[number]
    return chosen


def _check_device(part: str, written: str, *, is_alone: bool) -> None:
    kind, _, number = part.partition(":")
    is_gpu = kind == "cuda" and number.isdigit()
    if is_gpu or (is_alone and part in ("auto", "cpu", "cuda")):
        return
    known = ("auto", "cpu", "cuda", "cuda:0")
    if part in ("auto", "cpu", "cuda"):
        rule = "a list names GPUs by number, such as 0,2"
        raise ExperimentError(message("--device", rule, got=written))
    raise ExperimentError(message("--device", "there is no such device", got=written, known=known))


def _no_gpu(device: str) -> ExperimentError:
    see = "--device cpu runs without one"
    return ExperimentError(message("--device", "no CUDA device is visible", got=device, see=see))
