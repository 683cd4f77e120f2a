"""Conditional axes: `when: {optimizer: sgd}`, an axis that only cells with such levels have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from segbench.config.document import Node
from segbench.config.experiment import Axis
from segbench.config.labels import find_label
from segbench.config.levels import Dimension, apply
from segbench.config.problems import Place, Problems
from segbench.config.resolve import Fields

KEY: Final = "when"


@dataclass(frozen=True)
class Condition:
    """What an axis needs of the others."""

    place: Place
    labels: Mapping[str, tuple[str, ...]]
    """Other axis -> labels, any of which will do; all axes must agree."""


def read_conditions(
    axes: Node, dimensions: Mapping[str, Dimension], problems: Problems
) -> dict[str, Condition]:
    """Read `when:` of every axis that has one, each after those that it depends on."""
    found: dict[str, Condition] = {}
    for name, node in axes.items():
        when = node.get(KEY)
        if name not in dimensions or when is None or not when.is_mapping:
            continue
        labels = {
            other: known
            for other, value in when.items()
            if (known := _labels(name, when, other, value, dimensions, problems))
        }
        if len(labels) == len(when.value):
            found[name] = Condition(when.place, labels)
    return _in_order(found, problems)


def is_conditional(axis: Node) -> bool:
    """Whether an axis is written with a condition."""
    when = axis.get(KEY)
    return when is not None and not (when.is_scalar and when.value is None)


def base_of(
    name: str,
    base: Fields,
    conditions: Mapping[str, Condition],
    dimensions: Mapping[str, Dimension],
    problems: Problems,
) -> Fields:
    """Return the baseline as an axis finds it: with the first level that meets each of its conditions."""
    settings = []
    asked = [name]
    for each in asked:
        for other, labels in conditions[each].labels.items() if each in conditions else ():
            settings.append(dimensions[other].settings[labels[0]])
            asked.append(other)
    applied = apply(base, settings[::-1], problems) if settings else base
    return base if applied is None else applied


def check_writers(
    dimensions: Sequence[Dimension], conditions: Mapping[str, Condition], problems: Problems
) -> None:
    """Refuse two axes that write one target, unless no cell has both."""
    writers: dict[str, list[str]] = {}
    for dimension in dimensions:
        for target, place in dimension.targets.items():
            for other in writers.get(target, ()):
                if not _exclude_each_other(dimension.name, other, conditions):
                    problems.add(place, f"the axis {other} sets {target} too; one axis may set it")
            writers.setdefault(target, []).append(dimension.name)


def order_of(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """Return the conditional axes, each after those that it depends on."""
    by_name = {axis.name: axis for axis in axes}
    found: dict[str, Axis] = {}

    def visit(axis: Axis) -> None:
        for other in axis.when:
            if other in by_name:
                visit(by_name[other])
        if axis.when:
            found.setdefault(axis.name, axis)

    for axis in axes:
        visit(axis)
    return tuple(found.values())


def _labels(
    name: str,
    when: Node,
    other: str,
    value: Node,
    dimensions: Mapping[str, Dimension],
    problems: Problems,
) -> tuple[str, ...]:
    if other == name:
        problems.add(when.key_place(other), "an axis must not depend on itself", got=other)
        return ()
    if other not in dimensions:
        known = [each for each in dimensions if each != name]
        problems.add(when.key_place(other), "there is no such axis", got=other, known=known)
        return ()
    labels = dimensions[other].settings
    found = []
    for node in value.elements() if value.is_list else (value,):
        label = find_label(node, labels) if node.is_scalar else None
        if label is None:
            problems.add(node.place, f"{other} has no level of this label", got=node.text, known=labels)
            return ()
        found.append(label)
    return tuple(dict.fromkeys(found))


def _in_order(conditions: dict[str, Condition], problems: Problems) -> dict[str, Condition]:
    """Sort by dependence; a circle is a problem, and its conditions are dropped."""
    found: dict[str, Condition] = {}
    left = dict(conditions)
    while left:
        ready = [name for name, each in left.items() if not each.labels.keys() & left.keys()]
        if not ready:
            name, condition = next(iter(left.items()))
            rule = "conditions must not go round in a circle"
            problems.add(condition.place, rule, got=" and ".join(left))
            return found
        for name in ready:
            found[name] = left.pop(name)
    return found


def _exclude_each_other(one: str, other: str, conditions: Mapping[str, Condition]) -> bool:
    if one not in conditions or other not in conditions:
        return False
    ours, theirs = conditions[one].labels, conditions[other].labels
    return any(not set(ours[axis]) & set(theirs[axis]) for axis in ours.keys() & theirs.keys())
