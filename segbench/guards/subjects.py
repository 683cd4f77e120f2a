"""What is going to be trained, as guards look at it: cells without seeds, and the data that they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from segbench.config.expand import parameter_ends
from segbench.config.experiment import Cell, Experiment
from segbench.config.trial import TrialConfig, canonical_json, variant_digests
from segbench.data import build_source, find_pixels, fingerprint
from segbench.data.cache import CachedPixels
from segbench.data.prepared import split_samples
from segbench.plan.plan import Plan
from segbench.samples import PARTS, Sample

_MOST_CELLS: Final = 3


def cells_of(plan: Plan) -> tuple[Cell, ...]:
    """Return the cells that a plan is about, each configuration once.

    A search has none before its sampler asks: its baseline stands for them, and the baseline with each
    parameter at its bounds or levels. A tuned design has its cells as designed.
    """
    if plan.experiment.search is not None:
        cells: Iterable[Cell] = parameter_ends(plan.experiment)
    elif plan.tunings:
        cells = [tuning.cell for tuning in plan.tunings]
    else:
        cells = [entry.trial.cell for entry in plan.entries]
    found: dict[str, Cell] = {}
    for cell in cells:
        found.setdefault(cell.config_hash, cell)
    return tuple(found.values())


def has_work(plan: Plan) -> bool:
    """Whether something is left to train; a search is asked elsewhere whether it is over."""
    return bool(plan.to_run) or plan.experiment.search is not None or not plan.is_tuned


def facts_of(plan: Plan) -> dict[str, Any]:
    """Return what decides the findings about a plan's work, as plain JSON types: no seeds in it."""
    experiment = plan.experiment
    fingerprints = fingerprints_of(plan)
    return {
        "experiment": experiment.name,
        "axes": [[axis.name, axis.baseline, list(axis.labels)] for axis in experiment.axes],
        "cells": [
            [dict(cell.levels), cell.config_hash, fingerprints[data_key(cell.config)]]
            for cell in cells_of(plan)
        ],
        "variants": [variant_digests(cell.config) for cell in cells_of(plan)],
        "allow_flawed": experiment.allow_flawed,
    }


def fingerprints_of(plan: Plan) -> dict[str, str]:
    """Return `data_key` -> fingerprint of the data and their split, for every cell of the plan."""
    known = {data_key(e.trial.cell.config): e.trial.data_fingerprint for e in plan.entries}
    for cell in cells_of(plan):
        key = data_key(cell.config)
        if key not in known:
            known[key] = fingerprint(cell.config, plan.experiment.project)
    return known


def data_key(config: TrialConfig) -> str:
    """Name what decides which images go into which part of the split."""
    return canonical_json([config.dataset.to_json(), config.split.to_json(), config.max_images])


def place(experiment: Experiment, what: str, cells: Sequence[Cell], *, of: Sequence[Cell]) -> str:
    """Name a field as messages do: of the experiment where all cells are meant, else of these."""
    if len(cells) == len(of):
        return f"{experiment.name}: {what}"
    names = [_name(experiment, cell) for cell in cells]
    more = f" and {len(names) - _MOST_CELLS} more" if len(names) > _MOST_CELLS else ""
    return f"{experiment.name}: {what} ({'; '.join(names[:_MOST_CELLS])}{more})"


def _name(experiment: Experiment, cell: Cell) -> str:
    """Name a cell; in a search by what it sets."""
    if experiment.search is None:
        return cell.label
    return ", ".join(f"{name} = {value}" for name, value in cell.levels.items()) or cell.label


def distinct_data(plan: Plan) -> tuple[TrialConfig, ...]:
    """Return one configuration for each data set of what is left to train."""
    if plan.experiment.search is not None or not plan.is_tuned:
        configs = [cell.config for cell in cells_of(plan)]
    else:
        configs = [entry.trial.cell.config for entry in plan.to_run]
    return tuple({canonical_json(config.dataset.to_json()): config for config in configs}.values())


@dataclass(frozen=True)
class DataSubject:
    """A data set with its split, as the cells that share them see it."""

    experiment: Experiment
    cells: tuple[Cell, ...]
    samples: tuple[Sample, ...]
    folds: tuple[Mapping[str, np.ndarray], ...]
    """Part -> sample numbers, fold by fold."""
    pixels: CachedPixels | None
    """None: not decoded yet."""

    @classmethod
    def of(cls, experiment: Experiment, cells: tuple[Cell, ...]) -> DataSubject:
        """Read the index of the data set that cells share; pixels are decoded by no guard.

        Raises:
            DataError: The data set is missing, or cannot be split as asked.
        """
        config = cells[0].config
        source = build_source(config, experiment.project)
        folds = split_samples(config, source)
        return cls(
            experiment=experiment,
            cells=cells,
            samples=source.samples(),
            folds=tuple({p: np.asarray(fold[p], dtype=np.int64) for p in PARTS} for fold in folds),
            pixels=find_pixels(config, experiment.project),
        )

    @property
    def config(self) -> TrialConfig:
        """A configuration that has this data set and split."""
        return self.cells[0].config

    @property
    def place(self) -> str:
        """How messages name it."""
        return f"{self.experiment.name}: dataset.{self.config.dataset.name}"
