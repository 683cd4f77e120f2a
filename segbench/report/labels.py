"""What things are called in print and how they are ordered: the analysis's names under the user's style."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from segbench.quantities import find_quantity
from segbench.records import axis_column
from segbench.report.analysis import Analysis
from segbench.report.style import Style


@dataclass(frozen=True)
class Labels:
    """Turns names into print."""

    analysis: Analysis
    style: Style

    def name(self, text: str) -> str:
        """Return the user's word for an axis, a level or a cell; else the text itself."""
        return self.style.labels.get(text, text)

    def axis(self, name: str) -> str:
        """Return the user's word for an axis: `axis:NAME` where something else has that name too."""
        return self.style.labels.get(axis_column(name)) or self.name(name)

    def metric(self, name: str) -> str:
        """Return the user's name of a metric, else ours: `Dice (test)`, `Surface Dice (test, last epoch)`."""
        quantity = find_quantity(name)
        return self.style.labels.get(name) or (quantity.label if quantity is not None else "") or name

    def cell(self, cell: str) -> str:
        """Return the printed name of a cell from those of its levels."""
        if cell in self.style.labels:
            return self.style.labels[cell]
        levels = self.levels(cell)
        return (
            ", ".join(self.name(level) for level in levels.values() if level) if levels else self.name(cell)
        )

    def levels(self, cell: str) -> dict[str, str]:
        """Return axis -> label of a cell, empty text where it lacks the axis.

        Nothing where the cell is unknown or the design has no axes.
        """
        return dict(self._levels.get(cell, {}))

    @cached_property
    def _levels(self) -> dict[str, dict[str, str]]:
        """Cell -> axis -> label: figures ask it of every point."""
        columns = {axis: axis_column(axis) for axis in self.axes}
        rows = self.analysis.cells[["cell", *columns.values()]].to_dict(orient="records") if columns else []
        found: dict[str, dict[str, str]] = {}
        for row in rows:
            found.setdefault(str(row["cell"]), {axis: str(row[column]) for axis, column in columns.items()})
        return found

    @property
    def axes(self) -> list[str]:
        """Return the axes that the cells have a column for."""
        known = self.analysis.cells
        return [axis.name for axis in self.analysis.experiment.axes if axis_column(axis.name) in known]

    def labels_of(self, axis: str) -> list[str]:
        """Return the levels of an axis in the order of print."""
        known = [str(label) for label in self.analysis.experiment.axis(axis).labels]
        first = [label for label in self.style.order.get(axis, ()) if label in known]
        return first + [label for label in known if label not in first]

    def at(self, text: str) -> str:
        """Print the place of a simple effect (`model=unet`)."""
        parts = []
        for part in filter(None, (p.strip() for p in text.split(","))):
            axis, equals, label = part.partition("=")
            parts.append(self.name(label.strip()) if equals else self.axis(axis))
        return ", ".join(parts)

    def ordered(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Sort a frame about cells by the order of the levels."""
        if frame.empty or not self.axes:
            return frame
        ranks = pd.DataFrame(
            {
                axis: frame[axis_column(axis)].map(
                    {label: rank for rank, label in enumerate(self.labels_of(axis))}
                )
                for axis in self.axes
            },
            index=frame.index,
        )
        return frame.loc[ranks.sort_values(self.axes, kind="stable").index]
