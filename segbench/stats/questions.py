"""Which contrasts an experiment asks about: those of its claims, else every level against its baseline."""

from __future__ import annotations

from dataclasses import dataclass, replace

from segbench.config.axes import leaves_steps_out
from segbench.config.experiment import Claim, Experiment
from segbench.config.pairing import Pairing
from segbench.quantities import Kind, find_quantity
from segbench.stats.pairs import Contrast

_TESTABLE = (Kind.TEST, Kind.INSTABILITY, Kind.COST)


def is_testable(claim: Claim, margin: float | None) -> bool:
    """Whether a claim is a hypothesis about replicates; `==` also needs a margin, `/` its bounds."""
    metric = find_quantity(claim.metric)
    if claim.axis is None or metric is None or metric.kind not in _TESTABLE:
        return False
    if claim.op == "==":
        return bool(margin)
    return claim.op != "/" or claim.between is not None


def claim_contrast(claim: Claim, experiment: Experiment) -> Contrast:
    """Return the claim's contrast: left minus right.

    Zipped axes are one factor: a claim about any of them is about the first.
    """
    assert claim.axis is not None
    assert claim.left is not None
    assert claim.right is not None
    contrast = Contrast(
        axis=claim.axis,
        level=claim.left,
        baseline=claim.right,
        at=tuple(claim.at.items()),
        metric=claim.metric,
        among=tuple(claim.among.items()),
    )
    first = Pairing.of(experiment).group(claim.axis)[0]
    if first == claim.axis:
        return contrast
    labels = {cell.levels[claim.axis]: cell.levels[first] for cell in experiment.cells}
    return replace(contrast, axis=first, level=labels[claim.left], baseline=labels[claim.right])


def baseline_contrasts(experiment: Experiment) -> list[Contrast]:
    """Return every level against its axis's baseline, marginal over the other axes, on the outcome.

    Of zipped axes the first stands for all.
    """
    pairing = Pairing.of(experiment)
    return [
        Contrast(axis=axis.name, level=label, baseline=axis.baseline, metric=experiment.outcome)
        for axis in experiment.axes
        if pairing.group(axis.name)[0] == axis.name
        for label in axis.labels
        if label != axis.baseline
    ]


def is_ranked(experiment: Experiment) -> bool:
    """Whether the effects are all about one baseline, so that they are best read by their size.

    That is so one at a time, leaving one out, and for the steps of a recipe, each left out in turn.
    """
    is_one_by_one = experiment.design.kind in ("one_at_a_time", "leave_one_out")
    return is_one_by_one or any(leaves_steps_out(axis.labels) for axis in experiment.axes)


def judged_contrasts(experiment: Experiment) -> list[Contrast]:
    """Return the baseline contrasts that get a verdict: in a fraction, those without aliases.

    An effect that cannot be told from that of another axis, or from an interaction of two, is not judged.
    """
    design = experiment.design
    return [each for each in baseline_contrasts(experiment) if not design.confounders((each.axis,))]


@dataclass(frozen=True, kw_only=True)
class Question:
    """A contrast that will be judged, and by which test."""

    contrast: Contrast
    op: str = ">"
    on: str = "test_set"


def questions(experiment: Experiment) -> list[Question]:
    """Return what is judged together: the testable claims, else every level against its baseline.

    Two claims about one contrast count once, as the report judges them.
    """
    claims = [claim for claim in experiment.claims if is_testable(claim, experiment.margin)]
    found = dict.fromkeys(
        Question(contrast=claim_contrast(claim, experiment), op=claim.op or ">", on=claim.on)
        for claim in claims
    )
    return list(found) or [Question(contrast=contrast) for contrast in judged_contrasts(experiment)]
