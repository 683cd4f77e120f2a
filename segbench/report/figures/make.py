"""All figures of a report."""

from __future__ import annotations

from segbench.report.analysis import Analysis
from segbench.report.figures.cost import cost_figure
from segbench.report.figures.curves import curve_figures
from segbench.report.figures.figure import Figure
from segbench.report.figures.forest import forest_figure
from segbench.report.figures.front import front_figure
from segbench.report.figures.importance import importance_figure
from segbench.report.figures.interactions import interactions_figure
from segbench.report.figures.outcome import outcome_figure
from segbench.report.figures.parallel import parallel_figure
from segbench.report.figures.search import history_figure, slices_figure
from segbench.report.figures.tuning import tuning_figure
from segbench.report.labels import Labels

FIGURE_NAMES = (
    *("effects", "interactions", "search-front", "search-history", "search-slices", "search-parallel"),
    *("importance", "outcome", "tuning", "curves-dice", "curves-loss", "cost"),
)
"""Every name a figure can have, in the order of the report."""


def make_figures(analysis: Analysis, labels: Labels) -> tuple[Figure, ...]:
    """Return the figures that the analysis has numbers for."""
    figures = [
        forest_figure(analysis, labels),
        interactions_figure(analysis, labels),
        front_figure(analysis, labels),
        history_figure(analysis, labels),
        slices_figure(analysis, labels),
        parallel_figure(analysis, labels),
        importance_figure(analysis, labels),
        outcome_figure(analysis, labels),
        tuning_figure(analysis, labels),
        *curve_figures(analysis, labels),
        cost_figure(analysis, labels),
    ]
    return tuple(figure for figure in figures if figure is not None)
