"""The tables of factors: means of levels, interactions, analysis of variance. All are exploratory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.numbers import MINUS, Numbers, count, p_value, share, significant
from segbench.report.tables.parts import rows_of
from segbench.report.tables.table import Column, Field, Table


def marginals_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the outcome of every level, averaged over the levels of the other axes."""
    outcome = analysis.experiment.outcome
    numbers = Numbers(labels.style.digits)
    rows = [
        (
            Field(text=labels.name(row["axis"])),
            Field(text=labels.name(row["level"])),
            Field(text=count(row["n"]), sort=row["n"]),
            Field(text=numbers.of(outcome, row["mean"]), sort=row["mean"]),
            Field(
                text=numbers.interval_of(outcome, row["low"], row["high"]), sort=row["low"], high=row["high"]
            ),
            Field(text=numbers.of(outcome, row["sd"]), sort=row["sd"]),
        )
        for row in _rows(analysis.marginals)
    ]
    columns = (
        Column(title="Axis", is_number=False),
        Column(title="Level", is_number=False),
        Column(title="n"),
        Column(title=labels.metric(outcome)),
        Column(title="95 % interval"),
        Column(title="sd"),
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
    outcome = analysis.experiment.outcome
    numbers = Numbers(labels.style.digits)
    rows = [
        (
            *(Field(text=_effect(row, side, labels)) for side in ("a", "b")),
            Field(text=count(row["n"]), sort=row["n"]),
            Field(text=numbers.of(outcome, row["difference"], is_difference=True), sort=row["difference"]),
            Field(
                text=numbers.interval_of(outcome, row["low"], row["high"]), sort=row["low"], high=row["high"]
            ),
        )
        for row in _rows(analysis.interactions)
    ]
    columns = (
        Column(title="Effect of", is_number=False),
        Column(title="changes with", is_number=False),
        Column(title="n"),
        Column(title="Difference of differences"),
        Column(title="95 % interval, this test set"),
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
    rows = []
    for row in _rows(analysis.anova):
        rows.append(
            (
                Field(text=_source(row["source"], row["axes"], labels)),
                Field(text=count(row["df"]), sort=row["df"]),
                Field(text=significant(row["ss"]), sort=row["ss"]),
                Field(text=significant(row["f"]), sort=row["f"]),
                Field(text=p_value(row["p"]), sort=row["p"]),
                Field(text=share(row["eta_squared"]), sort=row["eta_squared"]),
                Field(text=share(row["omega_squared"]), sort=row["omega_squared"]),
            )
        )
    columns = (
        Column(title="Source", is_number=False),
        Column(title="df"),
        Column(title="Sum of squares"),
        Column(title="F"),
        Column(title="p"),
        Column(title="η²"),
        Column(title="ω²"),
    )
    note = (
        "Seed as a block; the residual, the interaction of seeds with cells, is the error of every F. The "
        "crossing is complete and balanced, so sums of squares of types I, II and III agree. η²: share of "
        "the total sum of squares; ω²: the same less what chance would give, negative where F is below 1. "
        "The p-values take all cells to vary alike over seeds, are not corrected, and judge nothing."
    )
    return Table(
        name="anova",
        caption="Analysis of variance of the outcome, exploratory.",
        columns=columns,
        rows=tuple(rows),
        note=note,
    )


def _rows(frame: pd.DataFrame | None) -> list[dict[str, Any]]:
    return [] if frame is None else rows_of(frame)


def _effect(row: Mapping[str, Any], side: str, labels: Labels) -> str:
    level, baseline = labels.name(row[f"level_{side}"]), labels.name(row[f"baseline_{side}"])
    return f"{labels.name(row[f'axis_{side}'])}: {level} {MINUS} {baseline}"


def _source(source: str, axes: Sequence[str], labels: Labels) -> str:
    return " × ".join(labels.name(axis) for axis in axes) or source
