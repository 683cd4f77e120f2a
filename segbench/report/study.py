"""What a report is made from: the matched results, the estimates, and the family that is judged together."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, TypeVar

import numpy as np
import pandas as pd

from segbench.config.experiment import Axis, Claim, Experiment
from segbench.config.pairing import Pairing, effect_text
from segbench.config.project import Project
from segbench.errors import ExperimentError, message
from segbench.quantities import Kind, Quantity, find_quantity
from segbench.records import State, axis_column
from segbench.stats.effects import Effect, estimate_pairs, log_ratio
from segbench.stats.images import ImageTable
from segbench.stats.intervals import LEVEL
from segbench.stats.pairs import Contrast, PairedTable, Pairs
from segbench.stats.questions import baseline_contrasts, claim_contrast, is_testable, judged_contrasts
from segbench.stats.subgroups import Subgroups, restrict
from segbench.stats.verdict import ALPHA, Hypothesis, Judgement, alpha_at_a_look, judge
from segbench.store.history import HistoryRow
from segbench.store.results import Results
from segbench.store.tuning import CellTuning
from segbench.wording import listed

Made = TypeVar("Made")

MISSING: Final = tuple(state.value for state in State if not state.has_ended)
"""States that another `sweep` would go on from; a failed trial is an outcome to report."""

EVIDENCE: Final = (
    *("seeds", "level_by_seed", "baseline_by_seed", "difference_by_seed"),
    *("sd", "num_units", "images_variance"),
)
"""Columns: tuples of one length (the seeds, and what each measured at the level, at the baseline, and apart),
the standard deviation of the differences, the images (or groups) behind the interval for new images, and the
variance that other images would add to the mean (NaN: not known)."""


def evidence(effect: Effect) -> dict[str, Any]:
    """Return the columns `EVIDENCE` of an effect; of a ratio the differences are of logarithms."""
    new = effect.spread_new
    return {
        "seeds": effect.seeds,
        "level_by_seed": effect.level_per_seed,
        "baseline_by_seed": effect.baseline_per_seed,
        "difference_by_seed": effect.per_seed,
        "sd": effect.sd,
        "num_units": effect.num_units,
        "images_variance": float("nan") if new is None else float(new.var_new),
    }


P_VALUES: Final = ("p", "p_holm", "p_equivalence", "p_equivalence_holm")
"""Columns: what a judgement says of a hypothesis."""


def p_values(judgement: Judgement | None) -> dict[str, float]:
    """Return the columns `P_VALUES` of a judgement; NaN where nothing was judged."""
    return {name: getattr(judgement, name, float("nan")) for name in P_VALUES}


def estimated(effect: Effect, level: float = LEVEL) -> dict[str, Any]:
    """Return what every frame of effects says of one: the estimate, its intervals, and what they rest on."""
    low, high = effect.interval(level=level)
    low_new, high_new = effect.interval("new_images", level)
    return {
        "n": effect.n,
        "difference": effect.difference,
        "low": low,
        "high": high,
        "low_new": low_new,
        "high_new": high_new,
        "trials": effect.trials,
        **evidence(effect),
    }


def turned_round(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with level and baseline exchanged, as far as it carries evidence."""
    return {
        **row,
        "level_by_seed": row["baseline_by_seed"],
        "baseline_by_seed": row["level_by_seed"],
        "difference_by_seed": tuple(0.0 - value for value in row["difference_by_seed"]),
    }


# What is tested (the file's claims, else every level against its baseline) and what is merely shown.


@dataclass
class Estimator:
    """Estimates contrasts from the measured table; each is worked out once."""

    table: pd.DataFrame
    pairing: Pairing
    images: pd.DataFrame
    subgroups: Subgroups = field(default_factory=lambda: Subgroups({}, {}))
    _effects: dict[Contrast, Effect] = field(default_factory=dict)
    _image_tables: dict[str, ImageTable | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._paired = PairedTable(self.table, self.pairing)

    def effect(self, contrast: Contrast) -> Effect:
        """Return the estimate of a contrast whose metric is a column of the table."""
        if contrast not in self._effects:
            metric = find_quantity(contrast.metric)
            assert metric is not None
            if contrast.among:
                table, kept = restrict(
                    self.table,
                    self.images,
                    self.subgroups.images(contrast.among),
                    metric=contrast.metric,
                    image_metric=metric.image_metric,
                )
                planned = Pairs.of(table, contrast, self.pairing)
                images = ImageTable.of(kept, metric.image_metric)
            else:
                planned, images = self._paired.pairs(contrast), self.image_table(metric)
            self._effects[contrast] = estimate_pairs(planned, contrast, metric, images)
        return self._effects[contrast]

    def log_ratio(self, contrast: Contrast) -> Effect:
        return log_ratio(self.effect(contrast), self._paired.pairs(contrast))

    def image_table(self, metric: Quantity) -> ImageTable | None:
        """Return the per-image values behind a test metric; None where there are none."""
        if metric.kind != Kind.TEST or self.images.empty:
            return None
        name = metric.image_metric
        if name not in self._image_tables:
            self._image_tables[name] = ImageTable.of(self.images, name)
        return self._image_tables[name]


@dataclass(frozen=True)
class Member:
    """A hypothesis of the family with its judgement."""

    hypothesis: Hypothesis
    judgement: Judgement
    is_ratio: bool = False


@dataclass(frozen=True)
class Family:
    """Everything judged together, and which member answers which claim."""

    members: tuple[Member, ...]
    by_claim: Mapping[int, int]
    """Number of a claim -> number of its member; claims that cannot be tested are not there."""
    is_from_claims: bool
    alpha: float = ALPHA
    """What the family spends at this look."""

    @property
    def level(self) -> float:
        """Coverage of its intervals."""
        return 1 - self.alpha


def build_family(experiment: Experiment, estimator: Estimator) -> Family:
    """Judge the family: the testable claims, else every level against its axis's baseline on the outcome."""
    hypotheses: list[Hypothesis] = []
    ratios: list[bool] = []
    by_claim: dict[int, int] = {}
    for number, claim in enumerate(experiment.claims):
        if not is_testable(claim, experiment.margin) or claim.metric not in estimator.table:
            continue
        if claim.among and not estimator.subgroups.images(tuple(claim.among.items())):
            continue
        hypothesis = _hypothesis(claim, experiment, estimator)
        if hypothesis in hypotheses:
            by_claim[number] = hypotheses.index(hypothesis)
            continue
        by_claim[number] = len(hypotheses)
        hypotheses.append(hypothesis)
        ratios.append(claim.op == "/")
    is_from_claims = bool(hypotheses)
    if not is_from_claims and experiment.outcome in estimator.table:
        within = None if not experiment.margin else (-experiment.margin, experiment.margin)
        contrasts = judged_contrasts(experiment)
        hypotheses = [Hypothesis(effect=estimator.effect(c), within=within) for c in contrasts]
        ratios = [False] * len(hypotheses)
    alpha = alpha_at_a_look(len(experiment.looks))
    judgements = judge(hypotheses, alpha)
    members = tuple(Member(h, j, r) for h, j, r in zip(hypotheses, judgements, ratios, strict=True))
    return Family(members, by_claim, is_from_claims, alpha)


def exploratory_contrasts(
    experiment: Experiment, family: Family, asked: Sequence[Contrast] = ()
) -> list[Contrast]:
    """Return what is asked for, and the marginal and simple effects on the outcome, less the family's.

    A simple effect holds one other axis at one level. It is left out where that changes nothing: where the
    pairs of cells are the same as the marginal effect's.
    """
    known = {member.hypothesis.effect.contrast.key for member in family.members if not member.is_ratio}
    found = list(asked)
    for marginal in baseline_contrasts(experiment):
        if Pairing.of(experiment).pairs(experiment.cells, marginal.axis, marginal.level, marginal.baseline):
            found += [marginal, *_simple_contrasts(experiment, marginal)]
    fresh: dict[object, Contrast] = {}
    for contrast in found:
        if contrast.key not in known:
            fresh.setdefault(contrast.key, contrast)
    return list(fresh.values())


def _simple_contrasts(experiment: Experiment, marginal: Contrast) -> Iterator[Contrast]:
    """Yield a contrast at each level of another axis; in a fraction, where nothing is mixed with it."""
    pairing, design = Pairing.of(experiment), experiment.design
    levels = marginal.axis, marginal.level, marginal.baseline
    pairs = pairing.pairs(experiment.cells, *levels)
    for other in experiment.axes:
        is_first = pairing.group(other.name)[0] == other.name
        if not is_first or other.name == marginal.axis:
            continue
        if any(design.confounders(e) for e in ((marginal.axis,), (marginal.axis, other.name))):
            continue
        for label in other.labels:
            at = {other.name: label}
            if pairing.is_fraction:
                chosen = pairing.pairs(experiment.cells, *levels, at)
            else:
                chosen = [pair for pair in pairs if all(c.levels.get(other.name) == label for c in pair)]
            if chosen and len(chosen) < len(pairs):
                yield replace(marginal, at=tuple(at.items()))


def _hypothesis(claim: Claim, experiment: Experiment, estimator: Estimator) -> Hypothesis:
    contrast, margin = claim_contrast(claim, experiment), experiment.margin
    if claim.op == "/":
        assert claim.between is not None
        low, high = np.log(claim.between)
        bounds = (float(low), float(high))
        return Hypothesis(effect=estimator.log_ratio(contrast), null=bounds, within=bounds)
    metric = find_quantity(claim.metric)
    assert metric is not None
    within = (-margin, margin) if margin and metric.kind == Kind.TEST else None
    null = within if claim.op == "==" and within else (0.0, 0.0)
    return Hypothesis(effect=estimator.effect(contrast), on=claim.on, null=null, within=within)


# What the topics compute their frames from.


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """An experiment with its results, matched and measured."""

    design: Experiment
    """All that was asked."""
    experiment: Experiment
    """What is reported: the design, with looks at the seeds of the last one that is complete."""
    project: Project
    results: Results
    matched: pd.DataFrame
    """What `match_trials` gave."""
    planned: pd.DataFrame
    """One row per trial of the design, in its order, with what was measured of it; of a search one per
    record."""
    table: pd.DataFrame
    """Those of them that are reported."""
    partial: str | None
    """What is missing, such as `partial: 7 of 18 trials`, so that nothing is judged; None: nothing."""
    contrasts: Sequence[str] = ()
    """Comparisons to show besides, as `--contrast` takes them."""
    tunings: Sequence[CellTuning] = ()
    history: Sequence[HistoryRow] = ()
    """What sweeps left."""
    _made: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def once(self, work: Callable[[Study], Made]) -> Made:
        """Return what a function makes of the study, worked out the first time."""
        if work not in self._made:
            self._made[work] = work(self)
        made: Made = self._made[work]
        return made

    @property
    def axes(self) -> list[str]:
        """Return the columns of the axes."""
        return [axis_column(axis.name) for axis in self.experiment.axes]

    @property
    def of_cells(self) -> pd.DataFrame:
        """Return the trials that belong to a cell: none of a search."""
        return self.table if self.experiment.search is None else self.table.iloc[:0]

    @property
    def complete(self) -> pd.DataFrame:
        """Return the trials of cells that completed."""
        return self.of_cells[self.of_cells["state"] == State.COMPLETE.value]

    @cached_property
    def estimator(self) -> Estimator:
        subgroups = Subgroups.of(self.results.samples, self.experiment.subgroups)
        return Estimator(self.table, Pairing.of(self.experiment), self.results.images, subgroups)

    @cached_property
    def family(self) -> Family:
        if self.experiment.search is not None:
            return Family((), {}, is_from_claims=False)
        return build_family(self.experiment, self.estimator)


# `--contrast "norm: DyT - none at model = unet"`: comparisons that a reader asks for, beside the family.


_OPTION = "--contrast"
_FORM = "AXIS: A - B, or AXIS: A - B at OTHER = LEVEL"
_MINUS = ("-", "−")


def read_contrasts(texts: Sequence[str], experiment: Experiment) -> tuple[Contrast, ...]:
    """Return the contrasts that are asked for, on the outcome, each once.

    Labels may hold spaces and minus signs: the longest known label counts.

    Raises:
        ExperimentError: A text is no contrast of this design. Holds all problems found.
    """
    problems: list[str] = []
    found = []
    for text in texts:
        try:
            found.append(_read(text.strip(), experiment))
        except ExperimentError as error:
            problems += error.problems
    if problems:
        raise ExperimentError(problems)
    return tuple({contrast.key: contrast for contrast in found}.values())


def as_options(texts: Sequence[str]) -> str:
    """Return the options as they are typed, each after a space."""
    return "".join(f" {_OPTION} {shlex.quote(text)}" for text in texts)


def _read(text: str, experiment: Experiment) -> Contrast:
    if not experiment.axes or experiment.search is not None:
        raise _problem("this experiment has no axes whose levels could be set against each other", text)
    axis, rest = _axis(text, ":", text, experiment)
    level, rest = _label(rest, axis, text)
    sign = next((sign for sign in _MINUS if rest.startswith(sign)), None)
    if sign is None:
        raise _problem(f"a contrast is written {_FORM}", text)
    baseline, rest = _label(rest[len(sign) :].strip(), axis, text)
    if level == baseline:
        raise _problem("a contrast compares two levels", text)
    at = _at(rest, axis, text, experiment)
    claim = Claim(
        source=text, axis=axis.name, left=level, op=">", right=baseline, at=at, metric=experiment.outcome
    )
    contrast = claim_contrast(claim, experiment)
    _check_pairs(contrast, text, experiment)
    return contrast


def _axis(text: str, sign: str, whole: str, experiment: Experiment) -> tuple[Axis, str]:
    """Return the axis that a text begins with, and what stands behind it and the sign."""
    for axis in sorted(experiment.axes, key=lambda axis: len(axis.name), reverse=True):
        rest = text[len(axis.name) :].lstrip()
        if text.startswith(axis.name) and rest.startswith(sign):
            return axis, rest[1:].strip()
    name, found, _ = text.partition(sign)
    if not found:
        raise _problem(f"a contrast is written {_FORM}", whole)
    raise _problem("there is no such axis", name.strip(), known=[axis.name for axis in experiment.axes])


def _label(text: str, axis: Axis, whole: str) -> tuple[str, str]:
    """Return the label that a text begins with, and what stands behind it."""
    for label in sorted(axis.labels, key=len, reverse=True):
        rest = text.removeprefix(label)
        if text.startswith(label) and (not rest or rest[0] in " ," or rest[0] in _MINUS):
            return label, rest.strip()
    found = re.split(r"\s[-−]\s|\sat\s|,", f"{text} ", maxsplit=1)[0].strip()
    if not found:
        raise _problem(f"a contrast is written {_FORM}", whole)
    raise _problem(f"{axis.name} has no level of this label", found, known=axis.labels)


def _at(text: str, about: Axis, whole: str, experiment: Experiment) -> dict[str, str]:
    if not text:
        return {}
    if not text.startswith("at "):
        raise _problem(f"a contrast is written {_FORM}", whole)
    found: dict[str, str] = {}
    rest = text.removeprefix("at ").strip()
    while True:
        axis, rest = _axis(rest, "=", whole, experiment)
        if axis.name in Pairing.of(experiment).group(about.name):
            raise _problem("the contrast is about this axis already", axis.name)
        found[axis.name], rest = _label(rest, axis, whole)
        if not rest:
            return found
        if not rest.startswith(","):
            raise _problem(f"a contrast is written {_FORM}", whole)
        rest = rest[1:].strip()


def _check_pairs(contrast: Contrast, text: str, experiment: Experiment) -> None:
    pairing, at = Pairing.of(experiment), dict(contrast.at)
    if not pairing.pairs(experiment.cells, contrast.axis, contrast.level, contrast.baseline, at):
        where = f" at {contrast.at_text}" if at else ""
        levels = f"{contrast.level} and {contrast.baseline}"
        raise _problem(f"no two cells of the design differ between {levels}{where} alone", text)
    mixed = [other for name in at for other in experiment.design.confounders((contrast.axis, name))]
    if mixed:
        what = effect_text((contrast.axis, *at))
        others = listed([effect_text(other) for other in mixed])
        raise _problem(f"in this fraction {what} cannot be told from {others}", text)


def _problem(rule: str, got: str, known: Sequence[str] = ()) -> ExperimentError:
    return ExperimentError(message(_OPTION, rule, got=got, known=known))
