"""An experiment as the rest of segbench sees it: read, checked and resolved, without positions or YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segbench.config.project import Project
from segbench.config.trial import TrialConfig


@dataclass(frozen=True)
class Level:
    """One labelled setting of an axis."""

    label: str
    changes: Mapping[str, Any]
    """Target -> value as written: a field (`norm`) or a knob path (`optimizer.lr`)."""


@dataclass(frozen=True)
class Axis:
    """What varies."""

    name: str
    levels: tuple[Level, ...]
    baseline: str
    """Label of the level that the others are compared with."""

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(level.label for level in self.levels)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A combination of levels, resolved."""

    levels: Mapping[str, str]
    """Axis -> label, in the order of the axes."""
    config: TrialConfig
    config_hash: str

    @property
    def label(self) -> str:
        """Text such as `unet, DyT`; `baseline` without axes."""
        return ", ".join(self.levels.values()) or "baseline"


@dataclass(frozen=True, kw_only=True)
class PlannedTrial:
    """A cell with one seed and fold; its hash needs the data's fingerprint."""

    cell: Cell
    seed: int
    fold: int
    data_fingerprint: str
    identity: str

    @property
    def hash(self) -> str:
        return self.identity[:12]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One expectation written in the file, checked against its levels.

    `axis: left OP right`, judged on `metric` at the levels `at` (marginal over every other axis). `OP` is
    `>`, `<`, `==` (equivalent within the margin) or `/` (the ratio lies in `between`). A claim of `text` is
    outside the grammar: it is printed as "not judged".
    """

    source: str
    """The claim as written, on one line."""
    text: str | None = None
    axis: str | None = None
    left: str | None = None
    op: str | None = None
    right: str | None = None
    at: Mapping[str, str] = field(default_factory=dict)
    metric: str = "test_dice"
    on: str = "test_set"
    """`test_set` or `new_images`: which interval judges it."""
    between: tuple[float, float] | None = None
    among: Mapping[str, str] = field(default_factory=dict)
    """Sub-group of the test images that counts: division -> label; empty: all."""


@dataclass(frozen=True, kw_only=True)
class SearchParameter:
    """One dimension of a search space."""

    name: str
    path: str
    """Target it writes: a field or a knob path."""
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    is_integer: bool = False
    levels: tuple[Level, ...] = ()
    """Categorical: labelled settings instead of bounds."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A space handed to an Optuna sampler instead of a design."""

    parameters: tuple[SearchParameter, ...]
    sampler: str
    """`tpe` or `random`."""
    sampler_seed: int
    pruner: str
    """`none`, `median` or `hyperband`."""
    pruner_warmup_epochs: int
    num_trials: int


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One YAML file, one question."""

    name: str
    """The file's stem, with `_<scale>` where a scale was asked for."""
    question: str
    project: Project
    source: Path | None
    """The file it was read from."""
    document: Mapping[str, Any]
    """The document with extends, scale and `--set` applied: what `results/<name>/experiment.yaml` holds."""
    baseline: TrialConfig
    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]
    """In their deterministic order; empty where `search` is given."""
    seeds: tuple[int, ...]
    num_folds: int
    margin: float | None
    outcome: str
    """The test metric that verdicts are about, such as `test_dice`."""
    claims: tuple[Claim, ...]
    subgroups: tuple[str, ...] = ()
    """Attributes and facts of the test images that the report divides them by."""
    search: Search | None = None
    allow_flawed: bool = False
    """Whether variants may run that make a known mistake on purpose."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """What `--set` changed."""

    def axis(self, name: str) -> Axis:
        return next(a for a in self.axes if a.name == name)
