"""The tables of effects: the judged family, and the exploratory rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from segbench.report.analysis import Analysis
from segbench.report.figures.forest import aliases_name, contrast_name
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, Numbers, count, effect_size, p_value
from segbench.report.phrases import percent, seeds_range
from segbench.report.tables.parts import is_known, is_text, rows_of, tone_of
from segbench.report.tables.table import Column, Field, Table
from segbench.report.trace_frames import contrast_subject
from segbench.stats.intervals import LEVEL


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """Columns that are there only where some row has a value."""

    has_new: bool
    has_aliases: bool
    has_g: bool
    has_last: bool
    has_flips: bool
    metrics: int


def effects_table(analysis: Analysis, labels: Labels, *, is_family: bool) -> Table:
    """Return the judged family of contrasts, or the exploratory rest."""
    effects = analysis.effects
    if not effects.empty:
        effects = effects[effects["is_family"].astype(bool) == is_family]
    numbers = Numbers(labels.style.digits)
    frame = rows_of(effects)
    metrics = {row["metric"] for row in frame}
    has_new = any(is_known(row["low_new"]) for row in frame)
    has_flips = is_family and any(is_known(row["p_sign_flip"]) for row in frame)
    has_g = labels.style.effect_size == "g"
    shown = _Shown(
        has_new=has_new,
        has_aliases=any(is_text(row["aliases"]) for row in frame),
        has_g=has_g,
        has_last=any(is_known(row["difference_last"]) for row in frame),
        has_flips=has_flips,
        metrics=len(metrics),
    )
    rows = [tuple(_effect(row, labels, numbers, shown)) for row in frame]
    columns = [Column(title="Contrast", is_number=False)]
    if len(metrics) > 1:
        columns.append(Column(title="Metric", is_number=False, in_print=False))
    title = f"{percent(analysis.level if is_family else LEVEL)} interval, this test set"
    columns += [Column(title="n"), Column(title="Difference"), Column(title=title)]
    if has_new:
        columns.append(Column(title="new images"))
    if shown.has_last:
        columns.append(Column(title="Last epoch"))
    if shown.has_aliases:
        columns.append(Column(title="Aliased with", is_number=False))
    if has_g:
        columns.append(Column(title="Hedges' g"))
    if is_family:
        columns += [Column(title="p (Holm)"), *([Column(title="p (sign flips)")] if has_flips else [])]
        columns.append(Column(title="Verdict", is_number=False))
        columns.append(Column(title="Seeds for 80 % power", in_print=False))
    margin, outcome = analysis.experiment.margin, analysis.experiment.outcome
    note = f"Level minus baseline, paired by seed; n counts seeds. {'Bold: resolved. ' if is_family else ''}"
    note += f"Margin {margin:g}. " if margin is not None else "No margin is declared. "
    if len(metrics) > 1:
        note += f"Where no other metric is named, differences are in {labels.metric(outcome)}. "
    if any(row["depends_on_selection"] for row in frame):
        note += "*: another verdict at the last epoch's weights, so it depends on checkpoint selection. "
    if has_flips:
        note += (
            "p (sign flips): exact over all signs of the seeds' differences, without correction; no verdict "
            "rests on it. "
        )
    if has_g:
        note += "Hedges' g: the difference in units of the arms' average sd over seeds. "
    if shown.has_aliases:
        note += "Aliased with: interactions that the fraction cannot tell from the effect. "
    note += " ".join(_remarks(frame, labels))
    caption = (
        "Effects that are judged, with Holm-adjusted p."
        if is_family
        else ("Exploratory contrasts: intervals without verdicts.")
    )
    return Table(
        name="effects" if is_family else "effects-exploratory",
        caption=caption,
        columns=tuple(columns),
        rows=tuple(rows),
        note=note.strip(),
    )


def _remarks(rows: Iterable[Mapping[str, Any]], labels: Labels) -> list[str]:
    """Return each remark once, with the contrasts that it is about."""
    about: dict[str, list[str]] = {}
    for row in rows:
        if is_text(row["note"]):
            about.setdefault(str(row["note"]), []).append(contrast_name(dict(row), labels))
    return [f"{'; '.join(dict.fromkeys(names))}: {remark}." for remark, names in about.items()]


def _effect(
    row: Mapping[str, Any],
    labels: Labels,
    numbers: Numbers,
    shown: _Shown,
) -> Iterable[Field]:
    metric, verdict = row["metric"], row["verdict"] or ""
    is_family = bool(row["is_family"])
    is_resolved = bool(verdict) and "unresolved" not in verdict and is_family
    star = "*" if row["depends_on_selection"] else ""
    name = contrast_name(dict(row), labels)
    is_other = metric != labels.analysis.experiment.outcome
    yield Field(text=name, text_in_print=f"{name}, {labels.metric(metric)}" if is_other else "")
    if shown.metrics > 1:
        yield Field(text=labels.metric(metric))
    subject = contrast_subject(labels.analysis, row)

    def traced(name: str) -> str:
        return labels.traces.hover("effects", subject, name)

    yield Field(text=count(row["n"]), sort=row["n"], hover=traced("n"))
    yield Field(
        text=numbers.of(metric, row["difference"], is_difference=True),
        sort=row["difference"],
        is_bold=is_resolved,
        hover=traced("difference"),
    )
    this = numbers.interval_of(metric, row["low"], row["high"])
    yield Field(text=this, sort=row["low"], high=row["high"], hover=traced("interval"))
    if shown.has_new:
        new = numbers.interval_of(metric, row["low_new"], row["high_new"])
        yield Field(text=new, sort=row["low_new"], high=row["high_new"], hover=traced("interval_new"))
    if shown.has_last:
        yield Field(
            text=numbers.of(metric, row["difference_last"], is_difference=True) + star,
            sort=row["difference_last"],
            hover=traced("difference_last"),
        )
    if shown.has_aliases:
        yield Field(text=aliases_name(row, labels) or NONE)
    if shown.has_g:
        yield Field(text=effect_size(row["hedges_g"]), sort=row["hedges_g"], hover=traced("hedges_g"))
    if is_family:
        equivalent = "equivalent" in verdict and is_known(row["p_equivalence_holm"])
        p = row["p_equivalence_holm"] if equivalent else row["p_holm"]
        how = traced("p_equivalence_holm" if equivalent else "p_holm")
        yield Field(text=p_value(p) + (" (TOST)" if equivalent else ""), sort=p, hover=how)
        if shown.has_flips:
            flips = row["p_sign_flip"]
            yield Field(text=p_value(flips), sort=flips, hover=traced("p_sign_flip"))
        yield Field(text=verdict or NONE, tone=tone_of(verdict), is_bold=is_resolved, hover=traced("verdict"))
        yield Field(
            text=_seeds_needed(row),
            sort=row["seeds_needed_low"],
            high=row["seeds_needed_high"],
            hover=traced("seeds_needed"),
        )


def _seeds_needed(row: Mapping[str, Any]) -> str:
    low, high = row["seeds_needed_low"], row["seeds_needed_high"]
    if not is_known(low):
        return NONE
    return seeds_range(low, low if not is_known(high) else high).removesuffix(" seeds")
