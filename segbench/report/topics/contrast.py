"""What all rows about a contrast share: how they are called, what they rest on, how they are worked out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from segbench.report.analysis import Analysis
from segbench.report.numbers import p_value
from segbench.report.trace import (
    Asked,
    Measured,
    Row,
    Source,
    by_seed,
    ends_text,
    interval_steps,
    is_text,
    number_text,
    rows_of,
)
from segbench.stats.intervals import LEVEL, t_quantile

if TYPE_CHECKING:
    from segbench.report.topics.topic import Number


def contrast_subject(analysis: Analysis, row: Row) -> str:
    """Name a contrast: `norm: none - BatchNorm at model = unet, instability, new images`."""
    text = f"{row['axis']}: {row['level']} - {row['baseline']}"
    if is_text(row.get("at")):
        text += f" at {row['at']}"
    metric = row.get("metric", analysis.experiment.outcome)
    if metric != analysis.experiment.outcome:
        text += f", {metric}"
    return text + (", new images" if row.get("on") == "new_images" else "")


def contrast_source(measured: Measured, row: Row, number: Number) -> Source:
    """Return the trials of a contrast and what each seed measured, as far as the frame carries evidence."""
    trials = row.get("trials")
    trials = tuple(trials) if isinstance(trials, tuple | list) else ()
    seeds = row.get("seeds")
    if not isinstance(seeds, tuple):
        return measured.of_trials(trials)
    names = {"level_by_seed": str(row["level"]), "baseline_by_seed": str(row["baseline"])}
    names["difference_by_seed"] = "difference of logarithms" if row.get("is_ratio") is True else "difference"
    return Source(trials=trials, seeds=seeds, by_seed={name: row[c] for c, name in names.items()})


def contrast_metric(analysis: Analysis, row: Row) -> str:
    """Return the metric of a contrast; a row without one is about the outcome."""
    return str(row.get("metric", analysis.experiment.outcome))


def contrast_steps(asked: Asked) -> Iterator[str]:
    """Work a contrast out again: seeds, interval, interval for new images, place in the family."""
    analysis, row, frame = asked.analysis, asked.row, asked.frame
    if not isinstance(row.get("seeds"), tuple):
        return
    yield from by_seed(asked.traces[0])
    yield ""
    differences = [float(value) for value in row["difference_by_seed"]]
    is_family = frame == "claims" or row.get("is_family") is True
    level = analysis.level if is_family else LEVEL
    if len(differences) > 1 and math.isnan(float(row["low"])):
        yield f"difference = mean over seeds = {number_text(float(row['difference']))}, without an interval"
    else:
        yield from interval_steps(differences, level, "difference")
    variance, units = float(row["images_variance"]), int(row["num_units"])
    n = len(differences)
    if n > 1 and not math.isnan(variance):
        t, t_new = (float(t_quantile((1 - level) / 2, df)) for df in (n - 1, units - 1))
        sd = float(row["sd"])
        half = math.sqrt(t**2 * sd**2 / n + t_new**2 * variance)
        mean = float(row["difference"])
        yield ""
        yield f"interval for new images: {units:,} images (or groups) were seen"
        added = f"variance that other images would add = {number_text(variance)}"
        yield f"  {added}, t({units - 1}) = {t_new:.4f}"
        parts = f"{t:.4f}² · sd² / {n} + {t_new:.4f}² · {number_text(variance)}"
        yield f"  half-width = sqrt({parts}) = {number_text(half)}"
        yield f"  interval = {ends_text(mean, half)}"
    if is_family:
        yield from _holm(analysis, row)
    else:
        yield from ("", "exploratory: outside the family, so without p and verdict")
    if isinstance(row.get("note"), str) and row["note"]:
        yield from ("", f"note: {row['note']}")


def _holm(analysis: Analysis, row: Row) -> Iterator[str]:
    """Show the family in the order of p: Holm multiplies the k-th smallest by the members not before it."""
    for name, title in (("p", "difference"), ("p_equivalence", "equivalence")):
        p = float(row.get(name, math.nan))
        if math.isnan(p):
            continue
        family = _family(analysis, name)
        order = sorted(family, key=lambda member: member[0])
        places = [place for place, member in enumerate(order) if member[0] == p]
        yield ""
        yield f"Holm, {title}: {len(family)} hypothes{'i' if len(family) == 1 else 'e'}s in the order of p"
        for place, (each, about) in enumerate(order):
            factor = len(order) - place
            mark = ">" if place in places else " "
            by_place = number_text(min(1.0, each * factor))
            yield f"{mark} {place + 1}. {number_text(each)} · {factor} = {by_place}  {about}"
        adjusted = p_value(float(row[f"{name}_holm"]))
        yield f"  after Holm: the largest up to its place, {adjusted}"


def _family(analysis: Analysis, name: str) -> list[tuple[float, str]]:
    """Return the p and the words of every judged hypothesis; one that could not be tested counts as 1."""
    members = [
        (row, contrast_subject(analysis, row)) for row in rows_of(analysis.effects) if row["is_family"]
    ]
    ratios = {row["claim"]: row for row in rows_of(analysis.claims) if row.get("is_ratio") is True}
    members += [(row, str(claim)) for claim, row in ratios.items()]
    has_margin = name == "p" or analysis.experiment.margin is not None
    found = []
    for row, subject in members if has_margin else ():
        p = float(row.get(name, math.nan))
        if name == "p" or not math.isnan(p):
            found.append((1.0 if math.isnan(p) else p, subject))
    return found
