"""A search: the objective of every proposal, and along each parameter."""

from __future__ import annotations

import pandas as pd

from segbench.report.analysis import Analysis
from segbench.report.figures.design import slug
from segbench.report.figures.figure import Facet, Figure, Key, Mark
from segbench.report.figures.front import front_figure
from segbench.report.figures.palette import GREY, Look
from segbench.report.figures.scales import linear, spread
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers, significant
from segbench.report.trace_frames import proposal_subject

_HEIGHT_CM = 4.6
_COLUMNS = 3
_OUTSIDE = "breaks a constraint"
_LOOKS = {
    "complete": Look(colour="#0072B2", marker="circle"),
    "pruned": Look(colour=GREY, marker="cross"),
    _OUTSIDE: Look(colour=GREY, marker="square"),
}


def search_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return value by proposal with the best so far, then by each parameter; None without a search."""
    search = analysis.search
    if search.empty or analysis.experiment.search is None:
        return None
    if analysis.experiment.search.goals:
        return front_figure(analysis, labels)
    proposals = search[search["value"].notna()].sort_values("number")
    if "is_feasible" in proposals:
        is_outside = (proposals["state"] == "complete") & ~proposals["is_feasible"].astype(bool)
        proposals = proposals.assign(state=proposals["state"].where(~is_outside, _OUTSIDE))
    if proposals.empty:
        return None
    objective = analysis.experiment.baseline.objective
    y = linear(proposals["value"], labels.metric(objective.metric))
    complete = proposals[proposals["state"] == "complete"]
    best = complete["value"].cummax() if objective.direction == "maximize" else complete["value"].cummin()
    line = Mark(
        key="best",
        name="best so far",
        look=Look(colour="#D55E00"),
        x=tuple(complete["number"].astype(float)),
        y=tuple(best.astype(float)),
    )
    first = _points(proposals, "number", "number", labels)
    facets = [
        Facet(
            x=linear(proposals["number"], "Proposal", whole=True, num_ticks=4),
            y=y,
            marks=(*((line,) if line.x else ()), *first),
        )
    ]
    for parameter in analysis.experiment.search.parameters:
        if parameter.levels or parameter.name not in proposals:
            continue
        values = proposals[parameter.name].astype(float)
        marks = _points(proposals, parameter.name, slug(parameter.name), labels)
        facets.append(
            Facet(x=spread(list(values), labels.name(parameter.name)), y=y, marks=tuple(marks)),
        )
    rows = tuple(tuple(facets[k : k + _COLUMNS]) for k in range(0, len(facets), _COLUMNS))
    return Figure(
        name="search",
        title="Search",
        caption=(
            f"{labels.metric(objective.metric)} of every proposal of the search, in their order and along "
            "each parameter. The best of many validation values flatters: the test set has not judged these."
        ),
        facets=rows,
        width_cm=labels.style.width_cm,
        row_height_cm=_HEIGHT_CM,
        left_cm=1.5,
        legend=(
            *(Key(text=s, look=k, kind="points") for s, k in _LOOKS.items() if s in set(proposals["state"])),
            *((Key(text="best so far", look=line.look),) if line.x else ()),
        ),
    )


def _points(proposals: pd.DataFrame, column: str, key: str, labels: Labels) -> list[Mark]:
    numbers = Numbers(labels.style.digits)
    marks = []
    for state, look in _LOOKS.items():
        rows = proposals[proposals["state"] == state]
        if rows.empty:
            continue
        marks.append(
            Mark(
                key=f"{key}_{slug(state)}",
                name=state,
                kind="points",
                look=look,
                x=tuple(rows[column].astype(float)),
                y=tuple(rows["value"].astype(float)),
                hover=tuple(
                    f"proposal {row['number']}: {numbers.value(row['value'])} at {column} = "
                    f"{significant(float(row[column]))}"
                    for row in rows.to_dict(orient="records")
                ),
                traces=tuple(
                    labels.traces.hover("search", proposal_subject(labels.analysis, row), "value")
                    for row in rows.to_dict(orient="records")
                ),
            )
        )
    return marks
