"""A search as figures: its history, and the objective along each knob."""

from __future__ import annotations

from collections.abc import Sequence

from segbench.config.experiment import Search, SearchParameter
from segbench.report.analysis import Analysis
from segbench.report.figures.design import slug
from segbench.report.figures.figure import Facet, Figure, Key, Mark, in_rows
from segbench.report.figures.palette import Look
from segbench.report.figures.proposals import (
    Aim,
    Drawn,
    drawn,
    edge_text,
    keys,
    points,
    positions,
    scale_of,
)
from segbench.report.figures.scales import linear
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers

_HISTORY_CM = 5.0
_SLICE_CM = 4.0
_MOST_KNOBS = 12
FLATTERS = "The best of many validation values flatters: the test set has not judged these."
_BEST_SO_FAR = "best so far"


def aims_of(analysis: Analysis) -> list[tuple[Aim, str]]:
    """Return what the search is after, each with its column of `Analysis.search`."""
    search, objective = analysis.experiment.search, analysis.experiment.baseline.objective
    assert search is not None
    if search.goals:
        return [(Aim(goal.metric, goal.direction == "minimize"), goal.metric) for goal in search.goals]
    return [(Aim(objective.metric, objective.direction == "minimize"), "value")]


def drawn_of(analysis: Analysis, labels: Labels) -> list[tuple[Aim, Drawn]]:
    """Return the proposals by each aim that some of them have a value of."""
    objective = analysis.experiment.baseline.objective.metric
    found = [
        (aim, drawn(analysis.search, aim, labels, column=column, has_last=aim.metric == objective))
        for aim, column in aims_of(analysis)
    ]
    return [(aim, each) for aim, each in found if each is not None]


def knobs_of(analysis: Analysis) -> list[SearchParameter]:
    """Return the knobs that are drawn: those of the largest shares of variance first."""
    assert analysis.experiment.search is not None
    known = [p for p in analysis.experiment.search.parameters if p.name in analysis.search]
    shares: dict[str, float] = {}
    if analysis.importance is not None:
        for row in analysis.importance.to_dict("records"):
            shares[str(row["knob"])] = max(shares.get(str(row["knob"]), 0.0), float(row["share"]))
    return sorted(known, key=lambda p: -shares.get(p.name, 0.0))[:_MOST_KNOBS]


def fewer_text(knobs: Sequence[SearchParameter], search: Search) -> str:
    """Say that not all knobs are drawn; empty where they are."""
    num = len(search.parameters)
    return f" Of {num} knobs the {len(knobs)} of the largest shares." if num > len(knobs) else ""


def history_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return what each proposal reached, in their order, with the best so far; None without a search."""
    if analysis.search.empty or analysis.experiment.search is None:
        return None
    found = drawn_of(analysis, labels)
    if not found:
        return None
    numbers = Numbers(labels.style.digits)
    best_look = Look(colour="#D55E00")
    facets = []
    for aim, each in found:
        able = each.frame[each.frame["kind"] == "complete"]
        best = able["y"].cummin() if aim.is_lower_better else able["y"].cummax()
        line = Mark(
            key=f"best_{slug(aim.metric)}",
            name=_BEST_SO_FAR,
            look=best_look,
            x=tuple(able["number"].astype(float)),
            y=tuple(best.astype(float)),
        )
        numbered = list(each.frame["number"].astype(float))
        marks = points(each, numbered, f"number_{slug(aim.metric)}", aim, numbers)
        facets.append(
            Facet(
                x=linear(each.frame["number"], "Proposal", whole=True, num_ticks=8 // len(found), pad=0.02),
                y=each.scale,
                marks=(*((line,) if len(line.x) > 1 else ()), *marks),
            )
        )
    has_line = any(mark.kind == "line" for facet in facets for mark in facet.marks)
    names = " and ".join(labels.metric(aim.metric) for aim, _ in found)
    return Figure(
        name="search-history",
        title="History of the search",
        caption=f"{names} of every proposal in their order.{edge_text([d for _, d in found])} {FLATTERS}",
        facets=in_rows(facets, 2),
        width_cm=labels.style.width_cm,
        row_height_cm=_HISTORY_CM,
        left_cm=1.5,
        shares_y=False,
        legend=(
            *keys([each for _, each in found]),
            *((Key(text=_BEST_SO_FAR, look=best_look),) if has_line else ()),
        ),
    )


def slices_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return what each proposal reached along every knob; None without a search."""
    if analysis.search.empty or analysis.experiment.search is None:
        return None
    found, knobs = drawn_of(analysis, labels), knobs_of(analysis)
    if not found or not knobs:
        return None
    numbers = Numbers(labels.style.digits)
    columns = 2 if len(knobs) in (2, 4) else min(3, len(knobs))
    width = labels.style.width_cm / columns - 0.8
    rows: list[tuple[Facet, ...]] = []
    for aim, each in found:
        facets = [
            Facet(
                x=scale_of(knob, each.frame[knob.name].tolist(), labels, width),
                y=each.scale,
                marks=tuple(
                    points(
                        each,
                        positions(knob, each.frame),
                        f"{slug(knob.name)}_{slug(aim.metric)}",
                        aim,
                        numbers,
                        knob.name,
                    )
                ),
            )
            for knob in knobs
        ]
        rows += in_rows(facets, columns)
    return Figure(
        name="search-slices",
        title="Along each knob",
        caption=(
            f"Every proposal along each knob.{fewer_text(knobs, analysis.experiment.search)}"
            f"{edge_text([d for _, d in found])} The other knobs differ from point to point, and a sampler "
            "tries more where it found better: a slice shows what was seen, not the effect of the knob alone."
        ),
        facets=tuple(rows),
        width_cm=labels.style.width_cm,
        row_height_cm=_SLICE_CM,
        left_cm=1.5,
        legend=tuple(keys([each for _, each in found])),
    )
