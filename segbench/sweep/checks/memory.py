"""Findings remembered under `data/.cache/guards/`, so that what has not changed is not looked at again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import segbench
from segbench.config.project import Project
from segbench.config.trial import canonical_json
from segbench.sweep.checks.finding import Finding, Severity

FORMAT: Final = 1
_LIBRARIES: Final = ("torch", "torchvision", "albumentations", "segmentation-models-pytorch", "numpy")


def remembered(project: Project, subject: Any, look: Callable[[], Iterable[Finding]]) -> tuple[Finding, ...]:
    """Return what `look` finds, from memory where the same subject was looked at by the same code.

    Args:
        project: Its data folder keeps the findings.
        subject: Everything that decides what is found, as plain JSON types: which guards look, configurations
            without seeds, fingerprints of data, digests of users' variants, labels that texts name.
        look: Called where nothing is known.
    """
    known = recall(project, subject)
    if known is None:
        known = tuple(look())
        keep(project, subject, known)
    return known


def recall(project: Project, subject: Any) -> tuple[Finding, ...] | None:
    """Return the findings kept about a subject; None where there are none."""
    try:
        entry = json.loads(_file(project, subject).read_text(encoding="utf-8"))
        return tuple(Finding(f["code"], Severity(f["severity"]), f["text"]) for f in entry["findings"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(project: Project, subject: Any, findings: Iterable[Finding]) -> None:
    """Keep the findings about a subject; a folder that cannot be written is no problem."""
    file = _file(project, subject)
    entry = {"findings": [finding.to_json() for finding in findings]}
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(entry), encoding="utf-8")
        temporary.replace(file)


def _file(project: Project, subject: Any) -> Path:
    key = canonical_json([FORMAT, _source_stamp(), subject])
    return project.data / ".cache" / "guards" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


@cache
def _source_stamp() -> str:
    """Digest names, sizes and times of segbench's own source, and the versions of what it builds on."""
    package = Path(segbench.__file__).parent
    stamps = [(str(p.relative_to(package)), *_size_and_time(p)) for p in sorted(package.rglob("*.py"))]
    return hashlib.sha256(repr([stamps, *map(_version, _LIBRARIES)]).encode()).hexdigest()


def _size_and_time(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
