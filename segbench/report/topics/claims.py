"""Claims and what became of them: supported, contradicted, unresolved or not judged, with the numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from segbench.config.experiment import Claim
from segbench.quantities import Kind, find_quantity
from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.numbers import (
    NONE,
    Numbers,
    decimals_for,
    forecasts_in_words,
    interval,
    p_in_words,
    percent,
    signed,
    typographic,
)
from segbench.report.study import Estimator, Member, Study, estimated, p_values
from segbench.report.table import Field, tone_of
from segbench.report.topics.contrast import contrast_metric, contrast_source, contrast_steps
from segbench.report.topics.topic import Column, Frame, Number, TablePart, Text, Topic
from segbench.report.topics.topic import interval as number_interval
from segbench.report.trace import Row, show_of_row, show_p, show_word
from segbench.stats.effects import Effect
from segbench.stats.intervals import LEVEL
from segbench.stats.questions import claim_contrast
from segbench.stats.verdict import Judgement, seeds_to_resolve
from segbench.wording import counted

SUPPORTED, CONTRADICTED, UNRESOLVED, NOT_JUDGED = "supported", "contradicted", "unresolved", "not judged"

ON_TEXT = {"test_set": "this test set", "new_images": "new images"}


def judge_claims(study: Study) -> pd.DataFrame:
    """Return one row per claim.

    `>` and `<` compare the values themselves, whichever way is better: `none > BatchNorm` on instability says
    that `none` is the less stable one. They are supported by a difference that way, and contradicted by one
    the other way. `==` is supported by equivalence within the margin, and contradicted by a difference shown
    to be larger than it; `/` in the same way by the bounds of `between`.

    Returns:
        `claim` (as written), `verdict` (`supported`, `contradicted`, `unresolved`, `not judged`), `evidence`
        (one sentence with numbers), and as far as it was compared `level`, `baseline`, `at`, `metric`, `on`,
        `is_ratio`, `n`, `difference` (of a ratio: of logarithms), `low`, `high` (of the interval that
        judges), `trials` and the columns of `study.P_VALUES` and `study.EVIDENCE`.
    """
    experiment, family, partial = study.experiment, study.family, study.partial
    rows = []
    for number, claim in enumerate(experiment.claims):
        member = family.members[family.by_claim[number]] if number in family.by_claim else None
        if member is not None:
            verdict, evidence = _judge_member(claim, member, experiment.margin, is_judged=partial is None)
        else:
            verdict, evidence = _without_test(claim, study)
        if partial is not None and verdict != NOT_JUDGED:
            verdict, evidence = NOT_JUDGED, f"{partial}. So far: {evidence}"
        words = {"claim": str(claim.source), "verdict": verdict, "evidence": evidence}
        rows.append(words | _compared(claim, study, member))
    frame = pd.DataFrame(rows, columns=None if rows else ["claim", "verdict", "evidence"])
    return frame.astype(dict.fromkeys(["claim", "verdict", "evidence"], str))


def _compared(claim: Claim, study: Study, member: Member | None) -> dict[str, object]:
    """Return the numbers of a claim and what they rest on; nothing where nothing was compared."""
    if member is not None:
        effect = member.hypothesis.effect
    elif not _is_known(claim, study.estimator):
        return {}
    else:
        effect = study.estimator.effect(claim_contrast(claim, study.experiment))
    low, high = effect.interval(claim.on, LEVEL if member is None else member.judgement.level)
    return {
        "level": claim.left,
        "baseline": claim.right,
        "at": effect.contrast.at_text,
        "metric": claim.metric,
        "on": claim.on,
        "is_ratio": member is not None and member.is_ratio,
        **estimated(effect),
        "n": float(effect.n),
        "low": low,
        "high": high,
        **p_values(member.judgement if member is not None and study.partial is None else None),
    }


def _judge_member(claim: Claim, member: Member, margin: float | None, *, is_judged: bool) -> tuple[str, str]:
    judgement, effect = member.judgement, member.hypothesis.effect
    if claim.op in ("==", "/"):
        verdict = SUPPORTED if judgement.is_equivalent else UNRESOLVED
        verdict = CONTRADICTED if judgement.is_different else verdict
        is_by_equivalence = verdict != CONTRADICTED
    else:
        wanted = 1 if claim.op == ">" else -1
        verdict = UNRESOLVED
        if judgement.is_different:
            verdict = SUPPORTED if judgement.sign == wanted else CONTRADICTED
        is_by_equivalence = False
    level = judgement.level
    numbers = (
        _ratio_text(claim, effect, level)
        if member.is_ratio
        else _difference_text(claim, effect, claim.on, level)
    )
    parts = [numbers]
    if is_judged:  # a p-value of some of the seeds would be a look that the family does not pay for
        parts += _holm_text(judgement, is_by_equivalence)
        parts += _caveats(claim, member, margin, verdict)
    parts += [*divergence_text(effect, level), *([effect.note] if effect.note else [])]
    return verdict, "; ".join(parts) + "."


def _holm_text(judgement: Judgement, is_by_equivalence: bool) -> list[str]:
    if is_by_equivalence and np.isfinite(judgement.p_equivalence_holm):
        holm = p_in_words(judgement.p_equivalence_holm)
        return [f"equivalence, Holm {holm}, family of {judgement.num_equivalences}"]
    if not is_by_equivalence and np.isfinite(judgement.p_holm):
        return [f"Holm {p_in_words(judgement.p_holm)}, family of {judgement.num_family}"]
    return []


def _caveats(claim: Claim, member: Member, margin: float | None, verdict: str) -> list[str]:
    judgement, effect = member.judgement, member.hypothesis.effect
    parts = []
    if claim.op in (">", "<") and verdict == UNRESOLVED and judgement.is_equivalent:
        parts.append(f"the two are equivalent within the margin of {margin:g}")
    elif verdict == UNRESOLVED and effect.n == 1:
        parts.append("one seed gives no interval")
    elif verdict == UNRESOLVED and claim.on == "new_images":
        has_images = effect.spread_new is not None
        parts.append(
            "more seeds alone may not settle it, the images set a limit"
            if has_images
            else "values per image are not recorded"
        )
    elif verdict == UNRESOLVED and not member.is_ratio and _is_on_margin_scale(claim):
        parts += filter(None, [forecasts_in_words(seeds_to_resolve(member.hypothesis, judgement, margin))])
    return parts


def divergence_text(effect: Effect, level: float = LEVEL) -> list[str]:
    """Say how often each arm diverged and what that does to the contrast; empty where the arms agree."""
    at_level, at_baseline, trials = effect.num_diverged
    if effect.worst is None and not effect.has_unbounded_worst:
        return []
    contrast = effect.contrast
    arms = (
        f"{at_level} of {trials} trials with {contrast.level}, "
        f"{at_baseline} of {trials} with {contrast.baseline}"
    )
    counts = f"diverged: {arms}"
    if effect.worst is None:
        return [f"{counts}; {contrast.metric} has no worst value to stand for them"]
    low, high = effect.worst.interval(level=level)
    decimals = decimals_for((high - low) / 2)
    worst = f"with the worst value for them {signed(effect.worst.difference, decimals)}"
    if np.isfinite(low):
        worst += f" ({interval(low, high, decimals)})"
    if effect.n < 2:
        return [f"{counts} (Fisher {p_in_words(effect.p_counts)} over seeds)", worst]
    return [counts, worst]


def _is_known(claim: Claim, estimator: Estimator) -> bool:
    """Whether there is something to compare."""
    is_there = claim.axis is not None and claim.metric in estimator.table
    return is_there and not (claim.among and not estimator.subgroups.images(tuple(claim.among.items())))


def _without_test(claim: Claim, study: Study) -> tuple[str, str]:
    estimator = study.estimator
    metric = find_quantity(claim.metric)
    if claim.axis is None:
        return NOT_JUDGED, "Outside the grammar of claims: nothing was computed."
    if metric is None or claim.metric not in estimator.table:
        return NOT_JUDGED, f"{claim.metric} was not recorded."
    if claim.among and not estimator.subgroups.images(tuple(claim.among.items())):
        wanted = ", ".join(f"{name} {label}" for name, label in claim.among.items())
        return NOT_JUDGED, f"No test image is known to be of {wanted}."
    effect = estimator.effect(claim_contrast(claim, study.experiment))
    if metric.kind == Kind.DETERMINISTIC:
        return _compare_exactly(claim, effect)
    if metric.kind == Kind.VALIDATION:
        numbers = _difference_text(claim, effect, "test_set", has_interval=False)
        return NOT_JUDGED, f"Validation value, selected: exploratory. {numbers}."
    return NOT_JUDGED, f"{_difference_text(claim, effect, 'test_set')}; no margin declared."


def _compare_exactly(claim: Claim, effect: Effect) -> tuple[str, str]:
    left, right = effect.level_mean, effect.baseline_mean
    if not (np.isfinite(left) and np.isfinite(right)):
        return NOT_JUDGED, f"{claim.metric} was not recorded for both levels."
    values = f"{claim.left}: {left:,.0f}, {claim.right}: {right:,.0f}"
    if claim.op == "/":
        assert claim.between is not None
        ratio = left / right if right else float("inf")
        values += f"; ratio {ratio:.4g}, claimed {claim.between[0]:g} to {claim.between[1]:g}"
        holds = claim.between[0] <= ratio <= claim.between[1]
    else:
        holds = {">": left > right, "<": left < right, "==": left == right}[claim.op or "=="]
    return (
        SUPPORTED if holds else CONTRADICTED,
        f"{values}; the same in every replicate, so compared exactly.",
    )


def _difference_text(
    claim: Claim, effect: Effect, on: str, level: float = LEVEL, *, has_interval: bool = True
) -> str:
    where = f" at {effect.contrast.at_text}" if effect.contrast.at_text else ""
    title = f"{claim.metric}{where}: {claim.left} minus {claim.right}"
    if effect.n == 0:
        return f"{title} is not known, no seed has both"
    low, high = effect.interval(on, level)
    decimals = decimals_for((high - low) / 2)
    text = f"{title} = {signed(effect.difference, decimals)}"
    seeds = counted(effect.n, "seed")
    if not (has_interval and np.isfinite(low)):
        return f"{text} ({seeds})"
    return f"{text} ({percent(level)} interval {interval(low, high, decimals)}, {ON_TEXT[on]}, {seeds})"


def _ratio_text(claim: Claim, effect: Effect, level: float) -> str:
    assert claim.between is not None
    where = f" at {effect.contrast.at_text}" if effect.contrast.at_text else ""
    claimed = f"claimed {claim.between[0]:g} to {claim.between[1]:g}"
    title = f"{claim.metric}{where}: {claim.left} / {claim.right}"
    if not np.isfinite(effect.difference):
        return f"{title} is not known, {claimed}"
    low, high = np.exp(effect.interval(level=level))
    spread = f"{percent(level)} interval {low:.3g} to {high:.3g}, " if np.isfinite(low) else ""
    return f"{title} = {np.exp(effect.difference):.3g} ({spread}{counted(effect.n, 'seed')}), {claimed}"


def _is_on_margin_scale(claim: Claim) -> bool:
    metric = find_quantity(claim.metric)
    return metric is not None and metric.kind == Kind.TEST


# The topic.


def _ratio(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    if row["is_ratio"] is not True:
        return show_of_row(is_difference=True)(numbers, row, values)
    shown = [f"{np.exp(value):.3g}" for value in values]
    return shown[0] if len(shown) == 1 else f"[{', '.join(shown)}]"


def _ratio_formula(row: Row) -> str:
    if row.get("is_ratio") is True:
        return "Mean over seeds of log(left / right), paired by seed; printed as the ratio."
    return "Mean over seeds of left minus right, paired by seed."


def _dressed(labels: Labels, row: Row, field: Field) -> Field:
    verdict = row["verdict"]
    return replace(field, text=verdict, tone=tone_of(verdict), is_bold=verdict in (SUPPORTED, CONTRADICTED))


def _columns(analysis: Analysis) -> list[Column]:
    return [
        Text(name="claim", title="Claim", text=lambda labels, row: typographic(row["claim"])),
        Number(
            name="verdict",
            title="Verdict",
            words="verdict",
            formula="Supported or contradicted where Holm's p of the claim is below alpha, else unresolved.",
            show=show_word,
            is_number=False,
            dress=_dressed,
        ),
        Text(
            name="evidence",
            title="Evidence",
            text=lambda labels, row: typographic(row["evidence"] or NONE),
        ),
        Number(name="difference", words="left compared with right", formula=_ratio_formula, show=_ratio),
        number_interval(
            "interval",
            "Difference ± t · standard error over seeds (and images, where new images are asked of).",
            _ratio,
        ),
        Number(name="p_holm", words="p after Holm", formula="p of the claim by Holm.", show=show_p),
        Number(
            name="p_equivalence_holm",
            words="p of equivalence after Holm",
            formula="p of two one-sided tests, by Holm among the equivalences.",
            show=show_p,
        ),
    ]


CLAIMS: Final = Frame(
    name="claims",
    compute=judge_claims,
    subject=lambda analysis, row: str(row["claim"]),
    columns=_columns,
    source=contrast_source,
    steps=contrast_steps,
    measured=contrast_metric,
    in_data=False,
)

TOPIC: Final = Topic(
    name="claims",
    section="claims",
    frames=(CLAIMS,),
    tables=(TablePart(name="claims", frame=CLAIMS, caption="Claims of the experiment file."),),
)
