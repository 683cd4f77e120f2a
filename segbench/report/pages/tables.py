"""The tables of a report, from an analysis; every number is printed here and only here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pandas as pd

from segbench.report.analysis import Analysis
from segbench.report.figures.forest import contrast_name
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, Numbers, count, magnitude, p_value, significant, typographic
from segbench.report.pages.search_table import search_table
from segbench.report.pages.table import Column, Field, Table
from segbench.report.pages.tuning import tuning_table
from segbench.report.phrases import percent, seeds_range
from segbench.stats.intervals import LEVEL

_TONES: Final = {
    "better": "good",
    "worse": "bad",
    "equivalent": "same",
    "unresolved": "open",
    "supported": "good",
    "contradicted": "bad",
    "not judged": "open",
}


def make_tables(analysis: Analysis, labels: Labels) -> dict[str, Table]:
    """Return name -> table, without those that would be empty."""
    tables = [
        claims_table(analysis),
        effects_table(analysis, labels, is_family=True),
        effects_table(analysis, labels, is_family=False),
        subgroups_table(analysis, labels),
        cells_table(analysis, labels),
        costs_table(analysis, labels),
        search_table(analysis, labels),
        tuning_table(analysis, labels),
        failures_table(analysis, labels),
        left_out_table(analysis),
    ]
    return {table.name: table for table in tables if table.rows}


def claims_table(analysis: Analysis) -> Table:
    """Return the file's claims and what became of them."""
    rows = [
        (
            Field(text=typographic(row["claim"])),
            Field(text=row["verdict"], tone=_tone(row["verdict"]), is_bold=row["verdict"] in _RESOLVED),
            Field(text=typographic(row["evidence"] or NONE)),
        )
        for row in _rows(analysis.claims)
    ]
    columns = (
        Column(title="Claim", is_number=False),
        Column(title="Verdict", is_number=False),
        Column(title="Evidence", is_number=False),
    )
    return Table(name="claims", caption="Claims of the experiment file.", columns=columns, rows=tuple(rows))


_RESOLVED: Final = frozenset({"supported", "contradicted"})


def effects_table(analysis: Analysis, labels: Labels, *, is_family: bool) -> Table:
    """Return the judged family of contrasts, or the exploratory rest."""
    effects = analysis.effects
    if not effects.empty:
        effects = effects[effects["is_family"].astype(bool) == is_family]
    numbers = Numbers(labels.style.digits)
    frame = _rows(effects)
    metrics = {row["metric"] for row in frame}
    has_new = any(_is_known(row["low_new"]) for row in frame)
    rows = [tuple(_effect(row, labels, numbers, has_new=has_new, metrics=metrics)) for row in frame]
    columns = [Column(title="Contrast", is_number=False)]
    if len(metrics) > 1:
        columns.append(Column(title="Metric", is_number=False))
    title = f"{percent(analysis.level if is_family else LEVEL)} interval, this test set"
    columns += [Column(title="n"), Column(title="Difference"), Column(title=title)]
    if has_new:
        columns.append(Column(title="new images"))
    columns.append(Column(title="Last epoch"))
    if is_family:
        columns += [Column(title="p (Holm)"), Column(title="Verdict", is_number=False)]
        columns.append(Column(title="Seeds for 80 % power", in_print=False))
    margin = analysis.experiment.margin
    note = "Level minus baseline, paired by seed; n counts seeds. Bold: resolved. "
    note += f"Margin {margin:g}. " if margin is not None else "No margin is declared. "
    if any(row["depends_on_selection"] for row in frame):
        note += "*: another verdict at the last epoch's weights, so it depends on checkpoint selection. "
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


def subgroups_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the contrasts within each sub-group of the test images."""
    numbers = Numbers(labels.style.digits)
    metric = analysis.experiment.outcome
    frame = _rows(analysis.subgroups)
    has_new = any(_is_known(row["low_new"]) for row in frame)
    rows = []
    for row in frame:
        fields = [
            Field(text=f"{labels.name(row['division'])}: {labels.name(row['label'])}"),
            Field(text=count(row["num_images"]), sort=row["num_images"]),
            Field(text=contrast_name({**row, "at": ""}, labels)),
            Field(text=numbers.of(metric, row["level_mean"]), sort=row["level_mean"]),
            Field(text=numbers.of(metric, row["baseline_mean"]), sort=row["baseline_mean"]),
            Field(text=numbers.of(metric, row["difference"], is_difference=True), sort=row["difference"]),
            Field(text=numbers.interval_of(metric, row["low"], row["high"]), sort=row["low"]),
        ]
        if has_new:
            new = numbers.interval_of(metric, row["low_new"], row["high_new"])
            fields.append(Field(text=new, sort=row["low_new"]))
        rows.append(tuple(fields))
    columns = [
        Column(title="Test images", is_number=False),
        Column(title="Images"),
        Column(title="Contrast", is_number=False),
        Column(title="Level"),
        Column(title="Baseline"),
        Column(title="Difference"),
        Column(title="95 % interval, this test set"),
    ]
    return Table(
        name="subgroups",
        caption=f"{labels.metric(metric)} within sub-groups of the test images.",
        columns=(*columns, *([Column(title="new images")] if has_new else [])),
        rows=tuple(rows),
        note="Level minus baseline, paired by seed, over the images of the sub-group alone. Exploratory.",
    )


def _remarks(rows: Iterable[Mapping[str, Any]], labels: Labels) -> list[str]:
    """Return each remark once, with the contrasts that it is about."""
    about: dict[str, list[str]] = {}
    for row in rows:
        if _is_text(row["note"]):
            about.setdefault(str(row["note"]), []).append(contrast_name(dict(row), labels))
    return [f"{'; '.join(dict.fromkeys(names))}: {remark}." for remark, names in about.items()]


def _effect(
    row: Mapping[str, Any],
    labels: Labels,
    numbers: Numbers,
    *,
    has_new: bool,
    metrics: set[str],
) -> Iterable[Field]:
    metric, verdict = row["metric"], row["verdict"] or ""
    is_family = bool(row["is_family"])
    is_resolved = bool(verdict) and "unresolved" not in verdict and is_family
    star = "*" if row["depends_on_selection"] else ""
    yield Field(text=contrast_name(dict(row), labels))
    if len(metrics) > 1:
        yield Field(text=labels.metric(metric))
    yield Field(text=count(row["n"]), sort=row["n"])
    yield Field(
        text=numbers.of(metric, row["difference"], is_difference=True),
        sort=row["difference"],
        is_bold=is_resolved,
    )
    yield Field(text=numbers.interval_of(metric, row["low"], row["high"]), sort=row["low"])
    if has_new:
        yield Field(text=numbers.interval_of(metric, row["low_new"], row["high_new"]), sort=row["low_new"])
    yield Field(
        text=numbers.of(metric, row["difference_last"], is_difference=True) + star,
        sort=row["difference_last"],
    )
    if is_family:
        equivalent = "equivalent" in verdict and _is_known(row["p_equivalence_holm"])
        p = row["p_equivalence_holm"] if equivalent else row["p_holm"]
        yield Field(text=p_value(p) + (" (TOST)" if equivalent else ""), sort=p)
        yield Field(text=verdict or NONE, tone=_tone(verdict), is_bold=is_resolved)
        yield Field(text=_seeds_needed(row), sort=row["seeds_needed_low"])


def cells_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the outcome of every cell."""
    numbers = Numbers(labels.style.digits)
    frame = _rows(labels.ordered(analysis.cells))
    axes = labels.axes
    has_lost = any(row[key] for row in frame for key in ("diverged", "failed", "missing"))
    rows = []
    for row in frame:
        lost = [f"{int(row[key])} {key}" for key in ("diverged", "failed", "missing") if row[key]]
        names = [Field(text=labels.name(str(row[axis])) or NONE) for axis in axes] or [
            Field(text=labels.cell(row["cell"]))
        ]
        rows.append(
            (
                *names,
                Field(text=count(row["n"]), sort=row["n"]),
                Field(text=numbers.value(row["mean"]), sort=row["mean"]),
                Field(text=numbers.interval(row["low"], row["high"]), sort=row["low"]),
                Field(text=numbers.value(row["sd"]), sort=row["sd"]),
                Field(text=numbers.value(row["mean_last"]), sort=row["mean_last"]),
                Field(text=numbers.value(row["val_mean"]), sort=row["val_mean"]),
                Field(text=_plain(row["selected_epoch"]), sort=row["selected_epoch"]),
                *([Field(text=", ".join(lost) or NONE, tone="bad" if lost else "")] if has_lost else []),
            )
        )
    outcome = labels.metric(analysis.experiment.outcome)
    objective = labels.metric(analysis.experiment.baseline.objective.metric)
    columns = (
        *(Column(title=labels.name(axis), is_number=False) for axis in axes or ["cell"]),
        Column(title="n"),
        Column(title=outcome),
        Column(title="95 % interval"),
        Column(title="sd"),
        Column(title="Last epoch"),
        Column(title=objective, in_print=False),
        Column(title="Epoch", in_print=False),
        *([Column(title="Lost", is_number=False)] if has_lost else []),
    )
    note = (
        f"Means over n seeds of {outcome} at the selected weights, with t-intervals over seeds. Intervals of "
        "two cells do not judge their difference; the effects do."
    )
    return Table(name="cells", caption="Outcome of every cell.", columns=columns, rows=tuple(rows), note=note)


def costs_table(analysis: Analysis, labels: Labels) -> Table:
    """Return size, time and memory of every cell."""
    axes = labels.axes
    rows = []
    for row in _rows(labels.ordered(analysis.cells)):
        names = [Field(text=labels.name(str(row[axis])) or NONE) for axis in axes] or [
            Field(text=labels.cell(row["cell"]))
        ]
        rows.append(
            (
                *names,
                Field(text=magnitude(row["parameters"]), sort=row["parameters"]),
                Field(text=magnitude(row["flops"]), sort=row["flops"]),
                Field(text=significant(row["epoch_time_s"]), sort=row["epoch_time_s"]),
                Field(text=significant(row["images_per_s"]), sort=row["images_per_s"]),
                Field(text=count(row["peak_memory_mib"]), sort=row["peak_memory_mib"]),
            )
        )
    columns = (
        *(Column(title=labels.name(axis), is_number=False) for axis in axes or ["cell"]),
        Column(title="Parameters"),
        Column(title="FLOPs"),
        Column(title="s per epoch"),
        Column(title="Images per s"),
        Column(title="Peak MiB"),
    )
    note = (
        "FLOPs: of one forward pass of one image, two per multiply-add. Times, throughput of training and "
        "memory are medians over seeds on the hardware named under provenance."
    )
    is_known = any(
        _is_known(row["parameters"]) or _is_known(row["epoch_time_s"]) for row in _rows(analysis.cells)
    )
    return Table(
        name="costs",
        caption="Cost of every cell.",
        columns=columns,
        rows=tuple(rows) if is_known else (),
        note=note,
    )


def failures_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the trials that did not complete, and why."""
    rows = [
        (
            Field(text=row["trial"] or NONE),
            Field(text=labels.cell(row["cell"])),
            Field(text=count(row["seed"]), sort=row["seed"]),
            Field(text=row["state"] + (f" ({row['failure']})" if _is_text(row["failure"]) else "")),
            Field(text=row["reason"] if _is_text(row["reason"]) else NONE),
        )
        for row in _rows(analysis.failures)
    ]
    columns = (
        Column(title="Trial", is_number=False),
        Column(title="Cell", is_number=False),
        Column(title="Seed"),
        Column(title="State", is_number=False),
        Column(title="Reason", is_number=False),
    )
    return Table(name="failures", caption="Trials that did not complete.", columns=columns, rows=tuple(rows))


def left_out_table(analysis: Analysis) -> Table:
    """Return the records that are no part of the report."""
    rows = [
        (Field(text=str(row["folder"])), Field(text=str(row["reason"]))) for row in _rows(analysis.left_out)
    ]
    columns = (Column(title="Record", is_number=False), Column(title="Why", is_number=False))
    return Table(name="left-out", caption="Records left out.", columns=columns, rows=tuple(rows))


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return (
        []
        if frame.empty
        else [{str(k): v for k, v in row.items()} for row in frame.to_dict(orient="records")]
    )


def _plain(value: float) -> str:
    return f"{value:g}" if _is_known(value) else NONE


def _seeds_needed(row: Mapping[str, Any]) -> str:
    low, high = row["seeds_needed_low"], row["seeds_needed_high"]
    if not _is_known(low):
        return NONE
    return seeds_range(low, low if not _is_known(high) else high).removesuffix(" seeds")


def _tone(verdict: str) -> str:
    return next((tone for word, tone in _TONES.items() if word in verdict), "")


def _is_known(value: Any) -> bool:
    return value is not None and value == value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
