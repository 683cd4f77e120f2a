"""`only:` and `exclude:`: which combinations of a design stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from segbench.config.document import Node
from segbench.config.experiment import Axis
from segbench.config.labels import find_label
from segbench.config.problems import Place, Problems

Labels: TypeAlias = tuple[str | None, ...]
Matches: TypeAlias = Callable[[Labels], bool]


def filtered(
    document: Node,
    found: Mapping[Labels, Place],
    axes: Sequence[Axis],
    problems: Problems,
    *,
    baseline: Labels | None,
    kind: str,
) -> dict[Labels, Place]:
    """Return the combinations that some rule of `only:` matches and no rule of `exclude:` does.

    Args:
        document: The experiment.
        found: What the design asks for.
        axes: What rules are about.
        problems: Takes rules that match nothing, or leave nothing, or take out what the design rests on.
        baseline: The combination that must stay; None: any may go.
        kind: What messages call the design.
    """
    kept = _only(document, dict(found), axes, problems)
    if baseline is not None and kept and baseline not in kept:
        place = document.key_place("only")
        problems.add(place, f"the baseline cell is left out, which {kind} compares with", got=_text(baseline))
        return kept
    node = document.get("exclude")
    for rule in node.elements() if node is not None and node.is_list else ():
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
    label = find_label(node, axis.labels)
    if label is None:
        problems.add(node.place, f"{name} has no level of this label", got=node.text, known=axis.labels)
    return label


def _only(
    document: Node, found: dict[Labels, Place], axes: Sequence[Axis], problems: Problems
) -> dict[Labels, Place]:
    node = document.get("only")
    if node is None or not node.is_list or not node.value:
        return found
    rules = [(rule, _rule(rule, axes, problems)) for rule in node.elements()]
    if any(matches is None for _, matches in rules):
        return found
    kept = {
        labels: place
        for labels, place in found.items()
        if any(matches(labels) for _, matches in rules if matches is not None)
    }
    for rule, matches in rules:
        if found and matches is not None and not any(map(matches, found)):
            problems.add(rule.place, "no cell of the design is like this", got=rule.plain())
    return kept


def _rule(rule: Node, axes: Sequence[Axis], problems: Problems) -> Matches | None:
    """Return whether a combination is meant by `{norm: none, lr: [1e-3, 1e-2]}`; None: it has mistakes."""
    if not rule.is_mapping:
        return None
    positions = {axis.name: i for i, axis in enumerate(axes)}
    wanted: list[tuple[int, frozenset[str]]] = []
    is_known = True
    for name, node in rule.items():
        nodes = node.elements() if node.is_list else (node,)
        labels = [known_label(rule, name, each, axes, problems) for each in nodes if each.is_scalar]
        known = frozenset(label for label in labels if label is not None)
        is_known = is_known and None not in labels and 0 < len(labels) == len(nodes)
        wanted.append((positions.get(name, 0), known))
    return (lambda labels: all(labels[i] in allowed for i, allowed in wanted)) if is_known else None


def _text(labels: Labels) -> str:
    return ", ".join(label for label in labels if label is not None)
