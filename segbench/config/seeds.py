"""`seeds:` as a count, a list, or looks: numbers of seeds at which the claims are judged."""

from __future__ import annotations

from itertools import pairwise

from segbench.config import schema
from segbench.config.document import Node
from segbench.config.problems import Problems


def read_seeds(document: Node, problems: Problems) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the seeds and the looks; without looks the claims are judged once, at the end.

    `{start: 3, max: 10, looks: [3, 5, 10]}` judges after the first 3, 5 and 10 seeds; without `looks` it does
    at `start` and at `max`.
    """
    node = document.get("seeds") or Node.of(
        schema.ExperimentFile.model_fields["seeds"].default, document.place
    )
    if node.is_mapping:
        looks = _looks(node, problems)
        _check_worth(document, problems)
        return tuple(range(int(node["max"].value))), looks
    if not node.is_list:
        return tuple(range(node.value)), ()
    seen: list[int] = []
    for each in node.elements():
        if each.value in seen:
            problems.add(each.place, "seeds must differ", got=each.value)
        seen.append(each.value)
    return tuple(seen), ()


def _looks(node: Node, problems: Problems) -> tuple[int, ...]:
    start, most, given = node["start"], node["max"], node.get("looks")
    if start.value >= most.value:
        rule = f"max must be larger than start ({start.value}): the first look is not the last"
        problems.add(most.place, rule, got=most.value)
    if given is None or given.value is None:
        return (start.value, most.value)
    looks = given.elements()
    for before, after in pairwise(looks):
        if after.value <= before.value:
            problems.add(after.place, f"looks must rise, and {before.value} stands before", got=after.value)
    if looks[0].value != start.value:
        rule = f"the first look is at start, which is {start.value}"
        problems.add(looks[0].place, rule, got=looks[0].value)
    if looks[-1].value != most.value:
        problems.add(looks[-1].place, f"the last look is at max, which is {most.value}", got=looks[-1].value)
    return tuple(look.value for look in looks)


def _check_worth(document: Node, problems: Problems) -> None:
    """Refuse looks where there is nothing to judge at them."""
    place = document.key_place("seeds")
    if "search" in document:
        rule = "a search compares no arms, so it has no looks: give `seeds` as a count or a list"
        problems.add(place, rule)
        return
    axes = document.get("axes")
    levels = [axis.get("levels") for _, axis in axes.items()] if axes is not None and axes.is_mapping else []
    if not any(each is not None and len(each.value) > 1 for each in levels):
        rule = "looks need an axis with two levels or more: there is nothing to judge at them"
        problems.add(place, rule)
