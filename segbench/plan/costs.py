"""What the cells of a plan cost: parameters, operations, time, memory and room on a GPU.

Records tell what trials took, those of this experiment before those of others. What a network is made of is
found by building it without weights; what an epoch takes where nothing was trained yet, by a few steps. No
torch unless it measures.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from segbench import memory
from segbench.config.experiment import Cell
from segbench.config.project import Project
from segbench.config.trial import Hasher, TrialConfig, variant_digests
from segbench.data import fingerprint
from segbench.errors import ExperimentError, SegbenchError, message
from segbench.plan.overview import last_epoch, seconds_per_epoch
from segbench.plan.plan import Plan
from segbench.records import State, TrialRecord
from segbench.store import trials
from segbench.store.layout import ExperimentFolder, ResultsFolder, TrialFolder
from segbench.store.scan import scan
from segbench.trial.devices import Slot
from segbench.trial.picking import shape_of
from segbench.wording import counted

if TYPE_CHECKING:
    from segbench.plan.steps import Steps


MARGIN: Final = 1.25
"""A process takes more than its peak of allocated tensors: the allocator keeps blocks that do not match."""

CONTEXT_MIB: Final = 768.0
"""Reckoned for what a process holds on a GPU beside its tensors: the driver's context and its libraries."""

FULL: Final = 0.5
"""Share of the matrix rate from which a trial's arithmetic leaves nothing to others beside it."""

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
    memory.keep(_share_file(project, config, device_name), {"share": share})


def measured_shares(
    project: Project, configs: Sequence[Mapping[str, Any]], device_name: str
) -> list[float | None]:
    """Return what `keep_share` was told of each configuration; None: nothing."""
    found = [memory.recall(_share_file(project, config, device_name)) for config in configs]
    return [None if each is None else float(each["share"]) for each in found]


def _share_file(project: Project, config: Mapping[str, Any], device_name: str) -> Path:
    return memory.place(project.data / ".cache" / "shares", [shape_of(config), device_name])


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


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one trial of a cell costs; None: nobody knows yet."""

    parameters: int | None = None
    flops: int | None = None
    """Operations of a forward pass of one image, two a multiply-add."""
    epoch_time_s: float | None = None
    """Training and validation, with as many workers as took part when it was measured."""
    besides_s: float | None = None
    """What a trial takes besides its epochs: network, test images, files."""
    memory_mib: float | None = None
    """Peak of the device: allocated memory of a GPU, the process's resident set on a CPU."""
    source: str = ""
    """Where time and memory come from."""


Costs: TypeAlias = Mapping[str, Cost]
OnProgress: TypeAlias = Callable[[int, int], None]
Found: TypeAlias = list[tuple[ExperimentFolder, TrialRecord]]


def costs_of(
    plan: Plan, slot: Slot, *, measures: bool = False, on_progress: OnProgress | None = None
) -> Costs:
    """Return the cost of every cell that has entries in a plan: hash of its configuration -> cost.

    Args:
        plan: The trials.
        slot: Where a sweep's worker would run; records of such a device are preferred.
        measures: Whether to train a few steps of what was never trained on such a device, once.
        on_progress: Told (cells measured, cells in all).

    Raises:
        DataError: It measures, and the data cannot be read.
    """
    kinds = kinds_of(plan)
    known = _Records(plan, slot.device)
    costs = {key: known.cost(key) for key in kinds}
    for key, cost in costs.items():
        if cost.parameters is None or cost.flops is None:
            parameters, flops = _network(plan, kinds[key][0].config)
            costs[key] = replace(cost, parameters=parameters, flops=flops)
    fingerprints = {e.trial.cell.config_hash: e.trial.data_fingerprint for e in plan.entries}
    prints = {
        key: fingerprints[cell.config_hash]
        for key, cells in kinds.items()
        for cell in cells
        if cell.config_hash in fingerprints
    }
    untimed = [key for key in kinds if not known.is_timed_here(key)]
    for number, key in enumerate(untimed):
        if measures and on_progress is not None:
            on_progress(number, len(untimed))
        costs[key] = _with_steps(
            plan,
            kinds[key][0].config,
            costs[key],
            slot,
            data_fingerprint=prints.get(key),
            measures=measures,
        )
    if measures and untimed and on_progress is not None:
        on_progress(len(untimed), len(untimed))
    return {cell.config_hash: costs[key] for key, cells in kinds.items() for cell in cells}


def kinds_of(plan: Plan) -> dict[str, list[Cell]]:
    """Return the cells of a plan by their `cost_key`, each configuration once.

    Cells that cost the same are asked about once: a grid of learning rates is one network.
    """
    cells = {e.trial.cell.config_hash: e.trial.cell for e in plan.entries}
    cells |= {t.cell.config_hash: t.cell for t in plan.tunings}
    kinds: dict[str, list[Cell]] = {}
    hasher = Hasher()
    for cell in cells.values():
        kinds.setdefault(hasher.key(cell.config, "cost"), []).append(cell)
    return kinds


def time_s(plan: Plan, costs: Costs) -> float | None:
    """Return how long the trials to run take one after another; None where a cell's epoch was never timed."""
    total = 0.0
    for entry in plan.to_run:
        config, cost = entry.trial.cell.config, costs[entry.trial.cell.config_hash]
        if cost.epoch_time_s is None:
            return None
        epochs_done = entry.record.epochs_done if entry.record is not None else 0
        total += cost.epoch_time_s * max(config.epochs - epochs_done, 0) + (cost.besides_s or 0.0)
    for tuning in plan.tunings:
        pace = costs[tuning.cell.config_hash].epoch_time_s
        if pace is None and tuning.num_unplanned:
            return None
        total += (pace or 0.0) * tuning.cell.config.epochs * tuning.num_unplanned
    return total


class _Records:
    """Trials on record, by what decides their cost; other experiments are read only where they are needed."""

    def __init__(self, plan: Plan, device: str) -> None:
        self._plan, self._device = plan, device
        own = (*(e.record for e in plan.entries), *plan.tried, *plan.orphans)
        self._own = _by_key((plan.folder, record) for record in own if record is not None)
        self._others: dict[str, list[tuple[ExperimentFolder, TrialRecord]]] | None = None

    def cost(self, key: str) -> Cost:
        """Return what records tell of configurations of this key."""
        found = self._find(key)
        sized = next((r for _, r in found if r.parameters is not None and r.flops is not None), None)
        timed = self._timed(found)
        cost = Cost(
            parameters=None if sized is None else sized.parameters,
            flops=None if sized is None else sized.flops,
        )
        if not timed:
            return cost
        folder, newest = max(timed, key=lambda pair: pair[1].finished or "")
        return replace(
            cost,
            epoch_time_s=seconds_per_epoch([record for _, record in timed]),
            besides_s=_besides_s([record for _, record in timed]),
            memory_mib=last_epoch(folder.trial(newest.hash)).get("peak_memory_mib"),
            source=f"{newest.device_name or newest.device}, on record",
        )

    def is_timed_here(self, key: str) -> bool:
        """Whether a trial of this key was timed on a device of the kind that is asked about."""
        return any(record.device == self._device for _, record in self._timed(self._find(key)))

    def _timed(self, found: Found) -> Found:
        """Return the records with a time on the device asked about, else those on another one."""
        timed = [(f, r) for f, r in found if r.train_time_s is not None and r.epochs_done]
        here = [(f, r) for f, r in timed if r.device == self._device]
        return here or [(f, r) for f, r in timed if r.device_name == timed[0][1].device_name]

    def _find(self, key: str) -> Found:
        if key in self._own:
            return self._own[key]
        if self._others is None:
            folders = ResultsFolder(self._plan.experiment.project.results).experiments()
            others = [f for f in folders if f.name != self._plan.folder.name]
            self._others = _by_key((f, record) for f in others for record in scan(f).records.values())
        return self._others.get(key, [])


def _besides_s(records: Iterable[TrialRecord]) -> float | None:
    """Return the median of what trials took that is no epoch; None where none ran through at once."""
    spent = [
        (datetime.fromisoformat(r.finished) - datetime.fromisoformat(r.started)).total_seconds()
        - r.train_time_s
        for r in records
        if r.state is State.COMPLETE and r.attempts == 1 and r.started and r.finished and r.train_time_s
    ]
    return max(median(spent), 0.0) if spent else None


def cost_key(config: TrialConfig) -> str:
    """Return what decides a trial's cost, as text."""
    return Hasher().key(config, "cost")


def _by_key(records: Iterable[tuple[ExperimentFolder, TrialRecord]]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for folder, record in records:
        found.setdefault(cost_key(TrialConfig.from_json(record.config)), []).append((folder, record))
    return found


def _network(plan: Plan, config: TrialConfig) -> tuple[int | None, int | None]:
    """Return parameters and operations of a configuration's network, from memory or by building it."""
    written = config.to_json()
    subject = [
        {name: written[name] for name in ("dataset", "model", "norm")},
        {
            name: digest
            for name, digest in variant_digests(config).items()
            if name.startswith(("model", "norm"))
        },
    ]
    project = plan.experiment.project
    file = memory.place(project.data / ".cache" / "networks", subject)
    known = memory.recall(file)
    if known is None:
        from segbench.plan.steps import size_network

        parameters, flops = size_network(config, project)
        known = {"parameters": parameters, "flops": flops}
        memory.keep(file, known)
    return known["parameters"], known["flops"]


def _with_steps(
    plan: Plan,
    config: TrialConfig,
    cost: Cost,
    slot: Slot,
    *,
    data_fingerprint: str | None,
    measures: bool,
) -> Cost:
    """Return the cost with time and memory of a few steps, from memory or, where it may, by taking them."""
    project = plan.experiment.project
    subject = _steps_subject(config, project, slot, data_fingerprint)
    known = memory.recall(_steps_file(project, subject))
    if known is None and measures:
        known = asdict(take_steps(config, project, slot, data_fingerprint))
    if known is None:
        return cost
    taken = {name: known.get(name) for name in ("epoch_time_s", "besides_s", "memory_mib")}
    return replace(cost, **taken, source=f"{subject[-2]}, by a few steps")


def take_steps(
    config: TrialConfig, project: Project, slot: Slot, data_fingerprint: str | None = None
) -> Steps:
    """Train a few steps of a configuration and remember what they took: plans know it from then on.

    Raises:
        DataError: The data cannot be read.
    """
    from segbench.plan.steps import time_steps

    steps = time_steps(config, project, slot)
    subject = _steps_subject(config, project, slot, data_fingerprint)
    memory.keep(_steps_file(project, subject), asdict(steps))
    return steps


def _steps_file(project: Project, subject: list[Any]) -> Path:
    return memory.place(project.data / ".cache" / "steps", subject)


def _steps_subject(
    config: TrialConfig, project: Project, slot: Slot, data_fingerprint: str | None
) -> list[Any]:
    from segbench.trial.provenance import name_device

    return [
        cost_key(config),
        variant_digests(config),
        data_fingerprint or fingerprint(config, project),
        name_device(slot.device),
        slot.threads,
    ]
