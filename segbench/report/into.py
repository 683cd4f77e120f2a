"""`segbench report --into DIR`: the LaTeX side of a report in a paper's folder, kept up to date there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from segbench.errors import ResultsError, message
from segbench.report.build import owned_names
from segbench.store.atomic import write_bytes

MANIFEST: Final = "segbench-files.json"
"""In the folder: which files were put there, with their digests."""

_PARTS: Final = (".tex", ".pdf", ".png", ".csv")


@dataclass(frozen=True)
class Placed:
    """What a call of `write_into` did."""

    changed: tuple[Path, ...]
    removed: tuple[Path, ...]
    kept: tuple[Path, ...]
    """No longer part of the report, but edited since: left where they are."""


def write_into(report: Path, target: Path, *, name: str) -> Placed:
    """Copy tables, figures (`.tex`, `.pdf`, `.png`), data and `numbers.tex` of a report.

    Only what differs is written. A file that an earlier call put there and that the report no longer has is
    removed, unless it was edited; no other file is touched.

    Args:
        report: `reports/<experiment>/`, just written.
        target: Made where missing.
        name: The experiment's; a folder holds one experiment.

    Raises:
        ResultsError: The folder holds another experiment's files, or files of these names that segbench did
            not write; then nothing is written.
    """
    files = {file: (report / file).read_bytes() for file in _files(report)}
    before = _read_manifest(target / MANIFEST, name)
    strange = [f for f in files if f not in before and _differs(target / f, files[f])]
    if strange:
        rule = f"there are files that segbench did not write: {', '.join(strange[:5])}"
        raise ResultsError(message(str(target), rule, see="Give --into a folder of its own"))
    gone = [target / file for file in before if file not in files and (target / file).is_file()]
    edited = [path for path in gone if _sha(path) != before[path.relative_to(target).as_posix()]]
    removed = [path for path in gone if path not in edited]
    for path in removed:
        path.unlink()
    changed = []
    for file, content in files.items():
        path = target / file
        if path.is_file() and path.read_bytes() == content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
        changed.append(path)
    digests = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    text = json.dumps({"experiment": name, "files": digests}, indent=1, ensure_ascii=False) + "\n"
    if _differs(target / MANIFEST, text.encode(), if_missing=True):
        write_bytes(target / MANIFEST, text.encode())
    return Placed(tuple(changed), tuple(removed), tuple(edited))


def _files(report: Path) -> list[str]:
    wanted = {file for file in owned_names() if file.endswith(_PARTS)} | {"numbers.tex"}
    pictures = {f"figures/{path.name}" for path in (report / "figures").glob("panels.*")} - {
        "figures/panels.txt"
    }
    return sorted(file for file in wanted | pictures if (report / file).is_file())


def _read_manifest(path: Path, name: str) -> Mapping[str, str]:
    if not path.is_file():
        return {}
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        experiment, files = read["experiment"], dict(read["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        rule = "the list of files that segbench wrote here cannot be read"
        raise ResultsError(message(str(path), rule, see="Delete it and the files")) from error
    if experiment != name:
        rule = "this folder holds the files of another experiment"
        see = "Give each experiment a folder of its own"
        raise ResultsError(message(str(path.parent), rule, got=experiment, see=see))
    return {str(file): str(digest) for file, digest in files.items() if ".." not in Path(file).parts}


def _differs(path: Path, content: bytes, *, if_missing: bool = False) -> bool:
    return path.read_bytes() != content if path.is_file() else if_missing


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
