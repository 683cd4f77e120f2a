"""Which cells make a known mistake on purpose: no report prints their numbers without saying so."""

from __future__ import annotations

from collections.abc import Iterator

from segbench import registry
from segbench.config.expand import parameter_ends
from segbench.config.experiment import Experiment
from segbench.report.phrases import listed


def flaws_text(experiment: Experiment) -> str:
    """Name every variant that is flawed on purpose, its cells and its mistake; empty where there is none."""
    if experiment.foreign:
        return ""
    cells_of: dict[tuple[str, str, str], list[str]] = {}
    for cell, axis, name in _chosen(experiment):
        flaw = registry.find(axis, name).flawed
        if flaw is not None:
            cells_of.setdefault((axis, name, flaw), []).append(cell)
    num_cells = len(experiment.cells)
    return "; ".join(
        f"{axis} {name} {_where(list(dict.fromkeys(cells)), num_cells)}: {flaw}"
        for (axis, name, flaw), cells in cells_of.items()
    )


def _chosen(experiment: Experiment) -> Iterator[tuple[str, str, str]]:
    """Yield (cell, axis, variant); a search's cells are its baseline and the ends of its space."""
    cells = experiment.cells if experiment.search is None else parameter_ends(experiment)
    for cell in cells:
        for axis, choice in cell.config.choices():
            yield cell.label, axis, choice.name


def _where(cells: list[str], num_cells: int) -> str:
    if num_cells == 0:
        return "in the space searched"
    return "in every cell" if len(cells) == num_cells else f"in {listed(cells)}"
