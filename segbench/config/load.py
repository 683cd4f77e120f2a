"""Reads an experiment's file and remembers the result.

An experiment costs pydantic and half a second to read, and milliseconds to take from the cache. An entry is
used as long as segbench and every file that was read for it are the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin, get_type_hints

from segbench import __version__, memory, registry
from segbench.config.experiment import Cell, Experiment
from segbench.config.project import Project
from segbench.config.trial import Hasher, TrialConfig, canonical_json
from segbench.errors import ExperimentError, message

if TYPE_CHECKING:
    from segbench.config.document import Node, Problems


FORMAT: Final = 1


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
    return memory.digest(
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
        entry = memory.recall(_entry(key)) or {}
        if any(_content(Path(path)) != content for path, content in entry["files"].items()):
            return None
        return experiment_from_json(entry["experiment"], project)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def keep(key: str, experiment: Experiment, files: Iterable[Path]) -> None:
    """Keep an experiment; a folder that cannot be written is no problem."""
    read = {str(path): _content(path) for path in files}
    memory.keep(_entry(key), {"files": read, "experiment": experiment_to_json(experiment)})


def _entry(key: str) -> Path:
    return memory.user_folder() / f"{key}.json"


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
    return memory.stamp(package, found)


def _content(path: Path) -> str:
    return memory.digest(path.read_bytes())


RECORD: Final = "experiment.yaml"
"""Name of the copy beside results."""
_SUFFIXES: Final = (".yaml", ".yml")
_TAKEN: Final = frozenset("/\\:*?\"<>|#%$&{}~^`'")
_LONGEST_NAME: Final = 200
"""Bytes: a file's name may have 255, and names of files are made from it."""


def name_of(path: Path) -> str:
    """Return the name of the experiment in a file: the file's without `.yaml` or `.yml`; other dots stay."""
    suffix = next((suffix for suffix in _SUFFIXES if path.name.endswith(suffix)), "")
    return path.name.removesuffix(suffix)


def _name_problem(name: str) -> str:
    """Return the rule that the name of an experiment breaks; empty: none."""
    if not name or name != name.strip() or not name.isprintable() or name[0] in ".-":
        return "an experiment's name begins with neither a space, a dot nor a dash, and stands on one line"
    if found := [character for character in name if character in _TAKEN]:
        return f"an experiment's name cannot hold {found[0]}, which a file system or LaTeX keeps for itself"
    if name.endswith(_SUFFIXES):
        return "an experiment's name cannot end like a file's"
    if len(name.encode()) > _LONGEST_NAME:
        return f"an experiment's name has {_LONGEST_NAME} bytes at most"
    return ""


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

    @property
    def full_name(self) -> str:
        """Name under `results/`."""
        return self.name if self.scale is None else f"{self.name}_{self.scale}"

    def check(self) -> None:
        """Refuse a name that no folder can have.

        Raises:
            ExperimentError: With the rule.
        """
        for name, cure in ((self.name, "Rename the file"), (self.full_name, "Rename the scale")):
            rule = "" if self.is_record else _name_problem(name)
            if rule:
                raise ExperimentError(message(shown_path(self.file), rule, got=name, see=cure))


def results_name(asked: str | Path) -> str:
    """Return the name under `results/` of what a user types where results alone are asked for.

    That is a name as it is, or the path of an experiment's file, of its results or of the copy beside them.
    """
    path = Path(asked).absolute()
    is_record = path.name == RECORD and path.parent.parent.name == "results"
    return path.parent.name if is_record else name_of(path)


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
    if path.is_dir() and (path / RECORD).is_file() and (os.sep in text or isinstance(asked, Path)):
        path = path / RECORD
    if text.endswith(_SUFFIXES) or path.is_file():
        return _at_path(path, text, scale)
    return _by_name(text, scale, Project.around(start))


def experiment_files(project: Project) -> dict[str, Path]:
    """Return name -> file of a project's experiments, by name, folders below `experiments/` included.

    Raises:
        ExperimentError: Two files have one name, which would share their results.
    """
    found: dict[str, Path] = {}
    for file in sorted(project.experiments.rglob("*.yaml"), key=lambda file: (name_of(file), file)):
        name = name_of(file)
        if name in found:
            where, other = shown_path(found[name]), shown_path(file)
            rule = f"this file and {other} would both be the experiment {name}"
            raise ExperimentError(message(where, rule, see="Rename one of them"))
        found[name] = file
    return found


def experiment_names(project: Project) -> tuple[str, ...]:
    """Return the names of a project's experiments."""
    return tuple(experiment_files(project))


def check_name(name: str, found: Located) -> None:
    """Check what `--as` calls an experiment.

    Raises:
        ExperimentError: It is no name for a folder, or that of another experiment of the project.
    """
    ends_wrongly = "a name must not end in _smoke: smoke tests do" if name.endswith("_smoke") else ""
    if rule := _name_problem(name) or ends_wrongly:
        raise ExperimentError(message("--as", rule, got=name))
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
    if path.name == RECORD and path.parent.parent == project.results:
        return _record(path, scale, project)
    files = experiment_files(project) if path.is_relative_to(project.experiments.resolve()) else {}
    if scale is not None:
        _check_unique(name_of(path), scale, files)
    return Located(path, name_of(path), scale, project, is_record=False)


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
    record = project.results / (name if scale is None else f"{name}_{scale}") / RECORD
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
    return sorted(file.parent.name for file in project.results.glob(f"*/{RECORD}"))


# Loading.


SMOKE_IMAGES: Final = 16
"""Images of each part of the split in a smoke test."""


def load_experiment(
    asked: str | Path,
    *,
    scale: str | None = None,
    overrides: Sequence[str] = (),
    slurm: Sequence[str] = (),
    smoke: bool = False,
    start: Path | None = None,
    name: str | None = None,
) -> Experiment:
    """Load an experiment, with every default written out and every mistake reported at once.

    Args:
        asked: A path, or the name of a file in the project's `experiments/` or a folder below it;
            `NAME_SCALE` is the name of a scale. Without such a file, the record in `results/NAME/` serves.
        scale: Asks for `NAME_SCALE`.
        overrides: `key.path=value` of `--set`: fields of the baseline, knobs, or seeds.
        slurm: `key=value` of `--slurm`: keys of the block `slurm`.
        smoke: Ask for `NAME_smoke` instead: one epoch, the first seed, few images.
        start: Where to look for the project; None: the current folder.
        name: What `--as` calls it in results and reports; no other experiment may have that name, nor its
            results lie there.

    Raises:
        ExperimentError: There is no such experiment, or it has mistakes.
    """
    found = locate(asked, scale=scale, start=start)
    found.check()
    if name is not None:
        check_name(name, found)
    registry.use_project(found.project.root)
    key = key_of(found.file, found.name, found.scale, overrides, found.project, slurm=slurm)
    experiment = recall(key, found.project)
    if experiment is None:
        experiment, files = _read_all(found, overrides, slurm)
        keep(key, experiment, files)
    if name is not None:
        experiment = replace(experiment, name=name)
        _check_results(experiment)
    return smoke_test(experiment) if smoke else experiment


def files_of(experiment: Experiment) -> list[Path]:
    """Return the files that an experiment was read from: its own and those that it extends.

    Raises:
        ExperimentError: One cannot be read any more.
    """
    from segbench.config.assemble import read_merged
    from segbench.config.document import Problems

    return (
        [] if experiment.source is None else read_merged(experiment.source, Problems(), shown=shown_path)[1]
    )


def smoke_test(experiment: Experiment) -> Experiment:
    """Return the experiment made tiny: every cell for one epoch at its first seed and fold, on few images."""

    def narrowed(config: TrialConfig) -> TrialConfig:
        return replace(config, epochs=1, max_images=SMOKE_IMAGES, early_stopping=None)

    hasher = Hasher()

    def cell(of: Cell) -> Cell:
        config = narrowed(of.config)
        return Cell(levels=of.levels, config=config, config_hash=hasher.config_hash(config))

    search = None if experiment.search is None else replace(experiment.search, num_trials=2)
    tune = experiment.tune
    if tune is not None:
        tune = replace(tune, search=replace(tune.search, num_trials=2), repeats=1)
    seeds = experiment.seeds[:1]
    baseline = {**experiment.document["baseline"], "epochs": 1, "max_images": SMOKE_IMAGES}
    baseline.pop("early_stopping", None)
    document = {**experiment.document, "baseline": baseline, "seeds": list(seeds)}
    if search is not None:
        document["search"] = {**document["search"], "trials": 2}
    if tune is not None:
        document["tune"] = {**document["tune"], "trials": 2, "repeats": 1}
    return replace(
        experiment,
        name=f"{experiment.name}_smoke",
        document=document,
        baseline=narrowed(experiment.baseline),
        cells=tuple(cell(of) for of in experiment.cells),
        seeds=seeds,
        looks=(),
        num_folds=1,
        search=search,
        tune=tune,
    )


def _read_all(
    found: Located, overrides: Sequence[str], slurm: Sequence[str]
) -> tuple[Experiment, list[Path]]:
    # Not at the top: a remembered experiment needs none of it.
    from segbench.config.assemble import apply_overrides, apply_scale, assemble, read_merged
    from segbench.config.document import Problems
    from segbench.config.resolve import import_files
    from segbench.config.slurm import apply_slurm

    problems = Problems()
    document, files = read_merged(found.file, problems, shown=shown_path)
    name = found.name
    if found.scale is not None:
        _check_scale(document, found.scale, found.file, problems)
        document = apply_scale(document, found.scale, problems).without("scales")
        name = f"{name}_{found.scale}"
    document, applied = apply_overrides(document, overrides, problems)
    document = apply_slurm(document, slurm, problems)
    experiment = assemble(
        document, problems, name=name, project=found.project, source=found.file, overrides=applied
    )
    configs = [experiment.baseline, *(cell.config for cell in experiment.cells)]
    return experiment, [*files, *{file for config in configs for file in import_files(config)}]


def _check_results(experiment: Experiment) -> None:
    """Check that results under the name that `--as` gave may be those of this file.

    What was changed in a file leaves it its question, or an axis; where neither is left, the record is that
    of another experiment, and a sweep would write over what may be the only copy.

    Raises:
        ExperimentError: They are those of another experiment, whose own file is gone.
    """
    record = experiment.project.results / experiment.name / "experiment.yaml"
    try:
        other = load_experiment(record) if record.is_file() else experiment
    except ExperimentError:
        return  # of another version: a sweep says what it cannot read
    varied = [{a.name for a in each.axes} | _searched(each) for each in (experiment, other)]
    if other.question == experiment.question or varied[0] & varied[1] or varied == [set(), set()]:
        return
    rule = f"{shown_path(record.parent)} has the results of another experiment"
    see = f"It asked: {other.question} Choose another name"
    raise ExperimentError(message("--as", rule, got=experiment.name, see=see))


def _searched(experiment: Experiment) -> set[str]:
    return set() if experiment.search is None else {p.name for p in experiment.search.parameters}


def _check_scale(document: Node, scale: str, file: Path, problems: Problems) -> None:
    scales: Any = document.get("scales")
    known = list(scales.value) if scales is not None and scales.is_mapping else []
    if scale not in known:
        where = shown_path(file) if scales is None else str(document.key_place("scales"))
        raise ExperimentError(message(where, "there is no such scale", got=scale, known=known))
