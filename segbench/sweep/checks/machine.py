"""Guards about the machine that plans, which is as a rule the one that runs. No torch."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from segbench.errors import message
from segbench.sweep import devices
from segbench.sweep.checks.finding import Severity, guard
from segbench.sweep.plan import Plan

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
