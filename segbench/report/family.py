"""What is tested (the file's claims, else every level against its baseline) and what is merely shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from segbench.config.experiment import Claim, Experiment
from segbench.config.pairing import Pairing
from segbench.stats.effects import Effect, estimate_pairs, log_ratio
from segbench.stats.images import ImageTable
from segbench.stats.metrics import Kind, Metric, read_metric
from segbench.stats.pairs import Contrast, PairedTable, Pairs
from segbench.stats.questions import baseline_contrasts, claim_contrast, is_testable, judged_contrasts
from segbench.stats.subgroups import Subgroups, restrict
from segbench.stats.verdict import ALPHA, Hypothesis, Judgement, alpha_at_a_look, judge


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
            metric = read_metric(contrast.metric)
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

    def image_table(self, metric: Metric) -> ImageTable | None:
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
    metric = read_metric(claim.metric)
    assert metric is not None
    within = (-margin, margin) if margin and metric.kind == Kind.TEST else None
    null = within if claim.op == "==" and within else (0.0, 0.0)
    return Hypothesis(effect=estimator.effect(contrast), on=claim.on, null=null, within=within)
