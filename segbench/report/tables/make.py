"""All tables of a report."""

from __future__ import annotations

from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.tables.cells import cells_table, costs_table
from segbench.report.tables.claims import claims_table
from segbench.report.tables.dynamics import dynamics_table
from segbench.report.tables.effects import effects_table
from segbench.report.tables.factorial import anova_table, interactions_table, marginals_table
from segbench.report.tables.failures import failures_table, left_out_table
from segbench.report.tables.importance import importance_table
from segbench.report.tables.replicated import replicated_table
from segbench.report.tables.search import search_table
from segbench.report.tables.sensitivity import sensitivity_table
from segbench.report.tables.subgroups import subgroups_table
from segbench.report.tables.table import Table
from segbench.report.tables.tuning import tuning_table
from segbench.report.tables.untuned import untuned_table

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
