"""Running `segbench` as a user does: in processes of its own, in a project's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import segbench

PACKAGE = Path(segbench.__file__).parent.parent
TIMEOUT_S = 900
HEAVY = frozenset({"torch", "optuna", "pandas", "albumentations"})
"""Packages that take their time to import, and that most commands do without."""


def environment(*paths: Path, **more: str) -> dict[str, str]:
    """Return the variables of a process that imports this very segbench, on the CPU.

    Args:
        paths: Folders that Python looks into first.
        more: Further variables.
    """
    path = os.pathsep.join(map(str, (*paths, PACKAGE)))
    return {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", **more}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "segbench", *arguments]


def segbench_(
    project: Path, *arguments: str, env: dict[str, str] | None = None, python: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a command in a project to its end.

    Args:
        project: Where it runs.
        arguments: What stands after `segbench`.
        env: Variables; None: those of `environment()`.
        python: Options of Python.
    """
    full = command(*arguments)
    return subprocess.run(
        [full[0], *python, *full[1:]],
        cwd=project,
        env=environment() if env is None else env,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def heavy_imports(
    project: Path, *arguments: str, among: Collection[str] = HEAVY
) -> tuple[set[str], subprocess.CompletedProcess[str]]:
    """Run a command as a user does; return which of some packages it imported, and how it ended."""
    done = segbench_(project, *arguments, python=("-X", "importtime"))
    lines = done.stderr.splitlines()
    said = [line for line in lines if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in said}
    assert "segbench" in imported, done.stderr
    done.stderr = "\n".join(line for line in lines if line not in said)
    return imported & set(among), done
