"""Guards about what lies on disk: room, foreign folders, changed data. No torch."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from segbench.config.trial import TrialConfig, canonical_json
from segbench.errors import message
from segbench.guards.finding import Severity, guard
from segbench.plan.plan import Plan, PlanEntry
from segbench.trial import devices

BYTES_PER_PARAMETER: Final = 16
"""float32 weights in best.pt, and weights with Adam's two moments in last.pt."""

BYTES_PER_AVERAGED_PARAMETER: Final = 4
"""The running average beside the weights in last.pt, where a trial keeps one."""

BYTES_PER_TRIAL: Final = 4 * 2**20
"""Everything else a trial leaves: masks, panels, tables, log."""

PARAMETERS_UNKNOWN: Final = 32_000_000
"""What a network is taken for before its first trial: about the standard U-Net."""


def estimate_bytes(
    plan: Plan, entries: Iterable[PlanEntry], *, and_configs: Iterable[TrialConfig] = ()
) -> tuple[int, bool]:
    """Return about how much the trials will leave on disk, and whether every network's size is on record."""
    sizes = {
        _network(record.config): record.parameters
        for record in (*(e.record for e in plan.entries), *plan.tried, *plan.orphans)
        if record is not None and record.parameters is not None
    }
    total, is_known = 0, True
    networks: dict[tuple[int, int], str] = {}
    for config in (*(entry.trial.cell.config for entry in entries), *and_configs):
        key = id(config.model), id(config.norm)
        if key not in networks:
            networks[key] = _network({"model": config.model.to_json(), "norm": config.norm.to_json()})
        parameters = sizes.get(networks[key])
        is_known &= parameters is not None
        each = BYTES_PER_PARAMETER + (0 if config.ema is None else BYTES_PER_AVERAGED_PARAMETER)
        total += (parameters or PARAMETERS_UNKNOWN) * each + BYTES_PER_TRIAL
    return total, is_known


@guard("SB001", Severity.ERROR)
def fits_on_the_disk(plan: Plan) -> Iterator[str]:
    """What the trials will leave fits on the disk, their networks' sizes being on record."""
    yield from _disk_space(plan, is_known=True)


@guard("SB004", Severity.WARNING)
def may_fit_on_the_disk(plan: Plan) -> Iterator[str]:
    """What the trials will leave fits on the disk, networks that never ran taken for large ones."""
    yield from _disk_space(plan, is_known=False)


@guard("SB002", Severity.ERROR)
def folders_are_usable(plan: Plan) -> Iterator[str]:
    """The folder of a trial holds that trial, or nothing."""
    for entry in plan.entries:
        if entry.problem is not None:
            yield f"{entry.problem} Move the folder away; the trial is then run anew."


@guard("SB003", Severity.WARNING)
def data_are_unchanged(plan: Plan) -> Iterator[str]:
    """The data and their split are those of the trials that were run before."""
    planned = {(e.trial.cell.config_hash, e.trial.seed, e.trial.fold): e.trial for e in plan.entries}
    superseded = 0
    for record in plan.orphans:
        trial = planned.get((record.config_hash, record.seed, record.fold))
        superseded += trial is not None and trial.data_fingerprint != record.data_fingerprint
    if superseded:
        yield message(
            str(plan.folder.root),
            f"the data or their split have changed since {superseded} trials of this design were run",
            see="These are run anew; the old records stay and are not reported",
        )


def _disk_space(plan: Plan, *, is_known: bool) -> Iterator[str]:
    unplanned = [t.cell.config for t in plan.tunings for _ in range(t.num_unplanned)]
    if not plan.to_run and not unplanned:
        return
    free = shutil.disk_usage(_existing(plan.folder.root)).free
    needed, is_on_record = estimate_bytes(plan, plan.to_run, and_configs=unplanned)
    if needed <= free or is_on_record is not is_known:
        return
    trials = f"{plan.num_to_run} trials leave about {needed / 2**30:.1f} GiB"
    basis = "" if is_known else f", taking networks that never ran for {PARAMETERS_UNKNOWN:,} parameters"
    yield message(
        str(plan.folder.root),
        f"{trials}{basis}, but {free / 2**30:.1f} GiB are free",
        see="Make room, or take a part at a time with --only or --seeds",
    )


def _network(config: Mapping[str, Any]) -> str:
    return canonical_json({key: config.get(key) for key in ("model", "norm")})


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.absolute().parents) if p.is_dir())


# Guards about the machine that plans, which is as a rule the one that runs. No torch.


_HAVE_BF16: Final = frozenset({"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"})
"""Flags of processors that multiply bf16 (x86: AVX-512 BF16, AMX; Arm: BF16)."""


@guard("SB005", Severity.WARNING)
def computes_in_bf16(plan: Plan) -> Iterator[str]:
    """Where trials are to run in bf16, the machine has a GPU or a processor that multiplies bf16."""
    cells = {e.trial.cell.label for e in plan.entries if e.trial.cell.config.precision == "bf16"}
    if not cells or processor_has_bf16() is not False or devices.visible_gpus():
        return
    rule = "this processor has no bf16 and only emulates it, slower than fp32"
    see = "Use `precision: fp32` here, or run on a GPU; both decide the trials' numbers"
    yield message(f"{plan.experiment.name}: precision", rule, got=_named(cells), see=see)


def processor_has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool | None:
    """Return whether the processor multiplies bf16; None where the system does not tell."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return True if platform.machine() == "arm64" and platform.system() == "Darwin" else None
    for line in lines:
        name, _, flags = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return bool(_HAVE_BF16 & set(flags.split()))
    return None


def _named(cells: set[str], most: int = 3) -> str:
    names = sorted(cells)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
