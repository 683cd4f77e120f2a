"""Effects as the report's table: the family with verdicts, then the exploratory contrasts without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from segbench.config.aliasing import alias_note, aliased_with
from segbench.config.experiment import Experiment
from segbench.config.pairing import Pairing
from segbench.report.claims import divergence_text
from segbench.report.evidence import EVIDENCE, evidence, turned_round
from segbench.report.family import Estimator, Family, Member, exploratory_contrasts
from segbench.report.phrases import listed
from segbench.stats.effects import Effect
from segbench.stats.intervals import LEVEL
from segbench.stats.metrics import Kind, Metric, read_metric
from segbench.stats.pairs import Contrast
from segbench.stats.signflip import sign_flip_p
from segbench.stats.verdict import (
    BETTER,
    UNRESOLVED,
    WORSE,
    Hypothesis,
    depends_on_selection,
    seeds_to_resolve,
    verdict,
)

NAN = float("nan")
COLUMNS = (
    *(
        "axis",
        "level",
        "baseline",
        "at",
        "metric",
        "on",
        "n",
        "difference",
        "low",
        "high",
        "low_new",
        "high_new",
    ),
    *(
        "p",
        "p_holm",
        "p_equivalence",
        "p_equivalence_holm",
        "verdict",
        "seeds_needed_low",
        "seeds_needed_high",
    ),
    *("difference_last", "low_last", "high_last", "depends_on_selection", "is_family", "is_lower_better"),
    *("p_sign_flip", "hedges_g", "aliases", "trials", "note"),
    *EVIDENCE,
)


def effects_frame(
    experiment: Experiment,
    family: Family,
    estimator: Estimator,
    *,
    is_judged: bool,
    asked: Sequence[Contrast] = (),
) -> pd.DataFrame:
    """Return `Analysis.effects`.

    Besides the contract's columns: `on` (which interval judges), `p_equivalence`, `is_lower_better`. Claims
    of ratios are no rows here; their numbers stand with the claims.

    Args:
        experiment: What was asked.
        family: The judged family.
        estimator: Estimates the exploratory contrasts.
        is_judged: False while trials are missing: intervals are given, p-values and verdicts are not.
        asked: Contrasts on the outcome that a reader wants besides; they lead the exploratory ones.
    """
    rows = [
        _family_row(experiment, member, estimator, is_judged)
        for member in family.members
        if not member.is_ratio
    ]
    if experiment.outcome in estimator.table:
        contrasts = exploratory_contrasts(experiment, family, asked)
        rows += [_row(estimator.effect(contrast), estimator) for contrast in contrasts]
    for row in rows:
        axis, held = str(row["axis"]), row.pop("held")
        row["aliases"] = aliased_with(experiment.design, [(axis,), *((axis, other) for other in held)])  # type: ignore[attr-defined]
        row["note"] = "; ".join(filter(None, (str(row["note"]), *_design_notes(experiment, axis))))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    flags = ("depends_on_selection", "is_family", "is_lower_better")
    return frame.astype(dict.fromkeys(flags, bool) | {"n": int})


def _design_notes(experiment: Experiment, axis: str) -> Iterator[str]:
    """Say what a reader must know of the design to read an axis's effect."""
    together = [name for name in Pairing.of(experiment).group(axis) if name != axis]
    if together:
        yield f"{listed(together)} change{'s' * (len(together) == 1)} together with {axis}"
    yield alias_note(experiment.design, axis)


def _family_row(
    experiment: Experiment, member: Member, estimator: Estimator, is_judged: bool
) -> dict[str, object]:
    hypothesis, judgement = member.hypothesis, member.judgement
    row = _row(hypothesis.effect, estimator, judgement.level) | {"is_family": True, "on": hypothesis.on}
    if not is_judged:
        return _level_minus_baseline(row, experiment)
    margin = experiment.margin if hypothesis.within is not None else None
    word = verdict(hypothesis, judgement, is_lower_better=bool(row["is_lower_better"]), margin=margin)
    needed = seeds_to_resolve(hypothesis, judgement, margin) if word == UNRESOLVED else (NAN, NAN)
    notes = [str(row["note"])] if row["note"] else []
    if word == UNRESOLVED and experiment.margin is None:
        notes.append("no margin declared")
    if hypothesis.null != (0.0, 0.0):
        notes.append("p: of a difference no larger than the margin, as equality is claimed")
    if hypothesis.on == "new_images":
        notes.append("judged on new images")
    judged = row | {
        "p": judgement.p,
        "p_holm": judgement.p_holm,
        "p_equivalence": judgement.p_equivalence,
        "p_equivalence_holm": judgement.p_equivalence_holm,
        "p_sign_flip": _p_sign_flip(hypothesis),
        "verdict": word,
        "seeds_needed_low": needed[0],
        "seeds_needed_high": needed[1],
        "note": "; ".join(notes),
    }
    return _level_minus_baseline(judged, experiment)


def _p_sign_flip(hypothesis: Hypothesis) -> float:
    """Return the exact p over the seeds; NaN where the verdict rests on more than "no difference" in them."""
    effect = hypothesis.effect
    is_plain = hypothesis.on == "test_set" and hypothesis.null == (0.0, 0.0)
    has_divergence = effect.worst is not None or effect.has_unbounded_worst
    return sign_flip_p(effect.per_seed) if is_plain and not has_divergence else NAN


_MIRRORED = (("difference", "difference"), ("hedges_g", "hedges_g"), ("difference_last", "difference_last"))
_MIRRORED_BOUNDS = (("low", "high"), ("low_new", "high_new"), ("low_last", "high_last"))
_OPPOSITE = {BETTER: WORSE, WORSE: BETTER}


def _level_minus_baseline(row: dict[str, object], experiment: Experiment) -> dict[str, object]:
    """Turn a claim's contrast round where it names the axis's baseline first.

    A claim may say `batch > none`; a table in which some rows are `batch - none` and others `none - batch`
    is misread.
    """
    if row["level"] != experiment.axis(str(row["axis"])).baseline:
        return row
    turned = dict(row) | {"level": row["baseline"], "baseline": row["level"]}
    for low, high in (*_MIRRORED, *_MIRRORED_BOUNDS):
        turned[low], turned[high] = (0.0 - float(row[name]) for name in (high, low))  # type: ignore[arg-type]
    words = str(row["verdict"]).split(" ")
    return turned_round(turned) | {"verdict": " ".join(_OPPOSITE.get(word, word) for word in words)}


def _row(effect: Effect, estimator: Estimator, level: float = LEVEL) -> dict[str, object]:
    contrast = effect.contrast
    metric = read_metric(contrast.metric)
    assert metric is not None
    low, high = effect.interval(level=level)
    low_new, high_new = effect.interval("new_images", level)
    last = _last_effect(contrast, metric, estimator)
    low_last, high_last = last.interval(level=level) if last else (NAN, NAN)
    notes = [*([effect.note] if effect.note else []), *divergence_text(effect, level)]
    return {
        "axis": contrast.axis,
        "level": contrast.level,
        "baseline": contrast.baseline,
        "at": contrast.at_text,
        "held": tuple(name for name, _ in contrast.at),
        "metric": contrast.metric,
        "on": "test_set",
        "n": effect.n,
        "difference": effect.difference,
        "low": low,
        "high": high,
        "low_new": low_new,
        "high_new": high_new,
        "p": NAN,
        "p_holm": NAN,
        "p_equivalence": NAN,
        "p_equivalence_holm": NAN,
        "verdict": "",
        "seeds_needed_low": NAN,
        "seeds_needed_high": NAN,
        "difference_last": last.difference if last else NAN,
        "low_last": low_last,
        "high_last": high_last,
        "depends_on_selection": last is not None and depends_on_selection(effect, last, level),
        "is_family": False,
        "is_lower_better": metric.is_lower_better,
        "p_sign_flip": NAN,
        "hedges_g": effect.hedges_g,
        "trials": effect.trials,
        "note": "; ".join(notes),
        **evidence(effect),
    }


def _last_effect(contrast: Contrast, metric: Metric, estimator: Estimator) -> Effect | None:
    """Estimate the contrast at the last epoch's weights; None where the metric has no such twin."""
    if metric.kind != Kind.TEST or metric.last == metric.name or metric.last not in estimator.table:
        return None
    return estimator.effect(replace(contrast, metric=metric.last))
