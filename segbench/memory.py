"""Remembers in JSON files what was found out: one that is lost, damaged or foreign costs time alone."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

FORMAT: Final = 1
_PACKAGE: Final = Path(__file__).parent
_LIBRARIES: Final = ("torch", "torchvision", "albumentations", "segmentation-models-pytorch", "numpy")


def user_folder() -> Path:
    """Return the folder of what is no project's own: `$SEGBENCH_CACHE`, or `~/.cache/segbench`."""
    return Path(os.environ.get("SEGBENCH_CACHE") or "~/.cache/segbench").expanduser()


def place(folder: Path, subject: Any) -> Path:
    """Return the file about a subject; another one once segbench or a library that it builds on has changed.

    Args:
        folder: One for each kind of knowledge.
        subject: Everything that decides it, as plain JSON types.
    """
    key = json.dumps([FORMAT, _own_stamp(), subject], sort_keys=True)
    return folder / f"{digest(key.encode())[:32]}.json"


def recall(file: Path, of: Any = None) -> dict[str, Any] | None:
    """Return what was kept in a file; None if there is nothing, or if it was kept of something else.

    Args:
        file: Where it was kept.
        of: What `keep` was told.
    """
    try:
        entry = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_its_own = isinstance(entry, dict) and entry.pop("of", None) == (of or file.stem)
    return entry if is_its_own else None


def keep(file: Path, content: Mapping[str, Any], of: Any = None) -> None:
    """Keep plain JSON types; a folder that cannot be written is no problem.

    Args:
        file: Where to keep it; its folder is made.
        content: What to keep.
        of: What it is about, as plain JSON types; None: the file's name tells.
    """
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, json.dumps({**content, "of": of or file.stem}))


def write(file: Path, text: str) -> None:
    """Put a text into a file by renaming: another process reads the old one or the new one.

    Raises:
        OSError: It cannot be written; nothing is left behind.
    """
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def digest(content: bytes) -> str:
    """Return the SHA-256 of a content, 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def stamp(root: Path, files: Iterable[Path]) -> str:
    """Digest names below a folder, sizes and times of files."""
    stats = ((file, file.stat()) for file in sorted(files))
    return digest(repr([(str(f.relative_to(root)), s.st_size, s.st_mtime_ns) for f, s in stats]).encode())


@cache
def _own_stamp() -> str:
    """Digest segbench's own source as it is on the disk, and the versions of what it builds on."""
    return stamp(_PACKAGE, _PACKAGE.rglob("*.py")) + repr([*map(_version, _LIBRARIES)])


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
