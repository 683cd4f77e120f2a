"""What is refused or warned about before any work starts. No torch."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from segbench.config.trial import canonical_json
from segbench.errors import message
from segbench.sweep.plan import Plan, PlanEntry

BYTES_PER_PARAMETER: Final = 16
"""float32 weights in best.pt, and weights with Adam's two moments in last.pt."""

BYTES_PER_TRIAL: Final = 4 * 2**20
"""Everything else a trial leaves: masks, panels, tables, log."""

PARAMETERS_UNKNOWN: Final = 32_000_000
"""What a network is taken for before its first trial: about the standard U-Net."""


class Severity(StrEnum):
    """What a finding does to the sweep."""

    ERROR = "error"
    """It is refused."""
    WARNING = "warning"
    """It runs, and the finding is printed."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check has found."""

    code: str
    """Such as `SB001`; docs and tests call it by that."""
    severity: Severity
    text: str


def check_plan(plan: Plan) -> tuple[Finding, ...]:
    """Return everything there is to say about a sweep before it starts; errors first.

    Image sizes, folds and levels are checked when the file is read, the data set when the trials are planned.
    """
    found = [*_unusable_folders(plan), *_changed_data(plan)]
    if plan.to_run:
        found += _disk_space(plan, shutil.disk_usage(_existing(plan.folder.root)).free)
    return tuple(sorted(found, key=lambda finding: finding.severity is not Severity.ERROR))


def estimate_bytes(plan: Plan, entries: Iterable[PlanEntry]) -> tuple[int, bool]:
    """Return about how much the trials will leave on disk, and whether every network's size is on record."""
    sizes = {
        _network(record.config): record.parameters
        for record in (*(e.record for e in plan.entries), *plan.orphans)
        if record is not None and record.parameters is not None
    }
    total, is_known = 0, True
    for entry in entries:
        parameters = sizes.get(_network(entry.trial.cell.config.to_json()))
        is_known &= parameters is not None
        total += (parameters or PARAMETERS_UNKNOWN) * BYTES_PER_PARAMETER + BYTES_PER_TRIAL
    return total, is_known


def _disk_space(plan: Plan, free: int) -> list[Finding]:
    needed, is_known = estimate_bytes(plan, plan.to_run)
    if needed <= free:
        return []
    trials = f"{len(plan.to_run)} trials leave about {needed / 2**30:.1f} GiB"
    basis = "" if is_known else f", taking networks that never ran for {PARAMETERS_UNKNOWN:,} parameters"
    text = message(
        str(plan.folder.root),
        f"{trials}{basis}, but {free / 2**30:.1f} GiB are free",
        see="Make room, or take a part at a time with --only or --seeds",
    )
    return [Finding("SB001", Severity.ERROR if is_known else Severity.WARNING, text)]


def _unusable_folders(plan: Plan) -> list[Finding]:
    return [
        Finding("SB002", Severity.ERROR, f"{entry.problem} Move the folder away; the trial is then run anew.")
        for entry in plan.entries
        if entry.problem is not None
    ]


def _changed_data(plan: Plan) -> list[Finding]:
    planned = {(e.trial.cell.config_hash, e.trial.seed, e.trial.fold): e.trial for e in plan.entries}
    superseded = 0
    for record in plan.orphans:
        trial = planned.get((record.config_hash, record.seed, record.fold))
        superseded += trial is not None and trial.data_fingerprint != record.data_fingerprint
    if not superseded:
        return []
    text = message(
        str(plan.folder.root),
        f"the data or their split have changed since {superseded} trials of this design were run",
        see="These are run anew; the old records stay and are not reported",
    )
    return [Finding("SB003", Severity.WARNING, text)]


def _network(config: Mapping[str, Any]) -> str:
    return canonical_json({key: config.get(key) for key in ("model", "norm")})


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.absolute().parents) if p.is_dir())
