"""Which cells are set against each other to tell what a level does.

Two cells make a pair where they differ in one axis alone. Zipped axes are one factor under several names, so
they differ together. An axis that one of the cells lacks (`when`) stands at its baseline there: sgd at its
usual momentum is what adam is compared with. A fraction of a factorial holds no such pairs; its cells are
balanced instead, so that the means over all cells of either level differ by the level's effect alone.

A fraction's alias table, which says which effects its cells cannot tell apart, is put into words here too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from segbench.config.experiment import Axis, Cell, Design, Experiment


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """The cells of a design in which every level of each factor meets every level of the others, once."""

    factors: tuple[str, ...] = ()
    """The crossed axes, in order; of zipped ones the first stands for all."""
    cells: tuple[Cell, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    """Conditional axis -> its baseline: cells at its other levels are no part of the crossing."""
    reason: str = ""
    """Why there is no crossing; empty where there is one."""


@dataclass(frozen=True)
class Pairing:
    """What the analysis must know of a design to find its pairs."""

    axes: tuple[str, ...] = ()
    zipped: tuple[tuple[str, ...], ...] = ()
    """Groups of axes that change together."""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    """Conditional axis -> its baseline label, which stands for its absence."""
    is_fraction: bool = False

    @classmethod
    def of(cls, experiment: Experiment) -> Pairing:
        return cls.of_design(experiment.axes, experiment.design)

    @classmethod
    def of_design(cls, axes: Sequence[Axis], design: Design) -> Pairing:
        return cls(
            tuple(axis.name for axis in axes),
            design.zipped,
            {axis.name: axis.baseline for axis in axes if axis.when},
            design.kind == "fractional",
        )

    def group(self, axis: str) -> tuple[str, ...]:
        """Return the axes that change with one, itself among them."""
        return next((group for group in self.zipped if axis in group), (axis,))

    def others(self, axis: str) -> tuple[str, ...]:
        """Return the axes in which the cells of a pair are alike."""
        group = self.group(axis)
        return tuple(other for other in self.axes if other not in group)

    def setting(self, levels: Mapping[str, str], others: Sequence[str]) -> tuple[str, ...]:
        """Return a cell's labels of other axes; what stands in for one that it lacks, else empty."""
        return tuple(levels.get(axis) or self.stand_ins.get(axis, "") for axis in others)

    def pairs(
        self,
        cells: Iterable[Cell],
        axis: str,
        level: str,
        baseline: str,
        at: Mapping[str, str] | None = None,
    ) -> list[tuple[Cell, Cell]]:
        """Return the pairs of cells that tell a level from another one, in the order of the level's cells.

        Args:
            cells: The cells of the design.
            axis: What the levels are of.
            level: The label of the first cell of each pair.
            baseline: The label of the second.
            at: Axis -> label that both cells have.
        """
        held = (at or {}).items()
        others = self.others(axis)
        arms: dict[str, dict[tuple[str, ...], Cell]] = {level: {}, baseline: {}}
        for cell in cells:
            arm = arms.get(cell.levels.get(axis, ""))
            if arm is not None and all(cell.levels.get(name) == label for name, label in held):
                arm[self.setting(cell.levels, others)] = cell
        if self.is_fraction:
            balanced = len(arms[level]) == len(arms[baseline])
            return list(zip(*(arm.values() for arm in arms.values()), strict=True)) if balanced else []
        return [(cell, arms[baseline][key]) for key, cell in arms[level].items() if key in arms[baseline]]

    def crossing(self, cells: Sequence[Cell]) -> Crossing:
        """Return the complete crossing of two axes or more, or the reason why there is none.

        A conditional axis is not crossed with the others: cells that lack it are taken with those at its
        baseline.
        """
        if self.is_fraction:
            return Crossing(reason="its cells are a balanced part of all combinations")
        kept = [c for c in cells if all(c.levels.get(a, own) == own for a, own in self.stand_ins.items())]
        held = {a: own for a, own in self.stand_ins.items() if any(a in cell.levels for cell in cells)}
        first = [axis for axis in self.axes if self.group(axis)[0] == axis]
        whole = [axis for axis in first if not any(other in self.stand_ins for other in self.group(axis))]
        levels = {axis: {cell.levels[axis] for cell in kept} for axis in whole}
        factors = tuple(axis for axis in whole if len(levels[axis]) > 1)
        if len(factors) < 2:
            return Crossing(reason="fewer than two axes are crossed")
        num_all = math.prod(len(levels[axis]) for axis in factors)
        if len(kept) != num_all or len({self.setting(cell.levels, factors) for cell in kept}) != num_all:
            return Crossing(reason=f"{len(kept)} of the {num_all:,} combinations are in the design")
        return Crossing(factors=factors, cells=tuple(kept), held=held)


# The alias table of a fraction.


ROMAN: Final = {3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII", 8: "VIII"}

_MOST_NAMED: Final = 6


def effect_text(effect: tuple[str, ...]) -> str:
    """Return `norm x lr`."""
    return " x ".join(effect)


def title(design: Design, *, num_cells: int, num_axes: int) -> str:
    """Say which fraction of the whole a design is."""
    resolution = ROMAN.get(design.resolution or 0, str(design.resolution))
    return f"A fraction of resolution {resolution}: {num_cells:,} of {2**num_axes:,} combinations"


def alias_lines(design: Design, *, up_to: int = 3) -> list[str]:
    """Return a line for each set of aliases, such as `norm x lr = model x flips`.

    Args:
        design: A fraction; any other design has no aliases.
        up_to: Interactions of more axes are not named.
    """
    seen: set[frozenset[tuple[str, ...]]] = set()
    lines = []
    for alias in design.aliases:
        alike = [alias.effect, *(other for other in alias.others if len(other) <= up_to)]
        if len(alike) < 2 or frozenset(alike) in seen:
            continue
        seen.add(frozenset(alike))
        named = [effect_text(effect) for effect in alike[:_MOST_NAMED]]
        more = [f"{len(alike) - _MOST_NAMED} more"] if len(alike) > _MOST_NAMED else []
        lines.append(" = ".join([*named, *more]))
    return lines


def aliased_with(design: Design, effects: Iterable[tuple[str, ...]]) -> str:
    """Return what effects cannot be told from, up to interactions of three axes: `lr x flips, model x seeds`.

    Empty where the design has no aliases of them.
    """
    wanted = [set(effect) for effect in effects]
    own = (alias.others for alias in design.aliases if set(alias.effect) in wanted)
    found = list(dict.fromkeys(effect_text(other) for others in own for other in others))
    more = [f"{len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
    return ", ".join([*found[:_MOST_NAMED], *more])


def alias_note(design: Design, axis: str) -> str:
    """Say why an axis's effect gets no verdict; empty where it may."""
    others = design.confounders((axis,))
    if not others:
        return ""
    return f"cannot be told from {' and '.join(map(effect_text, others))}, so there is no verdict"
