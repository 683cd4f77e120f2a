"""Which combinations of levels a design asks for, in a deterministic order.

| design | combinations |
|---|---|
| `factorial` | all; the first axis varies slowest |
| `{factorial: [model, norm]}` | all of these axes, the others at their baselines |
| `one_at_a_time` | the baseline, then every other level alone, axis by axis |
| `leave_one_out` | the same where every axis has two levels: the baseline has everything on |
| `{fractional: {resolution: 4}}`, `fractional` | a balanced part of two-level axes (`fractions`) |
| `{cells: [{model: unet}]}` | those listed; an axis that is not named stands at its baseline |
| `{zip: [norm, lr]}`, `{zip: [[norm, lr], ...]}` | axes that change together, crossed with the others |
| `{union: [one_at_a_time, {cells: [...]}]}` | one design after another, each cell where it first appears |

`only:` and `exclude:` then take cells out. An axis whose `when` does not hold has no level in a cell, and
combinations that are alike without it are one cell.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from segbench.config.conditions import order_of
from segbench.config.document import Node
from segbench.config.experiment import Alias, Axis, Design
from segbench.config.filters import filtered, known_label
from segbench.config.problems import Place, Problems

Labels = tuple[str | None, ...]
"""One label an axis, in the order of the axes; None where the axis has no level."""

Found = dict[Labels, Place]
"""Combination -> the place that asks for it."""

MOST_CELLS: Final = 100_000
"""A design of more is taken for a mistake."""


@dataclass(frozen=True)
class Combined:
    """The combinations of a design, and how they were chosen."""

    cells: Found
    design: Design


def read_design(document: Node, axes: Sequence[Axis], problems: Problems) -> Combined:
    """Return the combinations of `design:` less those that `only:` and `exclude:` take out."""
    node = document.get("design")
    place = document.key_place("axes" if node is None else "design")
    reader = _Reader(axes, problems, place)
    found = reader.read(node)
    if reader.is_fraction and ("only" in document or "exclude" in document):
        key = "only" if "only" in document else "exclude"
        rule = f"`{key}` would take cells out of a fraction, whose effects are told apart by its balance"
        problems.add(document.key_place(key), rule, see="Take an axis out, or list {cells: [...]}")
    baseline = reader.baseline() if reader.needs_baseline else None
    kept = filtered(document, found, axes, problems, baseline=baseline, kind=reader.kind)
    zipped = tuple(group for group in reader.zipped if _moves_together(group, axes, kept))
    return Combined(
        kept,
        Design(kind=reader.kind, zipped=zipped, resolution=reader.resolution, aliases=reader.aliases),
    )


class _Reader:
    """Turns a design into combinations; what the analysis must know of it gathers in its attributes."""

    def __init__(self, axes: Sequence[Axis], problems: Problems, place: Place) -> None:
        self.axes, self.problems, self.place = axes, problems, place
        self.kind = "factorial"
        self.zipped: list[tuple[str, ...]] = []
        self.resolution: int | None = None
        self.aliases: tuple[Alias, ...] = ()
        self.is_fraction = self.needs_baseline = False
        self._positions = {axis.name: i for i, axis in enumerate(axes)}
        self._conditional = order_of(axes)

    def read(self, node: Node | None, *, is_member: bool = False) -> Found:
        """Return the combinations of a design; `is_member` of a union."""
        name, body = ("factorial", None) if node is None else _name_and_body(node, self.problems)
        place = self.place if node is None else node.place
        if not is_member:
            self.kind = "factorial" if name == "zip" else name
        if name == "fractional":
            return self._fractional(body, place, is_member=is_member)
        if name in ("one_at_a_time", "leave_one_out"):
            return self._from_baseline(name, place)
        if name == "cells" and body is not None:
            return self._listed(body)
        if name == "zip" and body is not None:
            return self._zip(body, place)
        if name == "union" and body is not None:
            found: Found = {}
            for each in body.elements():
                for labels, at in self.read(each, is_member=True).items():
                    found.setdefault(labels, at)
            return found
        names = list(self._positions) if body is None else self._names(body.elements())
        return self._crossed([(name,) for name in names], place)

    def baseline(self) -> Labels:
        return self._present([axis.baseline for axis in self.axes])

    def _present(self, labels: Sequence[str]) -> Labels:
        """Drop the labels of axes whose condition does not hold."""
        if not self._conditional:
            return tuple(labels)
        found: list[str | None] = list(labels)
        for axis in self._conditional:
            holds = all(found[self._positions[other]] in allowed for other, allowed in axis.when.items())
            if not holds:
                found[self._positions[axis.name]] = None
        return tuple(found)

    def _crossed(self, groups: Sequence[tuple[str, ...]], place: Place) -> Found:
        """Cross groups of axes that move together; the others stand at their baselines."""
        indices = [tuple(self._positions[name] for name in group) for group in groups]
        steps = [list(zip(*(self.axes[i].labels for i in group), strict=True)) for group in indices]
        num_cells = math.prod(map(len, steps))
        if num_cells > MOST_CELLS:
            rule = f"a design must not have more than {MOST_CELLS:,} cells"
            see = "Try one_at_a_time, fractional, or a search"
            self.problems.add(place, rule, got=f"{num_cells:,}", see=see)
            return {}
        found: Found = {}
        labels = [axis.baseline for axis in self.axes]
        for chosen in itertools.product(*steps):
            for group, step in zip(indices, chosen, strict=True):
                for i, label in zip(group, step, strict=True):
                    labels[i] = label
            found.setdefault(self._present(labels), place)
        return found

    def _from_baseline(self, name: str, place: Place) -> Found:
        self.needs_baseline = True
        found: Found = {self.baseline(): place}
        for axis in self.axes:
            if name == "leave_one_out" and len(axis.levels) != 2:
                rule = (
                    f"leave_one_out needs axes of two levels, on and off; {axis.name} has {len(axis.levels)}"
                )
                self.problems.add(place, rule, see="one_at_a_time takes any number of levels")
            for label in axis.labels:
                labels = [each.baseline for each in self.axes]
                self._meet(axis, labels)
                labels[self._positions[axis.name]] = label
                if label != axis.baseline or axis.when:
                    found.setdefault(self._present(labels), place)
        return found

    def _meet(self, axis: Axis, labels: list[str]) -> None:
        """Set other axes so that an axis has a level: a conditional one is varied where it is met first."""
        for other, allowed in axis.when.items():
            position = self._positions[other]
            if labels[position] not in allowed:
                labels[position] = allowed[0]
            self._meet(self.axes[position], labels)

    def _listed(self, cells: Node) -> Found:
        found: Found = {}
        for cell in cells.elements():
            if not cell.is_mapping:
                continue
            chosen = {axis.name: axis.baseline for axis in self.axes}
            named = []
            for name, node in cell.items():
                label = known_label(cell, name, node, self.axes, self.problems)
                if label is not None:
                    chosen[name] = label
                    named.append(name)
            labels = self._present([chosen[axis.name] for axis in self.axes])
            for name in named:
                if labels[self._positions[name]] is None:
                    self._absent(name, cell.key_place(name))
            if labels in found:
                said = ", ".join(label for label in labels if label is not None)
                self.problems.add(cell.place, "the design has this cell twice", got=said)
            found.setdefault(labels, cell.place)
        return found

    def _absent(self, name: str, place: Place) -> None:
        when = self.axes[self._positions[name]].when
        needs = ", ".join(f"{other}: {' or '.join(labels)}" for other, labels in when.items())
        self.problems.add(place, f"{name} has no level in this cell", see=f"It is there when {needs}")

    def _zip(self, body: Node, place: Place) -> Found:
        elements = body.elements()
        is_nested = any(each.is_list for each in elements)
        nodes = (
            [each.elements() if each.is_list else (each,) for each in elements] if is_nested else [elements]
        )
        count = len(self.problems)
        groups = [self._group(group, place) for group in nodes]
        names = [name for group in groups for name in group]
        for name in dict.fromkeys(names):
            if names.count(name) > 1:
                self.problems.add(body.place, "an axis can be zipped once", got=name)
        if len(self.problems) > count:
            return {}
        self.zipped += groups
        together = {name: group for group in groups for name in group}
        return self._crossed(list(dict.fromkeys(together.get(n, (n,)) for n in self._positions)), place)

    def _group(self, nodes: Sequence[Node], place: Place) -> tuple[str, ...]:
        """Read the axes of one zip, in the order of the file's axes."""
        count = len(self.problems)
        names = sorted(self._names(nodes), key=self._positions.__getitem__)
        if len(self.problems) > count:
            return ()
        axes = [self.axes[self._positions[name]] for name in names]
        sizes = {axis.name: len(axis.levels) for axis in axes}
        text = ", ".join(f"{name} {size}" for name, size in sizes.items())
        if len(axes) < 2:
            see = "Write {zip: [a, b]}, or {zip: [[a, b], [c, d]]} for two groups"
            self.problems.add(place, "zip takes two axes or more", got=", ".join(names), see=see)
        elif len(set(sizes.values())) > 1:
            self.problems.add(place, "zipped axes must have equally many levels", got=text)
        elif any(axis.when for axis in axes):
            conditional = next(axis.name for axis in axes if axis.when)
            rule = "an axis with `when` cannot be zipped: some cells do not have it"
            self.problems.add(place, rule, got=conditional)
        elif len({axis.labels.index(axis.baseline) for axis in axes}) > 1:
            where = ", ".join(f"{a.name} at its level {a.labels.index(a.baseline) + 1}" for a in axes)
            rule = "zipped axes must have their baselines together, or no cell is the baseline"
            self.problems.add(place, rule, got=where, see="Order the levels of each axis alike")
        return tuple(names)

    def _names(self, nodes: Iterable[Node]) -> list[str]:
        found: list[str] = []
        for node in nodes:
            name = node.text
            if name not in self._positions:
                rule = "there is no such axis"
                self.problems.add(node.place, rule, got=node.plain(), known=self._positions)
            elif name in found:
                self.problems.add(node.place, "an axis is named twice", got=name)
            else:
                found.append(name)
        return found

    def _fractional(self, body: Node | None, place: Place, *, is_member: bool) -> Found:
        from segbench.config.fractions import MOST_AXES, make_fraction

        asked = body.get("resolution") if body is not None and body.is_mapping else None
        resolution = 4 if asked is None or asked.value is None else int(asked.value)
        count = len(self.problems)
        if is_member:
            rule = "a fraction stands alone: more cells would unbalance it"
            self.problems.add(place, rule, got="fractional in a union")
        for axis in self.axes:
            if len(axis.levels) != 2:
                rule = f"fractional needs axes of two levels; {axis.name} has {len(axis.levels)}"
                self.problems.add(place, rule, see="one_at_a_time takes any number of levels")
            if axis.when:
                rule = f"fractional needs every axis in every cell; {axis.name} has a condition"
                self.problems.add(place, rule, see="one_at_a_time takes conditional axes")
        if len(self.axes) > MOST_AXES:
            self.problems.add(place, f"fractional takes up to {MOST_AXES} axes", got=len(self.axes))
        if len(self.problems) > count:
            return {}
        fraction = make_fraction(len(self.axes), resolution)
        if fraction is None:
            rule = f"{len(self.axes)} axes have no fraction of resolution {resolution}"
            self.problems.add(place, rule, see="Only the whole has it: `design: factorial`")
            return {}
        names = tuple(self._positions)
        pairs = [(axis.baseline, next(x for x in axis.labels if x != axis.baseline)) for axis in self.axes]
        self.is_fraction, self.resolution = True, fraction.resolution
        self.aliases = tuple(
            Alias(
                effect=tuple(names[i] for i in effect),
                others=tuple(tuple(names[i] for i in other) for other in others),
            )
            for effect, others in fraction.aliases().items()
        )
        return {
            tuple(pair[is_high] for pair, is_high in zip(pairs, row, strict=True)): place
            for row in fraction.rows
        }


def _name_and_body(node: Node, problems: Problems) -> tuple[str, Node | None]:
    if not node.is_mapping:
        return node.text, None
    given = {key: body for key, body in node.items() if not (body.is_scalar and body.value is None)}
    if len(given) != 1:
        rule = "a design is one of the known ones; several make a {union: [...]}"
        known = ("cells", "factorial", "fractional", "zip", "union")
        problems.add(node.place, rule, got=", ".join(node.value) or "{}", known=known)
        return "cells", None
    return next(iter(given.items()))


def _moves_together(group: Sequence[str], axes: Sequence[Axis], found: Mapping[Labels, Place]) -> bool:
    """Whether each label of one axis of a group occurs with one label of every other."""
    positions = [i for i, axis in enumerate(axes) if axis.name in group]
    seen = {tuple(labels[i] for i in positions) for labels in found}
    return all(len({labels[k] for labels in seen}) == len(seen) for k in range(len(positions)))
