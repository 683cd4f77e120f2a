"""What things are called in print and how they are ordered: the analysis's names under the user's style.

`style.yaml` is what a user decides about the looks of a report. It is created once and never overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from segbench.errors import ResultsError, message
from segbench.quantities import find_quantity
from segbench.records import axis_column

if TYPE_CHECKING:
    import pandas as pd

    from segbench.report.analysis import Analysis


TEMPLATE: Final = """\
# The looks of this report. segbench made this file once and never touches it again; delete it to get it anew.
# Uncomment what you want to change and run `segbench report` again.

# labels:                    # how names are printed: levels, axes, metrics, whole cells
#   DyT: Dynamic Tanh
#   test_dice: Dice
# order:                     # which levels come first; the others follow in the experiment's order
#   norm: [DyT, BatchNorm]
# digits: 3                  # decimals of dice and of its differences
# effect_size: difference    # g: Hedges' g beside every difference
# width_cm: 16               # width of figures: the text width of your paper
"""

WIDTHS_CM: Final = (7.0, 60.0)


@dataclass(frozen=True, kw_only=True)
class Style:
    """The content of `style.yaml`."""

    labels: Mapping[str, str] = field(default_factory=dict)
    """Name in the experiment -> name in print."""
    order: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Axis -> labels that come first."""
    digits: int = 3
    """Decimals of values between 0 and 1."""
    effect_size: str = "difference"
    """`difference`: raw differences alone; `g`: Hedges' g beside each."""
    width_cm: float = 16.0
    """Width of a figure across the page."""


def read_style(path: Path) -> Style:
    """Read `style.yaml`; a missing file is the default style.

    Raises:
        ResultsError: An unknown key, or a value of the wrong kind.
    """
    if not path.is_file():
        return Style()
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ResultsError(message(str(path), f"the file is not valid YAML: {error}")) from error
    read = {} if read is None else read
    where = str(path)
    if not isinstance(read, dict):
        raise ResultsError(message(where, "the file must be a mapping", got=read))
    known = [f.name for f in fields(Style)]
    for key in read:
        if key not in known:
            raise ResultsError(message(where, "there is no such key", got=key, known=known))
    given: dict[str, Any] = {key: value for key, value in read.items() if value is not None}
    if "labels" in given:
        given["labels"] = _labels(given["labels"], where)
    if "order" in given:
        given["order"] = _order(given["order"], where)
    digits = given.get("digits", 3)
    if type(digits) is not int or not 1 <= digits <= 6:
        raise ResultsError(message(where, "digits must be a whole number from 1 to 6", got=digits))
    known_sizes = ["difference", "g"]
    if given.get("effect_size", "g") not in known_sizes:
        got = given["effect_size"]
        raise ResultsError(message(where, "there is no such effect_size", got=got, known=known_sizes))
    width = given.get("width_cm", 16.0)
    low, high = WIDTHS_CM
    if isinstance(width, bool) or not isinstance(width, int | float) or not low <= width <= high:
        raise ResultsError(message(where, f"width_cm must be a number from {low:g} to {high:g}", got=width))
    return Style(**{**given, "width_cm": float(width)})


def create_style(path: Path) -> bool:
    """Write the commented template where no file stands; return whether it was written."""
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TEMPLATE, encoding="utf-8")
    return True


def _labels(value: object, where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ResultsError(message(where, "labels must map names to printed names", got=value))
    return {str(name): str(printed) for name, printed in value.items()}


def _order(value: object, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict) or not all(isinstance(v, list) for v in value.values()):
        raise ResultsError(message(where, "order must map an axis to a list of labels", got=value))
    return {str(axis): tuple(str(label) for label in labels) for axis, labels in value.items()}


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
        ranks = {
            axis_column(axis): {label: rank for rank, label in enumerate(self.labels_of(axis))}
            for axis in self.axes
        }
        by_rank = frame[[*ranks]].apply(lambda column: column.map(ranks[str(column.name)]))
        ordered: pd.DataFrame = frame.loc[by_rank.sort_values([*ranks], kind="stable").index]
        return ordered
