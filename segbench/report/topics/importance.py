"""Which knobs of a search or of a tuning mattered: the frame of shares of variance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from segbench.config.experiment import Experiment, Search, SearchParameter
from segbench.records import State, parameter_column
from segbench.report.analysis import Analysis
from segbench.report.draw.figure import GREY, Facet, Figure, Key, Look, Mark, Note
from segbench.report.draw.layout import ROW_CM, text_width, wrapped
from segbench.report.draw.scales import categories, linear
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, count, is_score, share
from segbench.report.table import Field
from segbench.report.topics.arrangement import slug
from segbench.report.topics.topic import Column, FigurePart, Frame, Number, TablePart, Text, Topic
from segbench.report.trace import Measured, Row, Source, is_known, show_count, show_share
from segbench.stats.importance import LEAST, WEAK, Importance, Knob, importance

COLUMNS: Final = ("metric", "kind", "knob", "share", "low", "high", "best", "r2", "n")
PAIRS: Final = "two knobs together"
REST: Final = "not explained"


def search_importance(experiment: Experiment, proposals: pd.DataFrame) -> pd.DataFrame:
    """Return `Analysis.importance` of a search: of its objective, or of each of its goals.

    Complete proposals count; diverged ones rank last in scores. Pruned ones have no value that could be
    compared.

    Args:
        experiment: A search.
        proposals: `Analysis.search`.
    """
    search = experiment.search
    assert search is not None
    objective = experiment.baseline.objective
    aims = {goal.metric: goal.direction for goal in search.goals} or {objective.metric: objective.direction}
    parts = []
    for metric, direction in aims.items():
        values = proposals[metric if search.goals else "value"].to_numpy(float, copy=True)
        values[(proposals["state"] != State.COMPLETE.value).to_numpy()] = np.nan
        is_lower_better = direction == "minimize"
        if is_score(metric):
            is_diverged = (proposals["state"] == State.DIVERGED.value).to_numpy()
            values[is_diverged] = np.inf if is_lower_better else -np.inf
        found = _fitted(search.parameters, proposals, values, is_lower_better=is_lower_better)
        parts += [] if found is None else _rows(metric, found)
    return pd.DataFrame(parts, columns=list(COLUMNS))


def tuning_importance(experiment: Experiment, trials: pd.DataFrame) -> pd.DataFrame:
    """Return `Analysis.importance` of a tuned design: of all cells together, ranked within each study.

    Knobs that some cell lacks are left out.

    Args:
        experiment: A tuned design.
        trials: `Analysis.tuning_trials`.
    """
    tune = experiment.tune
    assert tune is not None
    objective = experiment.baseline.objective
    shared = [p for p in tune.search.parameters if all(p.holds_in(cell.levels) for cell in experiment.cells)]
    values = trials["value"].to_numpy(float, copy=True)
    is_lower_better = objective.direction == "minimize"
    values[(trials["state"] == State.DIVERGED.value).to_numpy()] = np.inf if is_lower_better else -np.inf
    studies = [f"{cell} {repeat}" for cell, repeat in zip(trials["cell"], trials["repeat"], strict=True)]
    found = _fitted(shared, trials, values, is_lower_better=is_lower_better, groups=studies)
    rows = [] if found is None else _rows(objective.metric, found)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def too_few_text(search: Search) -> str:
    """Say why there are no shares."""
    least = max(LEAST, 3 * len(search.parameters))
    return f"No shares of variance: they take {least} proposals with a value that differ, or more."


def knob_of(parameter: SearchParameter) -> Knob:
    """Return a parameter as the model takes it."""
    if parameter.levels:
        return Knob(name=parameter.name, levels=tuple(level.label for level in parameter.levels))
    assert parameter.low is not None
    assert parameter.high is not None
    return Knob(
        name=parameter.name,
        low=parameter.low,
        high=parameter.high,
        is_log=parameter.log,
        step=parameter.step or (1.0 if parameter.is_integer else None),
    )


def _fitted(
    parameters: Iterable[SearchParameter],
    frame: pd.DataFrame,
    values: np.ndarray,
    *,
    is_lower_better: bool,
    groups: Sequence[str] | None = None,
) -> Importance | None:
    knobs = [knob_of(parameter) for parameter in parameters if parameter_column(parameter.name) in frame]
    columns = [frame[parameter_column(knob.name)].tolist() for knob in knobs]
    return importance(knobs, columns, values, is_lower_better=is_lower_better, groups=groups)


def _rows(metric: str, found: Importance) -> list[Mapping[str, object]]:
    shares = [("knob", share.name, share) for share in sorted(found.knobs, key=lambda share: -share.share)]
    if len(found.knobs) > 1:
        shares.append(("pairs", PAIRS, found.pairs))
    shares.append(("rest", REST, found.rest))
    return [
        {
            "metric": metric,
            "kind": kind,
            "knob": name,
            "share": share.share,
            "low": share.low,
            "high": share.high,
            "best": share.best,
            "r2": found.r2,
            "n": found.n,
        }
        for kind, name, share in shares
    ]


# Shares of variance of the knobs of a search or a tuning.


_SOUND = Look(colour="#0072B2", marker="circle")
_WEAK = Look(colour=GREY, marker="circle", is_hollow=True)
_REST = Look(colour="#555555", marker="square", is_hollow=True)
_MOST_ROWS = 20


def importance_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return every knob's share of the variance of ranks, a plot a metric; None without shares."""
    frame = analysis.importance
    if frame is None or frame.empty:
        return None
    facets, rooms = [], []
    for metric, rows in frame.groupby("metric", sort=False):
        part = rows.head(_MOST_ROWS).to_dict("records")
        is_weak = not float(rows["r2"].iloc[0]) >= WEAK
        names = [labels.name(str(row["knob"])) for row in part]
        room = 0.3 * labels.style.width_cm
        shown = [wrapped(name, room) for name in names]
        rooms += [text_width(line) for name in shown for line in name.split("\n")]
        marks = []
        for k, row in enumerate(part):
            look = _REST if row["kind"] == "rest" else _WEAK if is_weak else _SOUND
            marks.append(
                Mark(
                    key=f"{slug(str(metric))}_r{k + 1}",
                    name=_series(row["kind"], is_weak),
                    kind="points",
                    look=look,
                    traces=(IMPORTANCE.hover(labels, importance_subject(analysis, row), "share"),),
                    x=(float(row["share"]),),
                    y=(-float(k),),
                    low=(float(row["low"]),),
                    high=(float(row["high"]),),
                    hover=(
                        f"{names[k]}: {share(row['share'])} ({share(row['low'])} to {share(row['high'])})",
                    ),
                )
            )
        explains = "on proposals not seen: no ranking" if is_weak else "on proposals not seen"
        of = f"{labels.metric(str(metric))}: " if frame["metric"].unique().size > 1 else ""
        facets.append(
            Facet(
                title=f"{of}R² {share(float(rows['r2'].iloc[0]))} {explains}",
                x=linear([0.0, 1.0], "Share of the variance of ranks", num_ticks=5, pad=0.02),
                y=categories(shown),
                marks=tuple(marks),
                right=tuple(Note(y=-float(k), text=share(row["share"])) for k, row in enumerate(part)),
            )
        )
    looks = {mark.name: mark.look for facet in facets for mark in facet.marks}
    most = max(len(facet.marks) for facet in facets)
    return Figure(
        name="importance",
        title="Shares of variance of the knobs",
        caption=(
            "What share of the variance of the objective's ranks over the space each knob explains in the "
            "additive rank model; lines: the smallest and largest share where a tenth of the proposals is "
            "left out. The shares are worth what the model is: below an out-of-sample R² of "
            f"{WEAK:g} they rank nothing."
        ),
        facets=tuple((facet,) for facet in facets),
        width_cm=labels.style.width_cm,
        row_height_cm=ROW_CM * most + 0.4,
        left_cm=max(rooms) + 0.35,
        right_cm=1.3,
        legend=tuple(Key(text=name, look=look, kind="points") for name, look in looks.items()),
    )


def _series(kind: object, is_weak: bool) -> str:
    if kind == "rest":
        return "interactions of more knobs, seeds, chance"
    return "share, not to be ranked" if is_weak else "share"


# The topic.


_LEAST_SHARE = 0.05
"""Of a knob whose best value is printed: below it its curve is mostly chance."""


def importance_subject(analysis: Analysis, row: Row) -> str:
    return f"{row['metric']}: {row['knob']}"


def _hover(labels: Labels, row: Row) -> str:
    return IMPORTANCE.hover(labels, importance_subject(labels.analysis, row), "share")


def _range_field(labels: Labels, row: Row) -> Field:
    text = f"{share(row['low'])} to {share(row['high'])}"
    return Field(text=text, sort=row["low"], high=row["high"], hover=_hover(labels, row))


def _best(labels: Labels, row: Row) -> Field:
    value = row["best"]
    if not is_known(value) or not row["r2"] >= WEAK or row["share"] < _LEAST_SHARE:
        return Field(text=NONE)
    if isinstance(value, str):
        return Field(text=labels.name(value), hover=_hover(labels, row))
    return Field(text=f"{float(value):.2g}", sort=float(value), hover=_hover(labels, row))


def _columns(analysis: Analysis) -> list[Column]:
    return [
        Text(
            name="metric",
            title="Metric",
            text=lambda labels, row: labels.metric(row["metric"]),
            when=lambda labels, rows: len({row["metric"] for row in rows}) > 1,
        ),
        Text(name="knob", title="Knob", text=lambda labels, row: labels.name(row["knob"])),
        Number(
            name="share",
            title="Share of variance",
            words="share of variance",
            formula="Variance of the knob's curve over the space, divided by that of all curves, of products "
            "of two knobs and of the residuals; additive model of the ranks of the objective.",
            show=show_share,
            dress=lambda labels, row, found: replace(found, tone="" if row["r2"] >= WEAK else "open"),
        ),
        Text(name="range", title="Leaving a tenth out", text=_range_field, is_number=True),
        Text(name="best", title="Its curve is best at", text=_best, is_number=True),
        Number(
            name="r2",
            words="R² out of sample",
            formula="1 − squared errors of ranks / those about their mean, over ten parts predicted by the "
            "other nine.",
            show=show_share,
        ),
        Number(
            name="n",
            words="proposals",
            formula="Proposals that ended with a value, diverged ones last.",
            show=show_count,
        ),
    ]


def _source(measured: Measured, row: Row, number: Number) -> Source:
    """Return the trials that the model was fitted to."""
    analysis = measured.analysis
    frame = analysis.search if analysis.experiment.search is not None else analysis.tuning_trials
    if frame is None or frame.empty:
        return Source()
    used = frame[frame["state"].isin([state.value for state in State if state.is_outcome])]
    return Source(trials=tuple(str(trial) for trial in used["trial"]))


def _note(labels: Labels, rows: Sequence[Row]) -> str:
    analysis = labels.analysis
    assert analysis.importance is not None
    return " ".join(
        [*_worth(analysis.importance, labels), _what(is_tuned=analysis.experiment.search is None)]
    )


def _worth(frame: pd.DataFrame, labels: Labels) -> list[str]:
    """Say what the model of each metric is worth."""
    said = []
    for metric, rows in frame.groupby("metric", sort=False):
        r2, n = float(rows["r2"].iloc[0]), int(rows["n"].iloc[0])
        of = f"{labels.metric(str(metric))}: " if frame["metric"].unique().size > 1 else ""
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


IMPORTANCE: Final = Frame(
    name="importance",
    subject=importance_subject,
    columns=_columns,
    source=_source,
)

TOPIC: Final = Topic(
    name="importance",
    section=lambda analysis: "tuning" if analysis.experiment.search is None else "search",
    frames=(IMPORTANCE,),
    tables=(
        TablePart(
            name="importance",
            frame=IMPORTANCE,
            caption="Which knobs mattered: shares of variance in the additive rank model.",
            note=_note,
        ),
    ),
    figures=(FigurePart(name="importance", make=importance_figure),),
)
