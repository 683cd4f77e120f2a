"""From what a user types to a file: a path, a name, or a name with a scale's name behind it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from segbench.config.project import Project
from segbench.errors import ExperimentError, message

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Located:
    """An experiment's file and name."""

    file: Path
    name: str
    """Without a scale."""
    scale: str | None
    project: Project
    is_record: bool
    """Whether the file is the copy beside results: merged already, its name and scale decided."""


def locate(asked: str | Path, *, scale: str | None = None, start: Path | None = None) -> Located:
    """Find the file of an experiment.

    Args:
        asked: A path to a file (or to a folder of results), or the name of a file in `experiments/` or a
            folder below it, or such a name with `_SCALE` behind it.
        scale: A scale asked for apart from the name.
        start: Where to look for the project; None: the current folder.

    Raises:
        ExperimentError: There is none, or two things have that name.
    """
    start = Path.cwd() if start is None else Path(start)
    text = str(asked)
    path = start / Path(text).expanduser()
    if path.is_dir() and (path / "experiment.yaml").is_file() and (os.sep in text or isinstance(asked, Path)):
        path = path / "experiment.yaml"
    if text.endswith((".yaml", ".yml")) or path.is_file():
        return _at_path(path, text, scale)
    return _by_name(text, scale, Project.around(start))


def experiment_files(project: Project) -> dict[str, Path]:
    """Return name -> file of a project's experiments, by name, folders below `experiments/` included.

    Raises:
        ExperimentError: Two files have one name, which would share their results.
    """
    found: dict[str, Path] = {}
    for file in sorted(project.experiments.rglob("*.yaml"), key=lambda file: (file.stem, file)):
        if file.stem in found:
            where, other = shown_path(found[file.stem]), shown_path(file)
            rule = f"this file and {other} would both be the experiment {file.stem}"
            raise ExperimentError(message(where, rule, see="Rename one of them"))
        found[file.stem] = file
    return found


def experiment_names(project: Project) -> tuple[str, ...]:
    """Return the names of a project's experiments."""
    return tuple(experiment_files(project))


def check_name(name: str, found: Located) -> None:
    """Check what `--as` calls an experiment.

    Raises:
        ExperimentError: It is no name for a folder, or that of another experiment of the project.
    """
    if not _NAME.fullmatch(name) or name.endswith("_smoke"):
        rule = "a name has letters, digits, `_`, `-` and `.`, begins with a letter or digit"
        raise ExperimentError(message("--as", f"{rule}, and does not end in _smoke", got=name))
    files = experiment_files(found.project)
    other = files.get(name)
    if other is not None and other != found.file:
        raise ExperimentError(message("--as", f"{shown_path(other)} has this name", got=name))
    of_scale = _file_of_scale(name, files)
    if of_scale is not None and (files[of_scale[0]], of_scale[1]) != (found.file, found.scale):
        rule = f"this is the scale {of_scale[1]} of {shown_path(files[of_scale[0]])}"
        raise ExperimentError(message("--as", rule, got=name))


def shown_path(path: Path) -> str:
    """Write a path as messages call it: relative to the current folder where it lies below."""
    path = path.resolve()
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _at_path(path: Path, text: str, scale: str | None) -> Located:
    if not path.is_file():
        beside = [file.name for file in sorted(path.parent.glob("*.yaml"))] if path.parent.is_dir() else []
        raise ExperimentError(message(text, "there is no such file", got=path.name, known=beside))
    path = path.resolve()
    project = Project.around(path)
    if path.name == "experiment.yaml" and path.parent.parent == project.results:
        return _record(path, scale, project)
    files = experiment_files(project) if path.is_relative_to(project.experiments.resolve()) else {}
    if scale is not None:
        _check_unique(path.stem, scale, files)
    return Located(path, path.stem, scale, project, is_record=False)


def _by_name(name: str, scale: str | None, project: Project) -> Located:
    files = experiment_files(project)
    of_scale = _file_of_scale(name, files)
    if name in files:
        if of_scale is not None:
            _check_unique(*of_scale, files)
        if scale is not None:
            _check_unique(name, scale, files)
        return Located(files[name], name, scale, project, is_record=False)
    if of_scale is not None and scale is None:
        stem, found = of_scale
        return Located(files[stem], stem, found, project, is_record=False)
    record = project.results / (name if scale is None else f"{name}_{scale}") / "experiment.yaml"
    if record.is_file():
        return _record(record, None, project)
    known = [*files, *_recorded(project)]
    see = (
        None
        if known
        else f"There is no experiment in {shown_path(project.experiments)}; `segbench init` makes one"
    )
    where = shown_path(project.experiments)
    raise ExperimentError(
        message(where, "there is no experiment of this name", got=name, known=dict.fromkeys(known), see=see)
    )


def _record(file: Path, scale: str | None, project: Project) -> Located:
    if scale is not None:
        rule = "the record beside results has one scale, the one it was run at"
        raise ExperimentError(message(shown_path(file), rule, got=scale))
    return Located(file, file.parent.name, None, project, is_record=True)


def _file_of_scale(name: str, files: Mapping[str, Path]) -> tuple[str, str] | None:
    """Split `norm_ablation_small` where there is a file of the first part that has a scale of the second."""
    for match in reversed(list(re.finditer("_", name))):
        stem, scale = name[: match.start()], name[match.end() :]
        if scale and stem in files and _mentions(files[stem], scale):
            return stem, scale
    return None


def _mentions(file: Path, scale: str) -> bool:
    """Whether a file may have the scale; parsing it is left to the loader."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    scales = re.search(r"^scales\s*:(.*)", text, re.MULTILINE | re.DOTALL)
    is_named = scales is not None and re.search(rf"""[\s{{,'"]{re.escape(scale)}['"]?\s*:""", scales[1])
    return bool(is_named) or re.search(r"^extends\s*:", text, re.MULTILINE) is not None


def _check_unique(stem: str, scale: str, files: Mapping[str, Path]) -> None:
    other = files.get(f"{stem}_{scale}")
    if other is not None:
        rule = f"the scale {scale} of {stem}.yaml and this file would both be the experiment {stem}_{scale}"
        raise ExperimentError(message(shown_path(other), rule, see="Rename the scale or the file"))


def _recorded(project: Project) -> list[str]:
    return sorted(file.parent.name for file in project.results.glob("*/experiment.yaml"))
