"""A search for several goals: every proposal by its goals, and the Pareto front among them."""

from __future__ import annotations

from typing import Final

import pandas as pd

from segbench.config.experiment import Search
from segbench.quantities import axis_unit
from segbench.report.analysis import Analysis
from segbench.report.draw.figure import GREY, Facet, Figure, Key, Look, Mark
from segbench.report.draw.scales import linear, spread
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers
from segbench.report.topics.arrangement import slug
from segbench.report.topics.search import SEARCH, proposal_subject
from segbench.report.topics.topic import FigurePart, Topic

_HEIGHT_CM = 5.2
_LOOKS = {
    "on the Pareto front": Look(colour="#D55E00", marker="circle"),
    "another is better": Look(colour="#0072B2", marker="circle"),
    "breaks a constraint": Look(colour=GREY, marker="cross"),
}


def front_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return the first goal against each other goal.

    None without several goals, or where no proposal has completed.
    """
    spec = analysis.experiment.search
    if analysis.search.empty or spec is None or not spec.goals:
        return None
    names = [goal.metric for goal in spec.goals]
    done = analysis.search[analysis.search["state"] == "complete"].dropna(subset=names)
    if done.empty:
        return None
    kinds = _kinds(done)
    found = [kind for kind in _LOOKS if (kinds == kind).any()]
    y = linear(done[names[0]], labels.metric(names[0]))
    facets = []
    for name in names[1:]:
        unit, suffix = axis_unit(name, float(done[name].max()))
        x = spread([float(v) / unit for v in done[name]], labels.metric(name) + suffix)
        # The front comes last: it lies over what it beats.
        marks = [_points(done[kinds == kind], names[0], name, kind, unit, labels) for kind in reversed(found)]
        facets.append(Facet(x=x, y=y, marks=tuple(marks)))
    return Figure(
        name="search-front",
        title="The goals against each other",
        caption=(
            f"Every complete proposal of the search by its goals ({_better(spec, labels)}). On the Pareto "
            "front no other is as good in every goal and better in one. Chosen validation values flatter: "
            "the test set has not judged these."
        ),
        facets=(tuple(facets),),
        width_cm=labels.style.width_cm,
        row_height_cm=_HEIGHT_CM,
        left_cm=1.5,
        legend=tuple(Key(text=kind, look=_LOOKS[kind], kind="points") for kind in found),
    )


def _kinds(done: pd.DataFrame) -> pd.Series:
    kinds = pd.Series("another is better", index=done.index)
    kinds[done["is_best"].astype(bool)] = "on the Pareto front"
    if "is_feasible" in done:
        kinds[~done["is_feasible"].astype(bool)] = "breaks a constraint"
    return kinds


def _points(rows: pd.DataFrame, first: str, other: str, kind: str, unit: float, labels: Labels) -> Mark:
    numbers = Numbers(labels.style.digits)
    return Mark(
        key=f"{slug(other)}_{slug(kind)}",
        name=kind,
        kind="points",
        look=_LOOKS[kind],
        x=tuple(rows[other].astype(float) / unit),
        y=tuple(rows[first].astype(float)),
        hover=tuple(
            f"proposal {row['number']}: {numbers.of(first, row[first])} at "
            f"{other} {numbers.of(other, row[other])}"
            for row in rows.to_dict(orient="records")
        ),
        traces=tuple(
            SEARCH.hover(labels, proposal_subject(labels.analysis, row), other)
            for row in rows.to_dict(orient="records")
        ),
    )


def _better(search: Search, labels: Labels) -> str:
    ways = {"maximize": "more", "minimize": "less"}
    goals = [f"{ways[goal.direction]} {labels.metric(goal.metric)}" for goal in search.goals]
    return f"{', '.join(goals)} is better"


TOPIC: Final = Topic(
    name="search-front",
    section="search",
    figures=(FigurePart(name="search-front", make=front_figure),),
)
