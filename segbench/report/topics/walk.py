"""All figures of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from segbench.report.analysis import Analysis
from segbench.report.draw.figure import Figure
from segbench.report.labels import Labels
from segbench.report.table import Table
from segbench.report.topics.cells import cells_table, cost_figure, costs_table, outcome_figure
from segbench.report.topics.claims import claims_table
from segbench.report.topics.dynamics import curves_figure, dynamics_table
from segbench.report.topics.effects import effects_table, forest_figure
from segbench.report.topics.factorial import (
    anova_table,
    interactions_figure,
    interactions_table,
    marginals_table,
)
from segbench.report.topics.failures import failures_table, left_out_table
from segbench.report.topics.front import front_figure
from segbench.report.topics.importance import importance_figure, importance_table
from segbench.report.topics.metrics import metrics_table
from segbench.report.topics.parallel import parallel_figure
from segbench.report.topics.replicated import replicated_table
from segbench.report.topics.search import history_figure, search_table, slices_figure
from segbench.report.topics.sensitivity import sensitivity_table
from segbench.report.topics.subgroups import subgroups_table
from segbench.report.topics.tuning import tuning_figure, tuning_table
from segbench.report.topics.untuned import untuned_table

FIGURE_NAMES = (
    *("effects", "interactions", "search-front", "search-history", "search-slices", "search-parallel"),
    *("importance", "outcome", "tuning", "curves-dice", "curves-loss", "cost"),
)
"""Every name a figure can have, in the order of the report."""


def make_figures(analysis: Analysis, labels: Labels) -> Iterator[Figure]:
    """Yield the figures that the analysis has numbers for."""
    for make in _MAKERS:
        figure = make(analysis, labels)
        if figure is not None:
            yield figure


_MAKERS: Final[Sequence[Callable[[Analysis, Labels], Figure | None]]] = (
    forest_figure,
    interactions_figure,
    front_figure,
    history_figure,
    slices_figure,
    parallel_figure,
    importance_figure,
    outcome_figure,
    tuning_figure,
    partial(curves_figure, quantity="dice"),
    partial(curves_figure, quantity="loss"),
    cost_figure,
)


# All tables of a report.


TABLE_NAMES = (
    "claims",
    "effects",
    "effects-exploratory",
    "sensitivity",
    "marginals",
    "interactions",
    "anova",
    "subgroups",
    "cells",
    "metrics",
    "dynamics",
    "costs",
    "search",
    "replicated",
    "importance",
    "tuning",
    "untuned",
    "failures",
    "left-out",
)
"""Every name a table can have."""


def make_tables(analysis: Analysis, labels: Labels) -> dict[str, Table]:
    """Return name -> table, without those that would be empty."""
    tables = [
        claims_table(analysis, labels),
        effects_table(analysis, labels, is_family=True),
        effects_table(analysis, labels, is_family=False),
        sensitivity_table(analysis, labels),
        marginals_table(analysis, labels),
        interactions_table(analysis, labels),
        anova_table(analysis, labels),
        subgroups_table(analysis, labels),
        cells_table(analysis, labels),
        metrics_table(analysis, labels),
        dynamics_table(analysis, labels),
        costs_table(analysis, labels),
        search_table(analysis, labels),
        replicated_table(analysis, labels),
        importance_table(analysis, labels),
        tuning_table(analysis, labels),
        untuned_table(analysis, labels),
        failures_table(analysis, labels),
        left_out_table(analysis),
    ]
    return {table.name: table for table in tables if table.rows}
