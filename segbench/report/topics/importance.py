"""Which parameters of a search or of a tuning mattered: shares of variance, and parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from segbench.config.experiment import Experiment, Search, SearchParameter
from segbench.quantities import axis_unit
from segbench.records import State, parameter_column
from segbench.report.analysis import Analysis
from segbench.report.draw.figure import (
    GREY,
    Facet,
    Figure,
    Key,
    Look,
    Mark,
    Note,
    Scale,
    Word,
    categories,
    linear,
    power_text,
)
from segbench.report.draw.layout import ROW_CM, shortened, text_width, wrapped
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, Numbers, count, is_score, share, significant
from segbench.report.study import Study
from segbench.report.table import Field
from segbench.report.topics.arrangement import slug
from segbench.report.topics.search import aims_of, fewer_text, knobs_of, search_frame, setting_text
from segbench.report.topics.topic import Column, FigurePart, Frame, Number, TablePart, Text, Topic
from segbench.report.topics.tuning import tuning_trials_frame
from segbench.report.trace import Measured, Row, Source, is_known, show_count, show_share
from segbench.stats.importance import LEAST, WEAK, Importance, Knob, importance

COLUMNS: Final = ("metric", "kind", "knob", "share", "low", "high", "best", "r2", "n")
PAIRS: Final = "two knobs together"
REST: Final = "not explained"


def importance_frame(study: Study) -> pd.DataFrame:
    """Return the shares of variance of a search or a tuned design, one row per metric and knob.

    Returns:
        `metric`, `kind` (`knob`, `pairs`: two knobs together, `rest`: not explained), `knob`, `share` (of the
        variance of ranks), `low`, `high` (over fits that leave a tenth out), `best` (value at which its own
        curve is best), `r2` (out of sample), `n`. Empty where there are too few proposals, or none.
    """
    experiment = study.experiment
    if experiment.search is not None:
        return search_importance(experiment, study.once(search_frame))
    if experiment.tune is not None:
        return tuning_importance(experiment, study.once(tuning_trials_frame))
    return pd.DataFrame(columns=list(COLUMNS))


def search_importance(experiment: Experiment, proposals: pd.DataFrame) -> pd.DataFrame:
    """Return the shares for the objective of a search, or for each of its goals.

    Complete proposals count; diverged ones rank last in scores. Pruned ones have no value that could be
    compared.
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
    """Return the shares for all cells together, ranked within each study; without knobs that a cell lacks."""
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
    """Say why a search has no shares."""
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
            **{column: getattr(share, column) for column in ("share", "low", "high", "best")},
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
    used = frame[frame["state"].isin([state.value for state in State if state.is_outcome])]
    return Source(trials=tuple(str(trial) for trial in used["trial"]))


def _note(labels: Labels, rows: Sequence[Row]) -> str:
    analysis = labels.analysis
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
    compute=importance_frame,
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


_HEIGHT_CM = 5.4
MOST_LINES: Final = 120
_MOST_KNOBS = 8
_MOST_NAMED = 6
"""Levels of an axis that are named on it; of more only the two ends are."""
_ROOM = 0.09
"""Above and below the axes, for the ends' values, as a share of their height."""
_LOOKS: Final = {
    "others": Look(colour=GREY, size=0.55, alpha=0.7),
    "worst quarter": Look(colour="#D55E00", dash="dashed", size=0.7, alpha=0.85),
    "best quarter": Look(colour="#0072B2", size=1.1),
    "on the Pareto front": Look(colour="#0072B2", size=1.1),
}


def parallel_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return the complete proposals as lines; None without a search or with fewer than two of them."""
    if analysis.search.empty or analysis.experiment.search is None:
        return None
    aims, knobs = aims_of(analysis), knobs_of(analysis)[:_MOST_KNOBS]
    columns = [column for _, column in aims]
    done = analysis.search[analysis.search["state"] == "complete"].dropna(subset=columns)
    if "is_feasible" in done:
        done = done[done["is_feasible"].astype(bool)]
    if len(done) < 2 or not knobs:
        return None
    groups = _groups(done, aims[0][0].is_lower_better, aims[0][1])
    num_all = len(done)
    if num_all > MOST_LINES:
        ranked = done[columns[0]].sort_values(kind="stable").index
        kept = ranked[np.linspace(0, num_all - 1, MOST_LINES).round().astype(int)]
        is_kept = done.index.isin(kept) | (groups == "on the Pareto front").to_numpy()
        done, groups = done[is_kept], groups[is_kept]
    numbers = Numbers(labels.style.digits)
    axes = [_of_knob(knob, done, labels) for knob in knobs]
    axes += [_of_values(aim.metric, done[column], labels, numbers) for aim, column in aims]
    width = labels.style.width_cm / len(axes)
    heights = [axis.heights for axis in axes]
    marks = tuple(
        _lines(name, done[groups == name], heights, done.index, knobs, aims, numbers)
        for name in _LOOKS
        if (groups == name).any()
    )
    last = len(axes) - 1
    words = [word for place, axis in enumerate(axes) for word in axis.words(place, is_last=place == last)]
    sampled = f" {MOST_LINES} of {num_all:,}, evenly by rank." if num_all > MOST_LINES else ""
    fewer = fewer_text(knobs, analysis.experiment.search)
    return Figure(
        name="search-parallel",
        title="All knobs together",
        caption=(
            f"Complete proposals, a line each: its knobs, as they were sampled, and what it reached.{sampled}"
            f"{fewer} Where lines of one look run through one place, the search found that settings there go "
            "with that result; it does not say that they are the reason. Pruned and "
            "diverged ones are left out."
        ),
        facets=(
            (
                Facet(
                    x=Scale(
                        label="",
                        low=-0.08,
                        high=len(axes) - 1 + 0.08,
                        ticks=tuple(float(k) for k in range(len(axes))),
                        tick_labels=tuple(shortened(axis.name, 1.1 * width) for axis in axes),
                    ),
                    y=Scale(label="", low=-_ROOM, high=1 + _ROOM, ticks=(), tick_labels=(), is_category=True),
                    marks=marks,
                    verticals=tuple(float(k) for k in range(len(axes))),
                    words=tuple(words),
                ),
            ),
        ),
        width_cm=labels.style.width_cm,
        row_height_cm=_HEIGHT_CM,
        left_cm=1.3,
        right_cm=1.3,
        legend=tuple(
            Key(text=name, look=look) for name, look in reversed(_LOOKS.items()) if (groups == name).any()
        ),
    )


class _Axis:
    """One axis: how high each proposal stands, and what stands at it."""

    def __init__(self, name: str, heights: Sequence[float], named: Sequence[tuple[float, str]]) -> None:
        self.name, self.heights, self.named = name, np.asarray(heights, float), named

    def words(self, place: int, *, is_last: bool) -> list[Word]:
        gap, anchor = (-0.03, "end") if is_last else (0.03, "start")
        beside = {0.0: -0.5 * _ROOM, 1.0: 1 + 0.5 * _ROOM}
        return [
            Word(x=place + gap, y=beside.get(height, height), text=text, anchor=anchor)
            for height, text in self.named
        ]


def _of_knob(knob: SearchParameter, done: pd.DataFrame, labels: Labels) -> _Axis:
    values = done[parameter_column(knob.name)].tolist()
    name = labels.name(knob.name)
    if knob.levels:
        own = [level.label for level in knob.levels]
        last = max(len(own) - 1, 1)
        places = {label: k / last for k, label in enumerate(own)}
        heights = [places.get(str(value), math.nan) for value in values]
        named = [(places[label], labels.name(label)) for label in own]
        return _Axis(name, heights, named if len(own) <= _MOST_NAMED else [named[0], named[-1]])
    assert knob.low is not None
    assert knob.high is not None
    change = math.log if knob.log else float
    low, high = change(knob.low), change(knob.high)
    heights = [(change(float(value)) - low) / ((high - low) or 1.0) for value in values]
    return _Axis(name, heights, [(0.0, _end(knob.low)), (1.0, _end(knob.high))])


def _of_values(metric: str, values: pd.Series, labels: Labels, numbers: Numbers) -> _Axis:
    unit, suffix = axis_unit(metric, float(values.max()))
    low, high = float(values.min()), float(values.max())
    heights = (values.to_numpy(float) - low) / ((high - low) or 1.0)
    ends = [numbers.of(metric, value) if unit == 1.0 else significant(value / unit) for value in (low, high)]
    return _Axis(labels.metric(metric) + suffix, list(heights), [(0.0, ends[0]), (1.0, ends[1])])


def _groups(done: pd.DataFrame, is_lower_better: bool, column: str) -> pd.Series:
    if "is_best" in done:
        front = done["is_best"].astype(bool)
        return pd.Series(["on the Pareto front" if is_front else "others" for is_front in front], done.index)
    order = done[column].rank(method="first", ascending=is_lower_better)
    quarter = max(1, len(done) // 4)
    groups = pd.Series("others", index=done.index)
    groups[order <= quarter] = "best quarter"
    groups[order > len(done) - quarter] = "worst quarter"
    return groups


def _lines(
    name: str,
    rows: pd.DataFrame,
    heights: Sequence[np.ndarray],
    index: pd.Index,
    knobs: Sequence[SearchParameter],
    aims: Sequence[Any],
    numbers: Numbers,
) -> Mark:
    """Return the lines of a group as one mark, with a gap after each."""
    x: list[float] = []
    y: list[float] = []
    hover: list[str] = []
    of_row = dict(zip(index, zip(*heights, strict=True), strict=True))
    for label, row in zip(rows.index, rows.to_dict("records"), strict=True):
        settings = ", ".join(f"{k.name} = {setting_text(row[parameter_column(k.name)])}" for k in knobs)
        reached = ", ".join(f"{aim.metric} {numbers.of(aim.metric, row[column])}" for aim, column in aims)
        line = [float(height) for height in of_row[label]]
        x += [*(float(k) for k in range(len(line))), float(len(line) - 1)]
        y += [*line, math.nan]
        said = f"proposal {row['number']}: {settings}; {reached} (trial {row['trial']})"
        hover += [said] * (len(line) + 1)
    key = name.replace(" ", "-")
    return Mark(key=key, name=name, look=_LOOKS[name], x=tuple(x), y=tuple(y), hover=tuple(hover))


def _end(value: float) -> str:
    return power_text(value) if value > 0 else f"{value:.3g}"


PARALLEL_TOPIC: Final = Topic(
    name="search-parallel",
    section="search",
    figures=(FigurePart(name="search-parallel", make=parallel_figure),),
)
