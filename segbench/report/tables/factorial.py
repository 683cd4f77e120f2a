"""The tables of factors: means of levels, interactions, analysis of variance. All are exploratory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.numbers import MINUS
from segbench.report.tables.numbered import Numbered
from segbench.report.tables.parts import rows_of
from segbench.report.tables.table import Column, Field, Table
from segbench.report.trace_designs import interaction_subject, marginal_subject


def marginals_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the outcome of every level, averaged over the levels of the other axes."""
    outcome = labels.metric(analysis.experiment.outcome)
    shown = (("n", "n"), (outcome, "mean"), ("95 % interval", "interval"), ("sd", "sd"))
    numbers = Numbered(labels, "marginals", shown)
    rows = [
        (
            Field(text=labels.name(row["axis"])),
            Field(text=labels.name(row["level"])),
            *numbers.fields(marginal_subject(analysis, row)),
        )
        for row in rows_of(analysis.marginals)
    ]
    columns = (
        Column(title="Axis", is_number=False),
        Column(title="Level", is_number=False),
        *numbers.columns,
    )
    note = (
        "Per seed the mean over all cells that have the level; n counts seeds, interval and sd are over "
        "them. Where two axes interact, the mean of a level hides what it does at each level of the other."
    )
    return Table(
        name="marginals",
        caption="Means of levels, over the levels of the other axes.",
        columns=columns,
        rows=tuple(rows),
        note=note,
    )


def interactions_table(analysis: Analysis, labels: Labels) -> Table:
    """Return how much each effect changes with a level of another axis."""
    shown = (
        ("n", "n"),
        ("Difference of differences", "difference"),
        ("95 % interval, this test set", "interval"),
    )
    numbers = Numbered(labels, "interactions", shown)
    rows = [
        (
            *(Field(text=_effect(row, side, labels)) for side in ("a", "b")),
            *numbers.fields(interaction_subject(analysis, row)),
        )
        for row in rows_of(analysis.interactions)
    ]
    columns = (
        Column(title="Effect of", is_number=False),
        Column(title="changes with", is_number=False),
        *numbers.columns,
    )
    note = (
        "By how much the first difference is larger at the second's level than at its baseline, seed by "
        "seed, over the levels of all other axes. Zero: the two effects add up. Exploratory: intervals "
        "without correction, no verdicts."
    )
    return Table(
        name="interactions",
        caption="Interactions of two axes.",
        columns=columns,
        rows=tuple(rows),
        note=note,
    )


def anova_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the analysis of variance."""
    shown = (
        ("df", "df"),
        ("Sum of squares", "ss"),
        ("F", "f"),
        ("p", "p"),
        ("η²", "eta_squared"),
        ("ω²", "omega_squared"),
    )
    numbers = Numbered(labels, "anova", shown)
    rows = [
        (Field(text=_source(row["source"], row["axes"], labels)), *numbers.fields(row["source"]))
        for row in rows_of(analysis.anova)
    ]
    columns = (Column(title="Source", is_number=False), *numbers.columns)
    note = (
        "Seed as a block; the residual, the interaction of seeds with cells, is the error of every F. "
        f"{_types(analysis)} η²: share of the total sum of squares; ω²: the same less what chance would "
        "give, negative where F is below 1. "
        "The p-values take all cells to vary alike over seeds, are not corrected, and judge nothing."
    )
    return Table(
        name="anova",
        caption="Analysis of variance of the outcome, exploratory.",
        columns=columns,
        rows=tuple(rows),
        note=note,
    )


def _types(analysis: Analysis) -> str:
    """Say which sums of squares the analysis of variance has; without losses all types are the same."""
    df = (
        {}
        if analysis.anova is None
        else dict(zip(analysis.anova["source"], analysis.anova["df"], strict=True))
    )
    cells = 1 + sum(count for source, count in df.items() if source not in ("seed", "residual", "total"))
    if df and df["total"] + 1 != cells * (df["seed"] + 1):
        return "Some trials are missing: sums of squares are of type III and do not add up to the total."
    return "The crossing is complete and balanced, so sums of squares of types I, II and III agree."


def _effect(row: Mapping[str, Any], side: str, labels: Labels) -> str:
    level, baseline = labels.name(row[f"level_{side}"]), labels.name(row[f"baseline_{side}"])
    return f"{labels.name(row[f'axis_{side}'])}: {level} {MINUS} {baseline}"


def _source(source: str, axes: Sequence[str], labels: Labels) -> str:
    return " × ".join(labels.name(axis) for axis in axes) or source
