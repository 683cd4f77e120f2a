"""An experiment as the rest of segbench sees it: read, checked and resolved, without positions or YAML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
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
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Other axis -> labels: where a cell has none of these labels, this axis has no level in it."""

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(level.label for level in self.levels)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A combination of levels, resolved."""

    levels: Mapping[str, str]
    """Axis -> label, in the order of the axes; an axis whose `when` does not hold is missing."""
    config: TrialConfig
    config_hash: str

    @property
    def label(self) -> str:
        """Text such as `unet, DyT`; `baseline` without axes."""
        return ", ".join(self.levels.values()) or "baseline"


@dataclass(frozen=True, kw_only=True)
class Alias:
    """What an effect of a fractional design cannot be told from."""

    effect: tuple[str, ...]
    """The axes that interact; one: its main effect."""
    others: tuple[tuple[str, ...], ...]
    """Effects of the same contrast, up to interactions of three axes."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """How the cells were chosen, as far as the analysis depends on it."""

    kind: str = "factorial"
    """`factorial`, `one_at_a_time`, `leave_one_out`, `fractional`, `cells` or `union`."""
    zipped: tuple[tuple[str, ...], ...] = ()
    """Groups of axes that change together: one factor under several names."""
    resolution: int | None = None
    """Of a fractional design."""
    aliases: tuple[Alias, ...] = ()
    """Of a fractional design: every main effect and interaction of two axes that has any."""

    def confounders(self, effect: Iterable[str]) -> tuple[tuple[str, ...], ...]:
        """Return the main effects and interactions of two axes that an effect cannot be told from.

        Larger interactions are taken to be small, as is usual, and do not count.
        """
        wanted = set(effect)
        found = (alias.others for alias in self.aliases if set(alias.effect) == wanted)
        return tuple(other for others in found for other in others if len(other) <= 2)


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
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of a tuning: axis -> labels; cells with another level are tuned without it."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Return what it writes: the targets of its levels, each once, else its path."""
        changed = dict.fromkeys(target for level in self.levels for target in level.changes)
        return tuple(changed) or (self.path,)

    def holds_in(self, levels: Mapping[str, str]) -> bool:
        """Whether a cell of these levels has the parameter."""
        return all(levels.get(axis) in labels for axis, labels in self.when.items())


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a search optimises."""

    metric: str
    """A validation metric, or a cost: one of `quantities.LIMITS`."""
    direction: str
    """`maximize` or `minimize`."""


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """A bound that the proposals of a search are to keep."""

    metric: str
    """As of a `Goal`."""
    low: float | None = None
    high: float | None = None

    def violation(self, value: float | None) -> float:
        """Return how far outside its bounds a value lies, as a share of the bound.

        0 or less: inside; infinite: there is no value.
        """
        if value is None or value != value:
            return math.inf
        outside = [(self.low, self.low - value)] if self.low is not None else []
        outside += [(self.high, value - self.high)] if self.high is not None else []
        return max(excess / (abs(bound) or 1.0) for bound, excess in outside)


@dataclass(frozen=True, kw_only=True)
class Search:
    """A space handed to an Optuna sampler instead of a design."""

    parameters: tuple[SearchParameter, ...]
    sampler: str = "tpe"
    """Short name of a sampler of Optuna."""
    sampler_seed: int = 0
    pruner: str = "none"
    """Short name of a pruner of Optuna."""
    pruner_warmup_epochs: int = 0
    num_trials: int = 1
    sampler_settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the sampler that the file gives, without its seed."""
    pruner_settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the pruner that the file gives, without its warm-up."""
    goals: tuple[Goal, ...] = ()
    """Several goals; empty: the experiment's objective alone."""
    constraints: tuple[Constraint, ...] = ()
    enqueue: tuple[Mapping[str, Any], ...] = ()
    """Proposals that come first: parameter -> value or label, each complete."""
    warm_start: tuple[str, ...] = ()
    """Experiments whose finished proposals over this space the sampler knows before it proposes."""
    num_replicated: int = 1
    """Proposals at the end that are trained with the other seeds: the best, or so many Pareto points."""

    @property
    def measures(self) -> tuple[str, ...]:
        """Metrics besides the objective that a proposal is told by, each once."""
        metrics = [goal.metric for goal in self.goals] + [each.metric for each in self.constraints]
        return tuple(dict.fromkeys(metrics))


@dataclass(frozen=True, kw_only=True)
class Tune:
    """A study of its own over nuisance knobs for every cell, with an equal budget."""

    search: Search
    """The space, sampler and budget of one study; its pruner prunes tuning trials only."""
    seed: int
    """Seed of the tuning trials of repeat 0, 1 more for each further repeat; none of them is in `seeds`."""
    repeats: int = 1
    """How often a cell is tuned afresh; replicate i takes the winner of repeat i modulo `repeats`."""

    def search_of(self, cell: Cell) -> Search:
        """Return the search of one cell: the parameters that it has."""
        parameters = tuple(p for p in self.search.parameters if p.holds_in(cell.levels))
        return replace(self.search, parameters=parameters)


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
    design: Design = Design()
    looks: tuple[int, ...] = ()
    """Numbers of seeds at which claims are judged, ascending, the last is all; empty: once, at the end."""
    tune: Tune | None = None
    expected_seed_sd: float | None = None
    """What the file expects the outcome's standard deviation over seeds to be, before there are records."""
    slurm: Mapping[str, Any] = field(default_factory=dict)
    """The block `slurm:` with its defaults; no part of any identity."""
    allow_flawed: bool = False
    """Whether variants may run that make a known mistake on purpose."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """What `--set` changed."""
    foreign: str = ""
    """Name of the file that holds the results, where they were made elsewhere (`report --from`): the
    configurations then say nothing."""

    @property
    def kind(self) -> Design | Search | Tune:
        """Who says which trials there are: the design, a sampler, or a sampler per cell."""
        return self.search or self.tune or self.design

    def first_seeds(self, number: int) -> Experiment:
        """Return the experiment with the first seeds alone: what a look at so many of them sees."""
        return replace(self, seeds=self.seeds[:number])

    def axis(self, name: str) -> Axis:
        return next(a for a in self.axes if a.name == name)
