"""The named sensitivity: the judged effects with the residual error pooled over cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pandas as pd

from segbench.config.experiment import Experiment
from segbench.report.analysis import Analysis
from segbench.report.numbers import percent
from segbench.report.steps import Asked, by_seed, interval_steps, number_text
from segbench.report.study import EVIDENCE, Estimator, Family, evidence, turned_round
from segbench.report.topics.contrast import contrast_metric, contrast_source, contrast_subject
from segbench.report.topics.effects import contrast_name
from segbench.report.topics.topic import Column, Frame, Number, TablePart, Text, Topic, interval
from segbench.report.trace import Measured, Row, Source, show_count, show_of_row
from segbench.stats.intervals import t_quantile
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
    subject=contrast_subject,
    columns=_columns,
    source=_source,
    steps=_steps,
    measured=contrast_metric,
)

TOPIC: Final = Topic(
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
