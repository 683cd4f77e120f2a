"""Validated files, remembered by content and version, so that a repeated command neither parses nor checks.

An entry is found by everything that decides what a file means and that is known before reading it; it lists
the files that were read with the digest of their content, and counts only while all of them are the same. A
damaged or foreign entry is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints

from segbench import __version__, registry
from segbench.config.experiment import Cell, Experiment
from segbench.config.project import Project
from segbench.config.trial import TrialConfig, canonical_json

FORMAT: Final = 1


def folder() -> Path:
    """Return where entries are kept: `$SEGBENCH_CACHE`, or `~/.cache/segbench`."""
    return Path(os.environ.get("SEGBENCH_CACHE") or "~/.cache/segbench").expanduser()


def key_of(
    file: Path,
    name: str,
    scale: str | None,
    overrides: Sequence[str],
    project: Project,
    slurm: Sequence[str] = (),
) -> str:
    """Return the name of the entry of a file as asked for."""
    own = project.axes.rglob("*.py") if project.axes.is_dir() else ()
    return digest(
        canonical_json(
            {
                "format": FORMAT,
                "version": __version__,
                "source": _source_stamp(),
                "own": {str(path): _content(path) for path in sorted(own)},
                "file": str(file.resolve()),
                "root": str(project.root),
                "name": name,
                "scale": scale,
                "overrides": list(overrides),
                "slurm": list(slurm),
            }
        ).encode()
    )


def recall(key: str, project: Project) -> Experiment | None:
    """Return the experiment kept under a key, or None where there is none or a file has changed."""
    try:
        entry = json.loads((folder() / f"{key}.json").read_text(encoding="utf-8"))
        if entry["of"] != key:
            return None
        if any(_content(Path(path)) != content for path, content in entry["files"].items()):
            return None
        return experiment_from_json(entry["experiment"], project)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def keep(key: str, experiment: Experiment, files: Iterable[Path]) -> None:
    """Keep an experiment; a folder that cannot be written is no problem."""
    entry = {
        "of": key,
        "files": {str(path): _content(path) for path in files},
        "experiment": experiment_to_json(experiment),
    }
    keep_entry(key, entry)


def recall_entry(name: str) -> dict[str, Any]:
    """Return a mapping kept under a name; an empty one where there is none, or where it is damaged."""
    try:
        entry = json.loads((folder() / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return entry if isinstance(entry, dict) else {}


def keep_entry(name: str, entry: Mapping[str, Any]) -> None:
    """Keep a mapping of plain JSON types; a folder that cannot be written is no problem."""
    temporary = folder() / f"{name}.{os.getpid()}.tmp"
    with contextlib.suppress(OSError):
        folder().mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(entry), encoding="utf-8")
        temporary.replace(folder() / f"{name}.json")


def experiment_to_json(experiment: Experiment) -> dict[str, Any]:
    """Write an experiment as plain JSON types, less its project."""
    written = {f.name: getattr(experiment, f.name) for f in fields(experiment) if f.name != "project"}
    written["source"] = None if experiment.source is None else str(experiment.source)
    written["baseline"] = experiment.baseline.to_json()
    written["cells"] = _cells_to_json(experiment)
    for name in ("axes", "claims"):
        written[name] = [asdict(each) for each in written[name]]
    for name in ("design", "search", "tune"):
        written[name] = None if written[name] is None else asdict(written[name])
    return written


def experiment_from_json(written: Mapping[str, Any], project: Project) -> Experiment:
    """Read what `experiment_to_json` wrote."""
    kinds = [(name, kind) for name, kind in _kinds(Experiment) if name not in ("project", "cells")]
    values = {name: _read(kind, written[name]) for name, kind in kinds}
    cells = _cells_from_json(written["cells"], [axis.name for axis in values["axes"]])
    return Experiment(**values, cells=cells, project=project)


def _cells_to_json(experiment: Experiment) -> dict[str, Any]:
    """Write cells as numbers of what they have in common: a large design has few values of a field."""
    first = experiment.cells[0].config if experiment.cells else experiment.baseline
    names = [f.name for f in fields(first)]
    configs: list[list[TrialConfig]] = [[] for _ in names]
    numbers: list[dict[int, int]] = [{} for _ in names]
    rows = []
    for cell in experiment.cells:
        row = []
        for known, number, name in zip(configs, numbers, names, strict=True):
            value = id(getattr(cell.config, name))
            if value not in number:
                number[value] = len(known)
                known.append(cell.config)
            row.append(number[value])
        levels = [cell.levels.get(axis.name) for axis in experiment.axes]
        rows.append([levels, row, cell.config_hash])
    values = {
        name: [config.to_json()[name] for config in known] for name, known in zip(names, configs, strict=True)
    }
    return {"baseline": first.to_json(), "values": values, "rows": rows}


def _cells_from_json(written: Mapping[str, Any], axes: Sequence[str]) -> tuple[Cell, ...]:
    names = list(written["values"])
    read = [
        [getattr(TrialConfig.from_json({**written["baseline"], name: value}), name) for value in values]
        for name, values in written["values"].items()
    ]
    cells = []
    for labels, row, config_hash in written["rows"]:
        values = {name: known[number] for name, known, number in zip(names, read, row, strict=True)}
        levels = {axis: label for axis, label in zip(axes, labels, strict=True) if label is not None}
        cells.append(Cell(levels=levels, config=TrialConfig(**values), config_hash=config_hash))
    return tuple(cells)


def _read(kind: Any, value: Any) -> Any:
    """Turn JSON into what an annotation says: dataclasses, tuples, mappings and plain types."""
    if value is None:
        return None
    if isinstance(kind, UnionType):
        kind = next(arm for arm in kind.__args__ if arm is not NoneType)
    if kind is TrialConfig:
        return TrialConfig.from_json(value)
    if kind is Path:
        return Path(value)
    if isinstance(kind, type) and is_dataclass(kind):
        return kind(**{name: _read(inner, value[name]) for name, inner in _kinds(kind)})
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple:
        kinds = inner if inner[-1] is not Ellipsis else inner[:1] * len(value)
        return tuple(_read(each, item) for each, item in zip(kinds, value, strict=True))
    if origin is Mapping:
        return {key: _read(inner[1], item) for key, item in value.items()}
    return value


@cache
def _kinds(model: type) -> tuple[tuple[str, Any], ...]:
    return tuple(get_type_hints(model).items())


def _source_stamp() -> str:
    """Digest names, sizes and times of segbench's own source, which decides what is valid."""
    package = registry.AXES_FOLDER.parent
    found = [*registry.AXES_FOLDER.rglob("*.py"), *(package / "config").glob("*.py"), *package.glob("*.py")]
    stamps = [(str(p.relative_to(package)), (s := p.stat()).st_size, s.st_mtime_ns) for p in sorted(found)]
    return digest(repr(stamps).encode())


def _content(path: Path) -> str:
    return digest(path.read_bytes())


def digest(content: bytes) -> str:
    """Return the SHA-256 of a content, 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
