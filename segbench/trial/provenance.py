"""Where a trial's numbers come from: commit, versions, machine."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from segbench import __version__
from segbench.store.atomic import write_text
from segbench.store.layout import TrialFolder

_CODE: Final = (".", ":!results", ":!reports")
_MOST_DIFF: Final = 1_000_000


@dataclass(frozen=True)
class Commit:
    """The state of a project under git."""

    sha: str | None
    """40 hexadecimal digits; None: no git, or nothing committed yet."""
    is_dirty: bool | None
    """Whether a tracked file differs from the commit."""


@cache
def read_commit(root: Path) -> Commit:
    """Ask git about the project's folder; a project without git has no commit."""
    sha = _git(root, "rev-parse", "HEAD")
    if sha is None:
        return Commit(None, None)
    # results are written while trials run: they make no difference to what a trial computes
    status = _git(root, "status", "--porcelain", "--untracked-files=no", "--", *_CODE)
    return Commit(sha, None if status is None else bool(status))


def write_diff(root: Path, folder: TrialFolder) -> None:
    """Keep what the project's code had beyond its commit, as a patch; a huge one is left out."""
    patch = _read_patch(root)
    if patch and len(patch) <= _MOST_DIFF:
        write_text(folder.diff, patch + "\n")


@cache
def _read_patch(root: Path) -> str | None:
    """Ask git once a process, as `read_commit` does: the code that runs was imported once, too."""
    return _git(root, "diff", "HEAD", "--", *_CODE)


@cache
def read_versions() -> Mapping[str, str]:
    """Return name -> version of whatever decides a trial's numbers."""
    versions = {"segbench": __version__, "python": platform.python_version()}
    for package in ("torch", "torchvision", "numpy", "albumentations", "segmentation-models-pytorch", "timm"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def hash_host() -> str:
    """Return twelve digits that tell hosts apart without naming them."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12]


@cache
def name_device(device: str) -> str:
    """Return the model of the GPU or of the processor."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def now() -> str:
    """Return the time as a record writes it: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
