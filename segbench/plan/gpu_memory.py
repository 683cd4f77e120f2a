"""How many trials a GPU is good for: by what equal shapes were measured to need, and what it has free."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from segbench.config.project import Project
from segbench.errors import ExperimentError, SegbenchError, message
from segbench.plan import memory
from segbench.records import TrialRecord
from segbench.store import trials
from segbench.store.layout import ResultsFolder, TrialFolder
from segbench.trial.picking import shape_of
from segbench.wording import counted

MARGIN: Final = 1.25
"""A process takes more than its peak of allocated tensors: the allocator keeps blocks that do not match."""

CONTEXT_MIB: Final = 768.0
"""Reckoned for what a process holds on a GPU beside its tensors: the driver's context and its libraries."""

FULL: Final = 0.5
"""Share of the matrix rate from which a trial's arithmetic leaves nothing to others beside it."""

_FOLDER: Final = "shares"
_ASK: Final = ("nvidia-smi", "--format=csv,noheader,nounits")


def need_mib(peak_mib: float) -> float:
    """Return what a process with this peak of allocated tensors is reckoned to take."""
    return MARGIN * peak_mib + CONTEXT_MIB


def most_together(peaks_mib: Sequence[float], free_mib: float) -> int:
    """Return how many trials certainly fit side by side, whichever of them meet.

    Args:
        peaks_mib: Measured peak of each trial.
        free_mib: What the GPU has free.
    """
    left, count = free_mib, 0
    for peak in sorted(peaks_mib, reverse=True):  # the worst that can meet are the largest ones
        left -= need_mib(peak)
        if left < 0:
            break
        count += 1
    return count


@dataclass(frozen=True)
class Fit:
    """What is known of trials that are to share a GPU."""

    peaks_mib: tuple[float, ...]
    """Of the trials whose shape was measured."""
    num_unknown: int
    """Trials of shapes that have no record of a GPU."""


def measured_peaks(results: ResultsFolder, shapes: Iterable[str]) -> dict[str, float]:
    """Return the largest peak that records of GPUs have for each of these shapes, in MiB."""
    wanted = set(shapes)
    peaks: dict[str, float] = {}
    for experiment in results.experiments():
        for folder in experiment.trial_folders():
            try:
                record = trials.read_trial(folder)
            except SegbenchError:
                continue
            shape = shape_of(record.config)
            if shape in wanted and _is_measure(record):
                peak = _peak_mib(folder)
                if peak is not None:
                    peaks[shape] = max(peak, peaks.get(shape, 0.0))
    return peaks


def fit(configs: Sequence[Mapping[str, Any]], peaks: Mapping[str, float]) -> Fit:
    """Match trials with what was measured.

    Args:
        configs: `TrialConfig.to_json()` of each.
        peaks: From `measured_peaks`.
    """
    found = [peaks.get(shape_of(config)) for config in configs]
    known = tuple(peak for peak in found if peak is not None)
    return Fit(known, len(found) - len(known))


def check_fit(trials_per_gpu: int, found: Fit, free_mib: Mapping[str, float | None]) -> list[str]:
    """Refuse more trials a GPU than fit; return notes on what is not known.

    Args:
        trials_per_gpu: What is asked for.
        found: What is known of the trials.
        free_mib: Name of each GPU -> what it has free; None: not known.

    Raises:
        ExperimentError: Measured trials do not fit.
    """
    problems, notes = [], []
    for name, free in free_mib.items():
        if free is None:
            notes.append(f"the memory of {name} is not known: --trials-per-gpu is not checked there")
            continue
        count = most_together(found.peaks_mib, free)
        if count >= min(trials_per_gpu, len(found.peaks_mib)):
            continue
        largest = max(found.peaks_mib)
        rule = (
            f"so many trials do not fit into the {free:.0f} MiB that {name} has free: the largest peak was "
            f"{largest:.0f} MiB, reckoned as {need_mib(largest):.0f} with what a process takes beside it"
        )
        see = f"{count} fit" if count else "Not one fits"
        problems.append(message("--trials-per-gpu", rule, got=trials_per_gpu, see=see))
    if problems:
        raise ExperimentError(problems)
    if found.num_unknown:
        notes.append(
            f"no record says how much GPU memory {counted(found.num_unknown, 'trial')} will need: "
            "--trials-per-gpu is not checked for them"
        )
    return notes


def free_memory_mib(
    entry: str, run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run
) -> float | None:
    """Return what a GPU has free, in MiB; None: `nvidia-smi` does not say.

    Args:
        entry: Its entry of `CUDA_VISIBLE_DEVICES`: a number, or a UUID.
        run: Runs a command.
    """
    said = _ask(entry, "memory.free", run)
    try:
        return None if said is None else float(said)
    except ValueError:
        return None


def gpu_name(entry: str, run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run) -> str | None:
    """Return the model of a GPU as PyTorch names it; None: `nvidia-smi` does not say.

    Args:
        entry: Its entry of `CUDA_VISIBLE_DEVICES`: a number, or a UUID.
        run: Runs a command.
    """
    return _ask(entry, "name", run)


def keep_share(project: Project, config: Mapping[str, Any], device_name: str, share: float) -> None:
    """Remember what share of the matrix rate a trial of this shape reaches by itself.

    Args:
        project: Its data folder keeps it.
        config: `TrialConfig.to_json()`.
        device_name: Of the GPU.
        share: Of the rate of a large matrix product.
    """
    memory.keep(project, _FOLDER, [shape_of(config), device_name], {"share": share})


def measured_shares(
    project: Project, configs: Sequence[Mapping[str, Any]], device_name: str
) -> list[float | None]:
    """Return what `keep_share` was told of each configuration; None: nothing."""
    found = [memory.recall(project, _FOLDER, [shape_of(config), device_name]) for config in configs]
    return [None if each is None else float(each["share"]) for each in found]


def check_filled(trials_per_gpu: int, name: str, shares: Sequence[float | None]) -> list[str]:
    """Refuse trials side by side where each alone fills the GPU; return a note where some do.

    Args:
        trials_per_gpu: What is asked for.
        name: Of the GPU, such as `cuda:0`.
        shares: From `measured_shares`, of each trial.

    Raises:
        ExperimentError: Every trial fills it.
    """
    full = [share for share in shares if share is not None and share >= FULL]
    if trials_per_gpu == 1 or not full:
        return []
    if len(full) < len(shares):
        return [
            f"{len(full)} of {len(shares)} trials fill {name} by themselves, as `segbench bench` measured: "
            "beside another each takes as much longer"
        ]
    rule = (
        f"one trial fills {name}: `segbench bench` measured {min(full):.0%} and more of its matrix rate, so "
        "trials side by side would each take as much longer"
    )
    raise ExperimentError(message("--trials-per-gpu", rule, got=trials_per_gpu, see="Leave it out"))


def _ask(entry: str, what: str, run: Callable[..., subprocess.CompletedProcess[str]]) -> str | None:
    command = [*_ASK, f"--query-gpu={what}", f"--id={entry}"]
    try:
        said = run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        return said.strip().splitlines()[0].strip()
    except (OSError, subprocess.SubprocessError, IndexError):
        return None


def _is_measure(record: TrialRecord) -> bool:
    return record.device == "cuda" and record.epochs_done > 0 and record.micro_batch is None


def _peak_mib(folder: TrialFolder) -> float | None:
    try:
        lines = folder.epochs.read_text(encoding="utf-8").splitlines()
        column = lines[0].split(",").index("peak_memory_mib")
        return max(float(line.split(",")[column]) for line in lines[1:])
    except (OSError, ValueError, IndexError):
        return None
