"""The named sensitivity: the judged effects with the residual error pooled over cells."""

from __future__ import annotations

import pandas as pd

from segbench.config.experiment import Experiment
from segbench.report.analysis import Analysis
from segbench.report.columns import Numbered, rows_of
from segbench.report.labels import Labels
from segbench.report.numbers import percent
from segbench.report.study import EVIDENCE, Estimator, Family, evidence, turned_round
from segbench.report.table import Column, Field, Table
from segbench.report.topics.effects import contrast_name
from segbench.report.trace_frames import contrast_subject
from segbench.stats.pooled import PooledError, changes_side

COLUMNS = (
    *("axis", "level", "baseline", "at", "metric", "n", "difference"),
    *("low", "high", "df", "low_pooled", "high_pooled", "df_pooled", "says_otherwise"),
    *("trials", "trials_pooled", *EVIDENCE),
)


def sensitivity_frame(experiment: Experiment, family: Family, estimator: Estimator) -> pd.DataFrame | None:
    """Return `Analysis.sensitivity`: judged effects on the outcome with their own and the pooled error.

    None where there is no pooled error: fewer than three cells, or than two seeds measured in every cell.
    """
    if experiment.outcome not in estimator.table:
        return None
    pooled = PooledError.of(estimator.table, experiment.outcome)
    if pooled is None:
        return None
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
    return pd.DataFrame(rows, columns=list(COLUMNS)) if rows else None


# The table of the named sensitivity: residual error pooled over cells.


_NOTE = (
    "Sensitivity: a repeated-measures analysis of variance would pool the residual error over all cells and "
    "so have more degrees of freedom (df). It takes all cells to vary alike over seeds; no verdict rests on "
    "it. Says otherwise: one of the two intervals alone excludes 0."
)


def sensitivity_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the judged effects with their own error and with the pooled one."""
    level = percent(analysis.level)
    shown = (
        ("Difference", "difference"),
        (f"{level} interval, own error", "interval"),
        ("df", "df"),
        (f"{level} interval, pooled error", "interval_pooled"),
        ("df", "df_pooled"),
    )
    numbers = Numbered(labels, "sensitivity", shown)
    rows = [
        (
            Field(text=contrast_name(row, labels)),
            *numbers.fields(contrast_subject(analysis, row)),
            Field(text="yes" if row["says_otherwise"] else "no"),
        )
        for row in rows_of(analysis.sensitivity)
    ]
    columns = (
        Column(title="Contrast", is_number=False),
        *numbers.columns,
        Column(title="Says otherwise", is_number=False),
    )
    return Table(
        name="sensitivity",
        caption="Sensitivity: residual error pooled over cells.",
        columns=columns,
        rows=tuple(rows),
        note=_NOTE,
    )
