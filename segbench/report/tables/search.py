"""The table of a search: its best proposals, or the Pareto front of several goals."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from segbench.config.experiment import Constraint, Search
from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, Numbers, count
from segbench.report.proposals import eligible
from segbench.report.tables.table import Column, Field, Table
from segbench.report.trace_frames import proposal_subject


def search_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the ten best proposals of a search."""
    search, spec = analysis.search, analysis.experiment.search
    if search.empty or spec is None:
        return Table(name="search", caption="", columns=(), rows=())
    objective = analysis.experiment.baseline.objective
    numbers = Numbers(labels.style.digits)
    parameters = [p.name for p in spec.parameters if p.name in search]
    if spec.goals:
        return _front_table(search, spec, labels)
    best = eligible(search).sort_values("value", ascending=objective.direction != "maximize", kind="stable")
    rows = [
        (
            Field(text=count(row["number"]), sort=row["number"]),
            Field(
                text=numbers.of(objective.metric, row["value"]),
                sort=row["value"],
                hover=labels.traces.hover("search", proposal_subject(analysis, row), "value"),
            ),
            *(_parameter(row[p], labels) for p in parameters),
            Field(text=row["trial"]),
        )
        for row in best.head(10).to_dict("records")
    ]
    columns = (
        Column(title="Proposal"),
        Column(title=labels.metric(objective.metric)),
        *_parameter_columns(spec, parameters, labels),
        Column(title="Trial", is_number=False),
    )
    note = "The best of many validation values flatters; confirm the settings with fresh seeds in a design."
    if "is_feasible" in search:
        bounds = ", ".join(_bounds(each, labels) for each in spec.constraints)
        note += f" Proposals outside {bounds} are left out."
    return Table(
        name="search", caption="Best proposals of the search.", columns=columns, rows=tuple(rows), note=note
    )


def _front_table(search: pd.DataFrame, spec: Search, labels: Labels) -> Table:
    """Return the Pareto front of a search, best in the first goal first."""
    numbers = Numbers(labels.style.digits)
    first = spec.goals[0]
    front = search[search["is_best"].astype(bool)].sort_values(
        first.metric, ascending=first.direction != "maximize", kind="stable"
    )
    parameters = [p.name for p in spec.parameters if p.name in search]
    rows = [
        (
            Field(text=count(row["number"]), sort=row["number"]),
            *(
                Field(
                    text=numbers.of(goal.metric, row[goal.metric]),
                    sort=row[goal.metric],
                    hover=labels.traces.hover("search", proposal_subject(labels.analysis, row), goal.metric),
                )
                for goal in spec.goals
            ),
            *(_parameter(row[p], labels) for p in parameters),
            Field(text=row["trial"]),
        )
        for row in front.to_dict("records")
    ]
    columns = (
        Column(title="Proposal"),
        *(Column(title=labels.metric(goal.metric)) for goal in spec.goals),
        *_parameter_columns(spec, parameters, labels),
        Column(title="Trial", is_number=False),
    )
    note = (
        "No other proposal is as good in every goal and better in one; which of these is best, the goals do "
        "not say. Validation values that were chosen flatter; confirm the settings with fresh seeds in "
        "a design."
    )
    if spec.constraints:
        bounds = ", ".join(_bounds(each, labels) for each in spec.constraints)
        note += f" Proposals outside {bounds} are left out."
    return Table(
        name="search", caption="Pareto front of the search.", columns=columns, rows=tuple(rows), note=note
    )


def _parameter_columns(spec: Search, names: Sequence[str], labels: Labels) -> list[Column]:
    chosen = {parameter.name for parameter in spec.parameters if parameter.levels}
    return [Column(title=labels.name(name), is_number=name not in chosen) for name in names]


def _bounds(constraint: Constraint, labels: Labels) -> str:
    ends = [f"≥ {constraint.low:,g}"] if constraint.low is not None else []
    ends += [f"≤ {constraint.high:,g}"] if constraint.high is not None else []
    return f"{labels.metric(constraint.metric)} {' and '.join(ends)}"


def _parameter(value: object, labels: Labels) -> Field:
    if isinstance(value, int | float):
        return Field(text=f"{value:.3g}" if value == value else NONE, sort=float(value))
    return Field(text=labels.name(str(value)))
