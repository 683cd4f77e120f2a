"""Which combinations of levels a design asks for, in a deterministic order.

| design | combinations |
|---|---|
| `factorial` | all; the first axis varies slowest |
| `{factorial: [model, norm]}` | all of these axes, the others at their baselines |
| `one_at_a_time` | the baseline, then every other level alone, axis by axis |
| `leave_one_out` | the same where every axis has two levels: the baseline has everything on |
| `{fractional: {resolution: 4}}`, `fractional` | a balanced part of two-level axes (`make_fraction`) |
| `{cells: [{model: unet}]}` | those listed; an axis that is not named stands at its baseline |
| `{zip: [norm, lr]}`, `{zip: [[norm, lr], ...]}` | axes that change together, crossed with the others |
| `{union: [one_at_a_time, {cells: [...]}]}` | one design after another, each cell where it first appears |

`only:` and `exclude:` then take cells out. An axis whose `when` does not hold has no level in a cell, and
combinations that are alike without it are one cell.
"""

from __future__ import annotations

import itertools
import math
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from operator import xor
from typing import Final, TypeAlias

from segbench.config.axes import order_of, read_label
from segbench.config.document import Node, Place, Problems
from segbench.config.experiment import Alias, Axis, Design

Labels: TypeAlias = tuple[str | None, ...]
"""One label per axis, in the order of the axes; None where the axis has no level."""

Found: TypeAlias = dict[Labels, Place]
"""Combination -> the place that asks for it."""


def filtered(
    document: Node,
    found: Found,
    axes: Sequence[Axis],
    problems: Problems,
    *,
    baseline: Labels | None,
    kind: str,
) -> Found:
    """Return the combinations that some rule of `only:` matches and no rule of `exclude:` does.

    Args:
        document: The experiment.
        found: What the design asks for.
        axes: What rules are about.
        problems: Takes rules that match nothing, or leave nothing, or take out what the design rests on.
        baseline: The combination that must stay; None: any may go.
        kind: What messages call the design.
    """
    kept = _only(document, found, axes, problems)
    if baseline is not None and kept and baseline not in kept:
        place = document.key_place("only")
        problems.add(place, f"the baseline cell is left out, which {kind} compares with", got=_text(baseline))
        return kept
    for rule in document.listed("exclude"):
        matches = _rule(rule, axes, problems)
        if matches is None:
            continue
        left = {labels: place for labels, place in kept.items() if not matches(labels)}
        if len(left) == len(kept):
            problems.add(rule.place, "no cell is excluded by this", got=rule.plain())
        if not left and kept:
            problems.add(rule.place, "every cell is excluded", got=rule.plain())
            return kept
        if baseline is not None and baseline in kept and baseline not in left:
            text = f"the baseline cell ({_text(baseline)}) is excluded, which {kind} compares with"
            problems.add(rule.place, text, got=rule.plain())
        kept = left
    return kept


def known_label(holder: Node, name: str, node: Node, axes: Sequence[Axis], problems: Problems) -> str | None:
    """Return the label that a node names of an axis, or None after recording that there is none."""
    axis = next((axis for axis in axes if axis.name == name), None)
    if axis is None:
        names = [axis.name for axis in axes]
        problems.add(holder.key_place(name), "there is no such axis", got=name, known=names)
        return None
    return read_label(name, node, axis.labels, problems)


def _only(document: Node, found: Found, axes: Sequence[Axis], problems: Problems) -> Found:
    rules = [(rule, _rule(rule, axes, problems)) for rule in document.listed("only")]
    matching = [matches for _, matches in rules if matches is not None]
    if not rules or len(matching) < len(rules):
        return found
    for rule, matches in rules:
        if found and matches is not None and not any(map(matches, found)):
            problems.add(rule.place, "no cell of the design is like this", got=rule.plain())
    return {labels: at for labels, at in found.items() if any(matches(labels) for matches in matching)}


def _rule(rule: Node, axes: Sequence[Axis], problems: Problems) -> Callable[[Labels], bool] | None:
    """Return whether a combination is meant by `{norm: none, lr: [1e-3, 1e-2]}`; None: it has mistakes."""
    if not rule.is_mapping:
        return None
    positions = {axis.name: i for i, axis in enumerate(axes)}
    wanted: list[tuple[int, frozenset[str]]] = []
    is_known = True
    for name, node in rule.items():
        nodes = node.each()
        labels = [known_label(rule, name, each, axes, problems) for each in nodes if each.is_scalar]
        known = frozenset(label for label in labels if label is not None)
        is_known = is_known and None not in labels and 0 < len(labels) == len(nodes)
        wanted.append((positions.get(name, 0), known))
    return (lambda labels: all(labels[i] in allowed for i, allowed in wanted)) if is_known else None


def _text(labels: Labels) -> str:
    return ", ".join(label for label in labels if label is not None)


# Regular fractions of two-level factorials: generators, rows and the effects that cannot be told apart.
#
# Every axis is a vector over the base axes, as bits: base axis i is 1 << i, and an axis that is generated by
# the product of some base axes is the bits of them all. Effects are then sums (exclusive or) of their axes'
# vectors, and two effects are aliases where their vectors are equal.
#
# Reference: Box, Hunter & Hunter (2005), Statistics for Experimenters, 2nd ed., chapter 6.


MOST_AXES: Final = len(string.ascii_lowercase)
"""pyDOE3 names axes by letters."""

_MOST_STEPS: Final = 20_000
_MOST_SETS: Final = 200
"""Where the search for generators ends: small fractions are searched wholly, large ones in part."""

Effect = tuple[int, ...]
"""Numbers of the axes that interact; one: its main effect."""


@dataclass(frozen=True)
class Fraction:
    """Some of the 2^n combinations of n axes of two levels."""

    vectors: tuple[int, ...]
    """An axis each."""
    resolution: int
    """The fewest axes whose product is the same in all rows."""
    rows: tuple[tuple[bool, ...], ...]
    """Whether each axis stands at its second level; the first axis varies slowest, the first row is all
    first levels."""

    def aliases(self) -> dict[Effect, tuple[Effect, ...]]:
        """Return every main effect and two-axis interaction that has aliases of up to three axes."""
        alike: dict[int, list[Effect]] = {}
        for size in (1, 2, 3):
            for effect in combinations(range(len(self.vectors)), size):
                alike.setdefault(_sum(self.vectors, effect), []).append(effect)
        found = {
            effect: tuple(other for other in effects if other != effect)
            for effects in alike.values()
            for effect in effects
            if len(effect) <= 2 and len(effects) > 1
        }
        return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0])))


def make_fraction(num_axes: int, resolution: int) -> Fraction | None:
    """Return a small fraction of at least a resolution; None where only the whole factorial has it.

    It is the smallest, and among those of its size the one with the fewest shortest words in its defining
    relation, as far as the search goes. The signs of the generators are such that all axes at their first
    level are a row. (pyDOE3's own `fracfact_by_res` finds no half fraction whose generator is the product of
    all base axes, and does not look at products of generators: its seven axes "at resolution V" have IV.)
    """
    if not 1 < num_axes <= MOST_AXES:
        return None
    for num_base in range(max(resolution - 1, 1), num_axes):
        if 2**num_base <= num_axes:
            continue  # fewer vectors than axes
        base = [1 << i for i in range(num_base)]
        sets = [[*base, *chosen] for chosen in _generators(base, num_axes - num_base, resolution)]
        if sets:
            vectors = min(sets, key=lambda each: _word_lengths(each, num_base))
            return Fraction(tuple(vectors), _resolution(vectors), _rows(vectors, num_base))
    return None


def _generators(base: Sequence[int], num: int, resolution: int) -> Iterator[list[int]]:
    """Yield sets of further vectors such that no fewer than `resolution` vectors sum to nothing."""
    candidates = [v for v in range(1, 2 ** len(base)) if v.bit_count() >= resolution - 1]
    # Odd products first: of any number of them, no three sum to nothing.
    candidates.sort(key=lambda v: (v.bit_count() % 2 == 0, -v.bit_count(), v))
    # Sums of up to resolution - 2 vectors so far: a further vector must be none of them.
    sums = [{0}]
    for size in range(1, resolution - 1):
        sums.append({_sum(base, each) for each in combinations(range(len(base)), size)})
    steps = found = 0

    def extend(chosen: list[int], start: int, sums: list[set[int]]) -> Iterator[list[int]]:
        nonlocal steps, found
        if len(chosen) == num:
            found += 1
            yield chosen
            return
        taken = set().union(*sums)
        for number in range(start, len(candidates) - (num - len(chosen)) + 1):
            vector = candidates[number]
            steps += 1
            if steps > _MOST_STEPS or found >= _MOST_SETS:
                return
            if vector not in taken:
                wider = [sums[0], *(s | {v ^ vector for v in sums[k]} for k, s in enumerate(sums[1:]))]
                yield from extend([*chosen, vector], number + 1, wider)

    return extend([], 0, sums)


def _sum(vectors: Sequence[int], effect: Sequence[int]) -> int:
    return reduce(xor, (vectors[i] for i in effect), 0)


def _resolution(vectors: Sequence[int]) -> int:
    for length in range(1, len(vectors) + 1):
        if any(_sum(vectors, effect) == 0 for effect in combinations(range(len(vectors)), length)):
            return length
    return len(vectors) + 1


def _word_lengths(vectors: Sequence[int], num_base: int) -> list[int]:
    """Count the words of the defining relation by length, from the shortest: less is better.

    Of many generators only products of up to four are looked at.
    """
    words = [(1 << (num_base + k)) | v for k, v in enumerate(vectors[num_base:])]
    counts = [0] * (len(vectors) + 1)
    most = len(words) if len(words) <= 8 else 4
    for size in range(1, most + 1):
        for chosen in combinations(words, size):
            counts[reduce(xor, chosen).bit_count()] += 1
    return counts


def _rows(vectors: Sequence[int], num_base: int) -> tuple[tuple[bool, ...], ...]:
    # Late: it loads half of scipy.
    from pyDOE3 import fracfact  # type: ignore[import-untyped]

    terms = []
    for vector in vectors:
        letters = "".join(string.ascii_lowercase[i] for i in range(num_base) if vector >> i & 1)
        # A product of an even number of low signs is high: the minus sign keeps all-low a row.
        terms.append(letters if len(letters) % 2 else f"-{letters}")
    coded = fracfact(" ".join(terms)).tolist()
    return tuple(sorted(tuple(value > 0 for value in row) for row in coded))


# The designs.


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
        nodes = [each.each() for each in elements] if is_nested else [elements]
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
        asked = None if body is None else body.get("resolution")
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
