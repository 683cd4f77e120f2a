"""The table of shares of variance."""

from __future__ import annotations

from typing import Any

from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, count, share
from segbench.report.tables.parts import is_known, rows_of
from segbench.report.tables.table import Column, Field, Table
from segbench.report.trace_search import importance_subject
from segbench.stats.importance import WEAK

_LEAST_SHARE = 0.05
"""Of a knob whose best value is printed: below it its curve is mostly chance."""


def importance_table(analysis: Analysis, labels: Labels) -> Table:
    """Return a row a metric and knob, the largest share first."""
    frame = analysis.importance
    if frame is None or frame.empty:
        return Table(name="importance", caption="", columns=(), rows=())
    metrics = list(dict.fromkeys(frame["metric"]))
    rows = []
    for row in rows_of(frame):
        is_weak = not row["r2"] >= WEAK
        tone = "open" if is_weak else ""
        hover = labels.traces.hover("importance", importance_subject(analysis, row), "share")
        rows.append(
            (
                *([Field(text=labels.metric(row["metric"]))] if len(metrics) > 1 else []),
                Field(text=labels.name(row["knob"])),
                Field(text=share(row["share"]), sort=row["share"], tone=tone, hover=hover),
                Field(
                    text=f"{share(row['low'])} to {share(row['high'])}",
                    sort=row["low"],
                    high=row["high"],
                    hover=hover,
                ),
                _best(row, is_weak, labels, hover),
            )
        )
    columns = (
        *([Column(title="Metric", is_number=False)] if len(metrics) > 1 else []),
        Column(title="Knob", is_number=False),
        Column(title="Share of variance"),
        Column(title="Leaving a tenth out"),
        Column(title="Its curve is best at"),
    )
    is_tuned = analysis.experiment.search is None
    return Table(
        name="importance",
        caption="Which knobs mattered: shares of variance in the additive rank model.",
        columns=columns,
        rows=tuple(rows),
        note=" ".join([*_worth(frame, labels), _what(is_tuned=is_tuned)]),
    )


def _worth(frame: Any, labels: Labels) -> list[str]:
    """Say what the model of each metric is worth."""
    said = []
    for metric, rows in frame.groupby("metric", sort=False):
        r2, n = float(rows["r2"].iloc[0]), int(rows["n"].iloc[0])
        of = f"{labels.metric(str(metric))}: " if frame["metric"].nunique() > 1 else ""
        text = f"{of}R² on proposals it has not seen {share(r2)}, n = {count(n)}."
        if not r2 >= WEAK:
            text += " The model explains little of them: its shares rank nothing."
        said.append(text)
    return said


def _what(*, is_tuned: bool) -> str:
    among = " Ranks are taken within each cell's tuning." if is_tuned else ""
    return (
        "Ranks of the objective are a sum of a smooth curve a knob and of products of two; a share is the "
        f"variance over the whole space that a knob's curve has.{among} Where a sampler tried little, the "
        "curve is a guess. It is neither fANOVA nor PED-ANOVA (the dashboard shows that one), and no test."
    )


def _best(row: dict[str, Any], is_weak: bool, labels: Labels, hover: str) -> Field:
    value = row["best"]
    if not is_known(value) or is_weak or row["share"] < _LEAST_SHARE:
        return Field(text=NONE)
    if isinstance(value, str):
        return Field(text=labels.name(value), hover=hover)
    return Field(text=f"{float(value):.2g}", sort=float(value), hover=hover)
