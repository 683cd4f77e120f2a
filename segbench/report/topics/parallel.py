"""Parallel coordinates: every complete proposal as a line through its knobs and what it reached."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from segbench.config.experiment import SearchParameter
from segbench.quantities import axis_unit
from segbench.records import parameter_column
from segbench.report.analysis import Analysis
from segbench.report.draw.figure import GREY, Facet, Figure, Key, Look, Mark, Scale, Word
from segbench.report.draw.layout import shortened
from segbench.report.draw.scales import power_text
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers, significant
from segbench.report.topics.search import aims_of, fewer_text, knobs_of, setting_text
from segbench.report.topics.topic import FigurePart, Topic

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


TOPIC: Final = Topic(
    name="search-parallel",
    section="search",
    figures=(FigurePart(name="search-parallel", make=parallel_figure),),
)
