"""Effects: the family with verdicts, the exploratory contrasts without, and their sensitivity.

The named sensitivity is the judged effects once more, with the residual error pooled over cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import pandas as pd

from segbench.config.experiment import Experiment
from segbench.config.pairing import Pairing, alias_note, aliased_with
from segbench.quantities import Kind, Quantity, find_quantity, is_lower_better
from segbench.report.analysis import Analysis
from segbench.report.draw.figure import (
    GREY,
    VERDICT_COLOURS,
    Facet,
    Figure,
    Key,
    Look,
    Mark,
    Note,
    categories,
    linear,
    verdict_look,
)
from segbench.report.draw.layout import ROW_CM, TALL_ROW_CM, shortened, text_width, wrapped
from segbench.report.labels import Labels
from segbench.report.numbers import MINUS, NONE, Numbers, forecasts_in_words, p_value, percent
from segbench.report.study import (
    EVIDENCE,
    P_VALUES,
    Estimator,
    Member,
    Study,
    estimated,
    evidence,
    exploratory_contrasts,
    p_values,
    read_contrasts,
    turned_round,
)
from segbench.report.table import Field, tone_of
from segbench.report.topics.claims import divergence_text
from segbench.report.topics.contrast import contrast_metric, contrast_source, contrast_steps, contrast_subject
from segbench.report.topics.topic import Column, FigurePart, Frame, Number, TablePart, Text, Topic, interval
from segbench.report.trace import (
    Asked,
    Measured,
    Row,
    Source,
    by_seed,
    interval_steps,
    is_known,
    is_text,
    number_text,
    rows_of,
    show_count,
    show_effect_size,
    show_of_row,
    show_p,
    show_seeds_needed,
    show_word,
)
from segbench.stats.effects import Effect
from segbench.stats.intervals import LEVEL, t_quantile
from segbench.stats.pairs import Contrast
from segbench.stats.pooled import PooledError, changes_side
from segbench.stats.questions import is_ranked
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
from segbench.wording import listed

NAN = float("nan")
COLUMNS = (
    *("axis", "level", "baseline", "at", "metric", "on"),
    *("n", "difference", "low", "high", "low_new", "high_new"),
    *(*P_VALUES, "verdict", "seeds_needed_low", "seeds_needed_high", "forecast"),
    *("difference_last", "low_last", "high_last", "depends_on_selection", "is_family", "is_lower_better"),
    *("p_sign_flip", "hedges_g", "aliases", "trials", "note"),
    *EVIDENCE,
)


def effects_frame(study: Study) -> pd.DataFrame:
    """Return one row per contrast: the family, what a reader asked for, the other exploratory ones.

    Claims of ratios are no rows here; their numbers stand with the claims. While trials are missing there are
    intervals, but neither p-values nor verdicts.

    Returns:
        `axis`, `level`, `baseline`, `at` (text; empty: marginal), `metric`, `on` (`test_set`, `new_images`:
        the interval that judges), `n`, `difference` (level minus baseline; NaN where no seed completed in
        both arms), `low`, `high` (this test set; at `level` for the family, 95 % for the rest), `low_new`,
        `high_new` (new images; NaN where there are no images), the columns `study.P_VALUES`, `verdict`
        (`better`, `worse`, `negligibly better`, `negligibly worse`, `equivalent`, `unresolved`; empty: not
        judged), `seeds_needed_low`, `seeds_needed_high` (may be infinite), `difference_last`, `low_last`,
        `high_last`, `depends_on_selection` (bool), `is_family` (bool: judged; else exploratory),
        `is_lower_better` (bool), `p_sign_flip` (exact, of a judged difference over 6 to 40 seeds;
        uncorrected), `hedges_g`, `aliases` (text: of a fraction, what it cannot be told from), `trials`
        (tuple of hashes), `note`, then the columns of `study.EVIDENCE`.
    """
    experiment, estimator = study.experiment, study.estimator
    rows = [_family_row(study, member) for member in study.family.members if not member.is_ratio]
    if experiment.outcome in estimator.table:
        asked = read_contrasts(study.contrasts, study.design)
        contrasts = exploratory_contrasts(experiment, study.family, asked)
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


def _family_row(study: Study, member: Member) -> dict[str, object]:
    experiment, hypothesis, judgement = study.experiment, member.hypothesis, member.judgement
    row = _row(hypothesis.effect, study.estimator, judgement.level)
    row |= {"is_family": True, "on": hypothesis.on}
    if study.partial is not None:
        return _level_minus_baseline(row, experiment)
    margin = experiment.margin if hypothesis.within is not None else None
    word = verdict(hypothesis, judgement, is_lower_better=bool(row["is_lower_better"]), margin=margin)
    forecasts = seeds_to_resolve(hypothesis, judgement, margin) if word == UNRESOLVED else []
    needed = (forecasts[0].low, forecasts[0].high) if forecasts else (NAN, NAN)
    effect = hypothesis.effect
    why_none = effect.note if effect.n > 1 and not effect.has_spread else ""
    notes = [str(row["note"])] if row["note"] else []
    if word == UNRESOLVED and experiment.margin is None:
        notes.append("no margin declared")
    if hypothesis.null != (0.0, 0.0):
        notes.append("p: of a difference no larger than the margin, as equality is claimed")
    if hypothesis.on == "new_images":
        notes.append("judged on new images")
    judged = row | {
        **p_values(judgement),
        "p_sign_flip": _p_sign_flip(hypothesis),
        "verdict": word,
        "seeds_needed_low": needed[0],
        "seeds_needed_high": needed[1],
        "forecast": forecasts_in_words(forecasts) or why_none,
        "note": "; ".join(notes),
    }
    return _level_minus_baseline(judged, experiment)


def _p_sign_flip(hypothesis: Hypothesis) -> float:
    """Return the exact p over the seeds; NaN where the verdict rests on more than "no difference" in them."""
    effect = hypothesis.effect
    is_plain = hypothesis.on == "test_set" and hypothesis.null == (0.0, 0.0) and effect.has_spread
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
    metric = find_quantity(contrast.metric)
    assert metric is not None
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
        **estimated(effect, level),
        **p_values(None),
        "verdict": "",
        "seeds_needed_low": NAN,
        "seeds_needed_high": NAN,
        "forecast": "",
        "difference_last": last.difference if last else NAN,
        "low_last": low_last,
        "high_last": high_last,
        "depends_on_selection": last is not None and depends_on_selection(effect, last, level),
        "is_family": False,
        "is_lower_better": metric.is_lower_better,
        "p_sign_flip": NAN,
        "hedges_g": effect.hedges_g,
        "note": "; ".join(notes),
    }


def _last_effect(contrast: Contrast, metric: Quantity, estimator: Estimator) -> Effect | None:
    """Estimate the contrast at the last epoch's weights; None where the metric has no such twin."""
    if metric.kind != Kind.TEST or metric.last == metric.name or metric.last not in estimator.table:
        return None
    return estimator.effect(replace(contrast, metric=metric.last))


# Effects as a forest: differences with two intervals, the margin shaded, verdicts by colour and marker.


_MOST_ROWS = 24


def forest_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return the contrasts on the outcome, the judged family first; None without any."""
    effects = analysis.effects
    if effects.empty:
        return None
    outcome = analysis.experiment.outcome
    effects = effects[(effects["metric"] == outcome) & effects["difference"].notna()]
    if effects.empty:
        return None
    family = effects["is_family"].astype(bool)
    effects = pd.concat([effects[family], effects[~family]]).head(_MOST_ROWS)
    ranked = is_ranked(analysis.experiment)
    if ranked:
        effects = effects.sort_values("difference", ascending=is_lower_better(outcome), kind="stable")
    numbers = Numbers(labels.style.digits)
    rows = rows_of(effects)
    names = [contrast_name(row, labels) for row in rows]
    margin = analysis.experiment.margin
    extent = [row[key] for row in rows for key in ("low", "high", "difference", "low_new", "high_new")]
    extent += [row["difference_last"] for row in rows] + [0.0]
    extent += [-margin, margin] if margin is not None else []
    marks: list[Mark] = []
    has_new = any(row["low_new"] == row["low_new"] for row in rows)
    for k, row in enumerate(rows):
        look = verdict_look(row["verdict"] or "")
        hover = (
            f"{names[k]}: {numbers.difference(row['difference'])} {numbers.interval(row['low'], row['high'])}"
        )
        hover += f", n = {row['n']}" + (f", {row['verdict']}" if row["verdict"] else ", exploratory")
        group = _group(row)
        subject = contrast_subject(analysis, row)
        if row["low_new"] == row["low_new"]:
            marks.append(
                Mark(
                    key=f"r{k + 1}_new",
                    x=(row["difference"],),
                    y=(-k - 0.2,),
                    low=(row["low_new"],),
                    high=(row["high_new"],),
                    look=Look(colour=look.colour, marker="none", dash="dotted", size=0.8),
                    hover=(f"{names[k]}, new images: {numbers.interval(row['low_new'], row['high_new'])}",),
                    traces=(EFFECTS.hover(labels, subject, "interval_new"),),
                    kind="points",
                    name=group,
                )
            )
        if row["difference_last"] == row["difference_last"]:
            marks.append(
                Mark(
                    key=f"r{k + 1}_last",
                    x=(row["difference_last"],),
                    y=(-k + 0.24,),
                    look=Look(colour=look.colour, marker="cross", size=0.75),
                    hover=(f"{names[k]}, last epoch: {numbers.difference(row['difference_last'])}",),
                    traces=(EFFECTS.hover(labels, subject, "difference_last"),),
                    kind="points",
                    name=group,
                )
            )
        has_interval = row["low"] == row["low"]
        marks.append(
            Mark(
                key=f"r{k + 1}",
                x=(row["difference"],),
                y=(float(-k),),
                low=(row["low"],) if has_interval else (),
                high=(row["high"],) if has_interval else (),
                look=look,
                hover=(hover,),
                traces=(EFFECTS.hover(labels, subject, "difference"),),
                kind="points",
                name=group,
            )
        )
    right = tuple(
        Note(
            y=float(-k),
            text=f"{numbers.difference(row['difference'])} {numbers.interval(row['low'], row['high'])}"
            + (f" {row['verdict']}" if row["verdict"] else ""),
        )
        for k, row in enumerate(rows)
    )
    caption = (
        f"Differences in {labels.metric(outcome)}, level minus baseline, paired by seed. Thick: "
        f"{percent(analysis.level)} interval for this test set{_exploratory_level(analysis)}."
        + (" Dotted: for new images." if has_new else "")
        + (" Small cross: the same difference at the last epoch's weights." if _has_last(rows) else "")
        + (f" Shaded: differences within the margin ±{margin:g} do not matter." if margin is not None else "")
        + " Grey, hollow: exploratory, without a verdict."
        + (" Lower is better: a negative difference favours the level." if is_lower_better(outcome) else "")
    )
    room = 0.34 * labels.style.width_cm
    aliases = [aliases_name(row, labels) for row in rows]
    shown = [_row_name(name, alias, room) for name, alias in zip(names, aliases, strict=True)]
    widest = max(text_width(line) for name in shown for line in name.split("\n"))
    if any(aliases):
        caption += " After =: interactions that the fraction cannot tell from the effect."
    row_cm = TALL_ROW_CM if any("\n" in name for name in shown) else ROW_CM
    return Figure(
        name="effects",
        title="Effects on the outcome, the best first" if ranked else "Effects on the outcome",
        caption=caption,
        facets=(
            (
                Facet(
                    x=linear(extent, f"Difference in {labels.metric(outcome)}", num_ticks=4),
                    y=categories(shown),
                    marks=tuple(marks),
                    region=(-margin, margin) if margin is not None else None,
                    verticals=(0.0,),
                    right=right,
                ),
            ),
        ),
        width_cm=labels.style.width_cm,
        row_height_cm=row_cm * len(rows) + 0.4,
        left_cm=widest + 0.35,
        right_cm=max(text_width(note.text) for note in right) + 0.3,
        legend=_legend(rows, has_new, margin),
    )


def contrast_name(row: dict[str, object], labels: Labels) -> str:
    """Return `norm: DyT − BatchNorm (unet)`; without the axis where the design has only one."""
    name = f"{labels.name(str(row['level']))} {MINUS} {labels.name(str(row['baseline']))}"
    axis = f"{labels.axis(str(row['axis']))}: " if len(labels.analysis.experiment.axes) > 1 else ""
    return f"{axis}{name} ({labels.at(str(row['at']))})" if row["at"] else f"{axis}{name}"


def aliases_name(row: Mapping[str, Any], labels: Labels) -> str:
    """Return what an effect cannot be told from as it is printed: `lr × flips, model × size`."""
    others = [other.split(" x ") for other in str(row["aliases"]).split(", ")] if row["aliases"] else []
    return ", ".join(" × ".join(labels.axis(axis) for axis in other) for other in others)


def _row_name(name: str, aliases: str, room: float) -> str:
    """Return a row's name on at most two lines; what it is aliased with takes the second."""
    if not aliases:
        return wrapped(name, room)
    return f"{shortened(name, room)}\n{shortened(f'= {aliases}', room)}"


def _exploratory_level(analysis: Analysis) -> str:
    return "" if analysis.level == LEVEL else f" ({percent(LEVEL)} where exploratory)"


def _group(row: dict[str, object]) -> str:
    return "judged" if row["is_family"] else "exploratory"


def _has_last(rows: list[dict[str, Any]]) -> bool:
    return any(row["difference_last"] == row["difference_last"] for row in rows)


def _legend(rows: list[dict[str, object]], has_new: bool, margin: float | None) -> tuple[Key, ...]:
    verdicts = [str(row["verdict"] or "") for row in rows]
    keys = [
        Key(text=word, look=verdict_look(word), kind="points")
        for word in (*VERDICT_COLOURS, "unresolved")
        if any(word in verdict for verdict in verdicts)
    ]
    if any(not verdict for verdict in verdicts):
        keys.append(Key(text="exploratory", look=Look(colour=GREY, is_hollow=True), kind="points"))
    if has_new:
        keys.append(Key(text="new images", look=Look(dash="dotted"), kind="line"))
    if _has_last(rows):
        keys.append(Key(text="last epoch", look=Look(marker="cross", size=0.75), kind="points"))
    if margin is not None:
        keys.append(Key(text="margin", look=Look(alpha=0.2), kind="region"))
    return tuple(keys)


# The topic: the judged family, and the exploratory rest.


def effect_columns(analysis: Analysis) -> list[Column]:
    """Return the columns of contrasts; sub-groups share some of them."""
    level = percent(analysis.level)
    t = "Difference ± t(n − 1) · sd / √n over seeds."
    both = "Difference ± √(t²(n − 1) · sd² / n + t²(images − 1) · variance from images)."
    range_ = f"{level} interval" if level == percent(LEVEL) else f"interval ({level} in the family)"
    return [
        Text(name="contrast", title="Contrast", text=_named),
        Text(
            name="metric",
            title="Metric",
            text=lambda labels, row: labels.metric(row["metric"]),
            in_print=False,
            when=lambda labels, rows: len({row["metric"] for row in rows}) > 1,
        ),
        Number(name="n", title="n", words="seeds", formula="Seeds measured in both arms.", show=show_count),
        Number(
            name="difference",
            title="Difference",
            words="difference",
            formula="Mean over seeds of level minus baseline, paired by seed.",
            show=show_of_row(is_difference=True),
            dress=lambda labels, row, field: replace(field, is_bold=_is_resolved(row)),
        ),
        interval(
            f"{range_}, this test set",
            t,
            show_of_row(),
            title=f"{percent(LEVEL)} interval, this test set",
        ),
        Number(name="low", words=f"low end of the {range_}", formula=t, show=show_of_row()),
        Number(name="high", words=f"high end of the {range_}", formula=t, show=show_of_row()),
        interval(
            f"{range_}, new images",
            both,
            show_of_row(),
            name="interval_new",
            columns=("low_new", "high_new"),
            title="new images",
            is_optional=True,
        ),
        Number(
            name="difference_last",
            title="Last epoch",
            words="difference at the last epoch",
            formula="The same contrast at the last epoch's weights.",
            show=show_of_row(is_difference=True),
            is_optional=True,
            dress=lambda labels, row, field: replace(
                field, text=field.text + ("*" if row["depends_on_selection"] else "")
            ),
        ),
        Text(
            name="aliases",
            title="Aliased with",
            text=lambda labels, row: aliases_name(row, labels) or NONE,
            is_optional=True,
        ),
        Number(
            name="hedges_g",
            title="Hedges' g",
            words="Hedges' g",
            formula="Difference / the arms' average sd over seeds, corrected for few seeds.",
            show=show_effect_size,
            when=lambda labels, rows: labels.style.effect_size == "g",
        ),
        Number(name="p", words="p", formula="Two-sided t-test of the differences over seeds.", show=show_p),
        Number(
            name="p_sign_flip",
            title="p (sign flips)",
            words="p of sign flips",
            formula="Share of all ways to give the seeds' differences signs that lie as far from zero.",
            show=show_p,
            tables=("effects",),
            after="p_holm",
            is_optional=True,
        ),
        Number(
            name="p_holm",
            title="p (Holm)",
            words="p after Holm",
            formula="p by Holm: times the number of hypotheses whose p is no smaller, at least what smaller "
            "ones got.",
            show=show_p,
            tables=("effects",),
            dress=_equivalence_first,
        ),
        Number(
            name="p_equivalence_holm",
            words="p of equivalence after Holm",
            formula="Larger p of two one-sided t-tests against the margin's ends, by Holm among the "
            "equivalences.",
            show=show_p,
        ),
        Number(
            name="verdict",
            title="Verdict",
            words="verdict",
            formula="Better or worse where Holm's p is below alpha, equivalent where the equivalence's is.",
            show=show_word,
            tables=("effects",),
            is_number=False,
            dress=lambda labels, row, field: replace(
                field,
                text=row["verdict"] or NONE,
                tone=tone_of(row["verdict"] or ""),
                is_bold=_is_resolved(row),
            ),
        ),
        Number(
            name="seeds_needed",
            title="Seeds for 80 % power",
            columns=("seeds_needed_low", "seeds_needed_high"),
            words="seeds for 80 % power at the difference seen",
            formula="Power of the test at the difference seen, for the sd's upper limits of 50 and 90 %.",
            show=show_seeds_needed,
            tables=("effects",),
            in_print=False,
        ),
    ]


def _named(labels: Labels, row: Row) -> Field:
    name = contrast_name(dict(row), labels)
    is_other = row["metric"] != labels.analysis.experiment.outcome
    return Field(text=name, text_in_print=f"{name}, {labels.metric(row['metric'])}" if is_other else "")


def _is_resolved(row: Row) -> bool:
    return bool(row["verdict"]) and "unresolved" not in row["verdict"] and bool(row["is_family"])


def _equivalence_first(labels: Labels, row: Row, field: Field) -> Field:
    """Return the p of the equivalence for a row whose verdict rests on that."""
    p = row["p_equivalence_holm"]
    if "equivalent" not in (row["verdict"] or "") or not is_known(p):
        return field
    subject = contrast_subject(labels.analysis, row)
    hover = EFFECTS.hover(labels, subject, "p_equivalence_holm")
    return Field(text=f"{p_value(p)} (TOST)", sort=p, hover=hover)


EFFECTS: Final = Frame(
    name="effects",
    compute=effects_frame,
    subject=contrast_subject,
    columns=effect_columns,
    source=contrast_source,
    steps=contrast_steps,
    measured=contrast_metric,
)


def _part(labels: Labels, *, is_family: bool) -> list[Row]:
    return [row for row in rows_of(labels.analysis.effects) if bool(row["is_family"]) == is_family]


def _note(labels: Labels, rows: Sequence[Row]) -> str:
    analysis = labels.analysis
    margin, outcome = analysis.experiment.margin, analysis.experiment.outcome
    is_family = bool(rows[0]["is_family"])
    parts = [
        "Level minus baseline, paired by seed; n counts seeds.",
        "Bold: resolved." if is_family else "",
        f"Margin {margin:g}." if margin is not None else "No margin is declared.",
    ]
    if len({row["metric"] for row in rows}) > 1:
        parts.append(f"Where no other metric is named, differences are in {labels.metric(outcome)}.")
    if any(row["depends_on_selection"] for row in rows):
        parts.append("*: another verdict at the last epoch's weights, so it depends on checkpoint selection.")
    if is_family and any(is_known(row["p_sign_flip"]) for row in rows):
        parts.append(
            "p (sign flips): exact over all signs of the seeds' differences, without correction; no verdict "
            "rests on it."
        )
    if labels.style.effect_size == "g":
        parts.append("Hedges' g: the difference in units of the arms' average sd over seeds.")
    if any(is_text(row["aliases"]) for row in rows):
        parts.append("Aliased with: interactions that the fraction cannot tell from the effect.")
    return " ".join(filter(None, [*parts, *_remarks(rows, labels)]))


def _remarks(rows: Iterable[Mapping[str, Any]], labels: Labels) -> list[str]:
    """Return each remark once, with the contrasts that it is about."""
    about: dict[str, list[str]] = {}
    for row in rows:
        if is_text(row["note"]):
            about.setdefault(str(row["note"]), []).append(contrast_name(dict(row), labels))
    return [f"{'; '.join(dict.fromkeys(names))}: {remark}." for remark, names in about.items()]


TOPIC: Final = Topic(
    name="effects",
    section="effects",
    frames=(EFFECTS,),
    tables=(
        TablePart(
            name="effects",
            frame=EFFECTS,
            caption="Effects that are judged, with Holm-adjusted p.",
            rows=partial(_part, is_family=True),
            note=_note,
            titles={"interval": lambda labels: f"{percent(labels.analysis.level)} interval, this test set"},
        ),
        TablePart(
            name="effects-exploratory",
            frame=EFFECTS,
            caption="Exploratory contrasts: intervals without verdicts.",
            rows=partial(_part, is_family=False),
            note=_note,
        ),
    ),
    figures=(FigurePart(name="effects", make=forest_figure),),
)


SENSITIVITY_COLUMNS = (
    *("axis", "level", "baseline", "at", "metric", "n", "difference"),
    *("low", "high", "df", "low_pooled", "high_pooled", "df_pooled", "says_otherwise"),
    *("trials", "trials_pooled", *EVIDENCE),
)


def sensitivity_frame(study: Study) -> pd.DataFrame:
    """Return the judged effects on the outcome with the residual error pooled over cells; never the verdict.

    Empty where nothing is judged, or no error can be pooled: fewer than three cells, or than two seeds
    measured in every cell.

    Returns:
        `axis`, `level`, `baseline`, `at`, `metric`, `n`, `difference`, `low`, `high`, `df` (its own error),
        `low_pooled`, `high_pooled`, `df_pooled`, `says_otherwise` (bool: one interval alone excludes 0),
        `trials`, `trials_pooled` and the columns of `study.EVIDENCE`.
    """
    experiment, family, estimator = study.experiment, study.family, study.estimator
    nothing = pd.DataFrame(columns=list(SENSITIVITY_COLUMNS))
    if study.partial is not None or not family.members or experiment.outcome not in estimator.table:
        return nothing
    pooled = PooledError.of(estimator.table, experiment.outcome)
    if pooled is None:
        return nothing
    rows = []
    for member in family.members:
        effect, contrast = member.hypothesis.effect, member.hypothesis.effect.contrast
        if member.is_ratio or contrast.metric != experiment.outcome or contrast.among:
            continue
        half = float(pooled.spread(estimator.table, contrast, estimator.pairing).half_width(family.level))
        if half != half:
            continue
        # As in the effects, the axis's baseline stands second.
        is_turned = contrast.level == experiment.axis(contrast.axis).baseline
        names = (contrast.baseline, contrast.level) if is_turned else (contrast.level, contrast.baseline)
        difference = -effect.difference if is_turned else effect.difference
        half_own = float(effect.spread.half_width(family.level))
        own, wide = ((difference - h, difference + h) for h in (half_own, half))
        proof = evidence(effect)
        rows.append(
            {
                **(turned_round(proof) if is_turned else proof),
                "axis": contrast.axis,
                "level": names[0],
                "baseline": names[1],
                "at": contrast.at_text,
                "metric": contrast.metric,
                "n": effect.n,
                "difference": difference,
                "low": own[0],
                "high": own[1],
                "df": effect.n - 1,
                "low_pooled": wide[0],
                "high_pooled": wide[1],
                "df_pooled": pooled.df,
                "says_otherwise": changes_side(own, wide),
                "trials": effect.trials,
                "trials_pooled": pooled.trials,
            }
        )
    return pd.DataFrame(rows, columns=list(SENSITIVITY_COLUMNS))


# The table of the named sensitivity: residual error pooled over cells.


_NOTE = (
    "Sensitivity: a repeated-measures analysis of variance would pool the residual error over all cells and "
    "so have more degrees of freedom (df). It takes all cells to vary alike over seeds; no verdict rests on "
    "it. Says otherwise: one of the two intervals alone excludes 0."
)


def _columns(analysis: Analysis) -> list[Column]:
    level = percent(analysis.level)
    show = show_of_row(is_difference=True)
    return [
        Text(name="contrast", title="Contrast", text=lambda labels, row: contrast_name(dict(row), labels)),
        Number(
            name="difference",
            title="Difference",
            words="difference",
            formula="Mean over seeds of level minus baseline, paired by seed.",
            show=show,
        ),
        interval(
            "interval, own error",
            "Difference ± t(n − 1) · sd / √n over seeds.",
            show,
            title=f"{level} interval, own error",
        ),
        Number(
            name="df", title="df", words="df of its own error", formula="Seeds less one.", show=show_count
        ),
        interval(
            "interval, pooled error",
            "Difference ± t(df) · √(2 · residual mean square of all cells / (cells of the arm · seeds)).",
            show,
            name="interval_pooled",
            columns=("low_pooled", "high_pooled"),
            title=f"{level} interval, pooled error",
            behind=_POOLED,
        ),
        Number(
            name="df_pooled",
            title="df",
            words="df of the pooled error",
            formula="(cells − 1) · (seeds − 1), over the seeds measured in every cell.",
            show=show_count,
            behind=_POOLED,
        ),
        Number(
            name="says_otherwise",
            title="Says otherwise",
            words="whether the pooled error says otherwise",
            formula="Yes where one of the two intervals alone excludes 0.",
            show=lambda numbers, row, values: "yes" if values[0] else "no",
            behind=_POOLED,
            is_number=False,
        ),
    ]


_POOLED: Final = "pooled"


def _source(measured: Measured, row: Row, number: Number) -> Source:
    """Return the two arms of the contrast, or all cells, whose error is pooled."""
    if number.behind == _POOLED:
        return measured.of_trials(row.get("trials_pooled", ()), measured.analysis.experiment.outcome)
    return contrast_source(measured, row, number)


def _steps(asked: Asked) -> Iterator[str]:
    row, level = asked.row, asked.analysis.level
    yield from by_seed(asked.traces[0])
    yield ""
    yield from interval_steps([float(value) for value in row["difference_by_seed"]], level, "difference")
    df, low, high = (float(row[name]) for name in ("df_pooled", "low_pooled", "high_pooled"))
    t, half = float(t_quantile((1 - level) / 2, df)), (high - low) / 2
    yield ""
    yield f"{percent(level)} interval with the error pooled over all cells: {df:.0f} degrees of freedom"
    error = "sqrt(2 · residual mean square / (cells of an arm · seeds))"
    yield f"  standard error = {error} = {number_text(half / t)}"
    yield f"  t({(1 + level) / 2:.4g}, {df:.0f}) = {t:.4f}"
    yield f"  half-width = {number_text(half)}"
    yield f"  interval = {number_text(low)} to {number_text(high)}"


SENSITIVITY: Final = Frame(
    name="sensitivity",
    compute=sensitivity_frame,
    subject=contrast_subject,
    columns=_columns,
    source=_source,
    steps=_steps,
    measured=contrast_metric,
)

SENSITIVITY_TOPIC: Final = Topic(
    name="sensitivity",
    section="effects",
    frames=(SENSITIVITY,),
    tables=(
        TablePart(
            name="sensitivity",
            frame=SENSITIVITY,
            caption="Sensitivity: residual error pooled over cells.",
            note=lambda labels, rows: _NOTE,
        ),
    ),
)
