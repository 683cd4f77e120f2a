"""All figures of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from segbench.report.analysis import Analysis
from segbench.report.figures.cost import cost_figure
from segbench.report.figures.curves import curves_figure
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
