"""Loads experiments: found by path or name, merged, checked, and remembered once they are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from segbench import registry
from segbench.config import remembered
from segbench.config.experiment import Cell, Experiment
from segbench.config.locate import Located, check_name, locate, shown_path
from segbench.config.trial import Hasher, TrialConfig
from segbench.errors import ExperimentError, message

if TYPE_CHECKING:
    from segbench.config.document import Node
    from segbench.config.problems import Problems

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
    if name is not None:
        check_name(name, found)
    registry.use_project(found.project.root)
    key = remembered.key_of(found.file, found.name, found.scale, overrides, found.project, slurm=slurm)
    experiment = remembered.recall(key, found.project)
    if experiment is None:
        experiment, files = _read(found, overrides, slurm)
        remembered.keep(key, experiment, files)
    if name is not None:
        experiment = replace(experiment, name=name)
        _check_results(experiment)
    return smoke_test(experiment) if smoke else experiment


def files_of(experiment: Experiment) -> list[Path]:
    """Return the files that an experiment was read from: its own and those that it extends.

    Raises:
        ExperimentError: One cannot be read any more.
    """
    from segbench.config.merge import read_merged
    from segbench.config.problems import Problems

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


def _read(found: Located, overrides: Sequence[str], slurm: Sequence[str]) -> tuple[Experiment, list[Path]]:
    # Not at the top: a remembered experiment needs none of it.
    from segbench.config.assemble import assemble
    from segbench.config.merge import apply_overrides, apply_scale, read_merged
    from segbench.config.problems import Problems
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
