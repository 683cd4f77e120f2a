"""Shares of variance of the knobs of a search or a tuning."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from segbench.report.analysis import Analysis
from segbench.report.figures.design import slug
from segbench.report.figures.figure import Facet, Figure, Key, Mark, Note
from segbench.report.figures.geometry import ROW_CM, text_width, wrapped
from segbench.report.figures.palette import GREY, Look
from segbench.report.figures.scales import categories, linear
from segbench.report.labels import Labels
from segbench.report.numbers import share
from segbench.report.trace_search import importance_subject
from segbench.stats.importance import WEAK

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
                    traces=(labels.traces.hover("importance", importance_subject(analysis, row), "share"),),
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
        of = f"{labels.metric(str(metric))}: " if frame["metric"].nunique() > 1 else ""
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


def _range(row: dict[Hashable, Any]) -> str:
    return f"{share(row['low'])} to {share(row['high'])}"


def _series(kind: object, is_weak: bool) -> str:
    if kind == "rest":
        return "interactions of more knobs, seeds, chance"
    return "share, not to be ranked" if is_weak else "share"
