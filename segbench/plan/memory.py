"""What was found out once, remembered under `data/.cache/` until segbench or a library changes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import segbench
from segbench.config.project import Project
from segbench.config.trial import canonical_json

FORMAT: Final = 1
_LIBRARIES: Final = ("torch", "torchvision", "albumentations", "segmentation-models-pytorch", "numpy")


def recall(project: Project, what: str, subject: Any) -> dict[str, Any] | None:
    """Return what is kept about a subject; None where there is nothing.

    Args:
        project: Its data folder keeps it.
        what: The kind of knowledge: a folder's name.
        subject: Everything that decides it, as plain JSON types.
    """
    file = _file(project, what, subject)
    try:
        entry = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_its_own = isinstance(entry, dict) and entry.pop("of", None) == file.stem
    return entry if is_its_own else None


def keep(project: Project, what: str, subject: Any, content: dict[str, Any]) -> None:
    """Keep something about a subject; a folder that cannot be written is no problem."""
    file = _file(project, what, subject)
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({**content, "of": file.stem}), encoding="utf-8")
        temporary.replace(file)


def _file(project: Project, what: str, subject: Any) -> Path:
    key = canonical_json([FORMAT, _source_stamp(), subject])
    return project.data / ".cache" / what / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


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
