"""How a design of several axes is laid out: one axis by colour, the others by facet or marker."""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass

from segbench.config.trial import Target
from segbench.records import axis_column
from segbench.report.draw import figure
from segbench.report.labels import Labels


@dataclass(frozen=True)
class Layout:
    """Which axis is told by colour and which combinations of the others make facets."""

    colour_axis: str | None
    levels: tuple[str, ...]
    """Levels of the colour axis in the order of print; one empty name without axes."""
    facet_axes: tuple[str, ...]
    facets: tuple[tuple[str, ...], ...]
    """Combinations of levels of the facet axes that have a cell; empty text: without the axis."""

    def colour(self, level: str) -> str:
        return figure.colour(self.levels.index(level))

    def level_of(self, levels: dict[str, str]) -> str:
        return levels[self.colour_axis] if self.colour_axis else ""

    def facet_of(self, levels: dict[str, str]) -> tuple[str, ...]:
        return tuple(levels[axis] for axis in self.facet_axes)


def lay_out(labels: Labels, *, never_colour: frozenset[str] = frozenset()) -> Layout:
    """Give the axis of most levels the colour (the last of them where several have as many).

    Args:
        labels: Names and order.
        never_colour: Axes to facet by where another one can take the colour.
    """
    axes = labels.axes
    if not axes:
        return Layout(None, ("",), (), ((),))
    # A colour for cells without a level would look like one more level: such axes make facets.
    whole = [axis for axis in axes if not labels.analysis.experiment.axis(axis).when]
    able = [axis for axis in whole if axis not in never_colour]
    most = max((len(labels.labels_of(axis)) for axis in able), default=0)
    chosen = next((axis for axis in reversed(able) if len(labels.labels_of(axis)) == most), None)
    others = tuple(axis for axis in axes if axis != chosen)
    present = {
        tuple(str(row[axis_column(axis)]) for axis in others)
        for row in labels.analysis.cells.to_dict(orient="records")
    }
    combinations = tuple(
        c for c in itertools.product(*([*labels.labels_of(axis), ""] for axis in others)) if c in present
    )
    levels = tuple(labels.labels_of(chosen)) if chosen else ("",)
    return Layout(chosen, levels, others, combinations)


def axes_of_loss(labels: Labels) -> frozenset[str]:
    """Return the axes that change the loss: loss values are not comparable across their levels."""
    return frozenset(
        axis.name
        for axis in labels.analysis.experiment.axes
        if any(
            Target.of(target).field == "loss"
            for level in axis.levels
            for target in (level.changes if level.changes else {})
        )
        or axis.name == "loss"
    )


def slug(text: str) -> str:
    """Return an ASCII name that is safe as a file name, a column and a TeX control word's argument."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9.+]+", "-", plain).strip("-") or "x"


def unique_slugs(texts: list[str]) -> dict[str, str]:
    """Return text -> slug; equal slugs get a number behind them."""
    taken: dict[str, str] = {}
    used: set[str] = set()
    for text in texts:
        base = name = slug(text)
        number = 2
        while name in used:
            name, number = f"{base}-{number}", number + 1
        used.add(name)
        taken[text] = name
    return taken
