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
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Final

from segbench import __version__, registry
from segbench.config.experiment import Axis, Cell, Claim, Experiment, Level, Search, SearchParameter
from segbench.config.project import Project
from segbench.config.trial import TrialConfig, canonical_json

FORMAT: Final = 1


def folder() -> Path:
    """Return where entries are kept: `$SEGBENCH_CACHE`, or `~/.cache/segbench`."""
    return Path(os.environ.get("SEGBENCH_CACHE") or "~/.cache/segbench").expanduser()


def key_of(file: Path, name: str, scale: str | None, overrides: Sequence[str], project: Project) -> str:
    """Return the name of the entry of a file as asked for."""
    own = project.axes.rglob("*.py") if project.axes.is_dir() else ()
    return _digest(
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
            }
        ).encode()
    )


def recall(key: str, project: Project) -> Experiment | None:
    """Return the experiment kept under a key, or None where there is none or a file has changed."""
    try:
        entry = json.loads((folder() / f"{key}.json").read_text(encoding="utf-8"))
        if any(_content(Path(path)) != digest for path, digest in entry["files"].items()):
            return None
        return experiment_from_json(entry["experiment"], project)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def keep(key: str, experiment: Experiment, files: Iterable[Path]) -> None:
    """Keep an experiment; a folder that cannot be written is no problem."""
    entry = {
        "files": {str(path): _content(path) for path in files},
        "experiment": experiment_to_json(experiment),
    }
    temporary = folder() / f"{key}.{os.getpid()}.tmp"
    with contextlib.suppress(OSError):
        folder().mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(entry), encoding="utf-8")
        temporary.replace(folder() / f"{key}.json")


def experiment_to_json(experiment: Experiment) -> dict[str, Any]:
    """Write an experiment as plain JSON types, less its project."""
    written = {f.name: getattr(experiment, f.name) for f in fields(experiment) if f.name != "project"}
    written["source"] = None if experiment.source is None else str(experiment.source)
    written["baseline"] = experiment.baseline.to_json()
    written["cells"] = [
        {"levels": dict(c.levels), "config": c.config.to_json(), "config_hash": c.config_hash}
        for c in experiment.cells
    ]
    for name in ("axes", "claims"):
        written[name] = [asdict(each) for each in written[name]]
    written["search"] = None if experiment.search is None else asdict(experiment.search)
    return written


def experiment_from_json(written: Mapping[str, Any], project: Project) -> Experiment:
    """Read what `experiment_to_json` wrote."""
    return Experiment(
        **{
            **written,
            "project": project,
            "source": None if written["source"] is None else Path(written["source"]),
            "baseline": TrialConfig.from_json(written["baseline"]),
            "axes": tuple(replace(Axis(**axis), levels=_levels(axis["levels"])) for axis in written["axes"]),
            "cells": tuple(
                Cell(**{**cell, "config": TrialConfig.from_json(cell["config"])}) for cell in written["cells"]
            ),
            "claims": tuple(_claim(claim) for claim in written["claims"]),
            "search": None if written["search"] is None else _search(written["search"]),
            "seeds": tuple(written["seeds"]),
            "subgroups": tuple(written["subgroups"]),
        }
    )


def _levels(written: Sequence[Mapping[str, Any]]) -> tuple[Level, ...]:
    return tuple(Level(**level) for level in written)


def _claim(written: Mapping[str, Any]) -> Claim:
    between = written["between"]
    return Claim(**{**written, "between": None if between is None else tuple(between)})


def _search(written: Mapping[str, Any]) -> Search:
    parameters = tuple(
        SearchParameter(**{**parameter, "levels": _levels(parameter["levels"])})
        for parameter in written["parameters"]
    )
    return Search(**{**written, "parameters": parameters})


def _source_stamp() -> str:
    """Digest names, sizes and times of segbench's own source, which decides what is valid."""
    package = registry.AXES_FOLDER.parent
    found = [*registry.AXES_FOLDER.rglob("*.py"), *(package / "config").glob("*.py"), *package.glob("*.py")]
    stamps = [(str(p.relative_to(package)), (s := p.stat()).st_size, s.st_mtime_ns) for p in sorted(found)]
    return _digest(repr(stamps).encode())


def _content(path: Path) -> str:
    return _digest(path.read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
