"""What the cells of a plan cost: parameters, operations, time and memory. No torch unless it measures.

Records tell what trials took, those of this experiment before those of others. What a network is made of is
found by building it without weights; what an epoch takes where nothing was trained yet, by a few steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from segbench.config.experiment import Cell
from segbench.config.project import Project
from segbench.config.trial import TrialConfig, canonical_json, hashed_config, parts, variant_digests
from segbench.data import fingerprint
from segbench.plan import memory
from segbench.plan.overview import last_epoch, seconds_per_epoch
from segbench.plan.plan import Plan
from segbench.records import State, TrialRecord
from segbench.store.layout import ExperimentFolder, ResultsFolder
from segbench.store.scan import scan
from segbench.trial.devices import Slot

if TYPE_CHECKING:
    from segbench.plan.steps import Steps


_SIZE_FOLDER: Final = "networks"
_STEPS_FOLDER: Final = "steps"


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
    for cell in cells.values():
        kinds.setdefault(cost_key(cell.config), []).append(cell)
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
    return canonical_json(parts(hashed_config(config, has_places=False), "cost"))


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
    known = memory.recall(project, _SIZE_FOLDER, subject)
    if known is None:
        from segbench.plan.steps import size_network

        parameters, flops = size_network(config, project)
        known = {"parameters": parameters, "flops": flops}
        memory.keep(project, _SIZE_FOLDER, subject, known)
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
    known = memory.recall(project, _STEPS_FOLDER, subject)
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
    memory.keep(project, _STEPS_FOLDER, subject, asdict(steps))
    return steps


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
