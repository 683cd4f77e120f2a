"""Which combinations of levels a design asks for, in a deterministic order: the first axis varies slowest."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from segbench.config.agreement import check_agreement
from segbench.config.document import Node
from segbench.config.experiment import Axis, Cell
from segbench.config.labels import find_label
from segbench.config.levels import Dimension, apply
from segbench.config.problems import Place, Problems
from segbench.config.resolve import Fields
from segbench.config.trial import Objective, config_hash
from segbench.errors import ExperimentError
from segbench.sizes import size_multiple, size_problem

Labels = tuple[str, ...]
"""One label an axis, in the order of the axes."""


def combinations(document: Node, axes: Sequence[Axis], problems: Problems) -> dict[Labels, Place]:
    """Return the combinations of the design less the excluded ones, each with the place that asks for it."""
    design = document.get("design")
    if design is not None and design.is_mapping:
        found = _listed(design["cells"], axes, problems)
    else:
        place = document.key_place("axes")
        found = dict.fromkeys(itertools.product(*(axis.labels for axis in axes)), place)
    exclude = document.get("exclude")
    if exclude is not None and exclude.is_list:
        for rule in exclude.elements():
            found = _excluded(rule, found, axes, problems)
    return found


def build_cells(
    base: Fields,
    dimensions: Mapping[str, Dimension],
    axes: Sequence[Axis],
    combined: Mapping[Labels, Place],
    objective: Objective,
    problems: Problems,
) -> tuple[Cell, ...]:
    """Resolve every combination; fields that contradict each other in one are a problem."""
    cells: list[Cell] = []
    for labels in combined:
        levels = {axis.name: label for axis, label in zip(axes, labels, strict=True)}
        settings = [dimensions[name].settings[label] for name, label in levels.items()]
        fields = apply(base, settings, problems)
        if fields is None:
            continue
        check_size(fields, base, problems)
        check_agreement(fields, base, problems)
        if not problems:
            config = fields.config(objective)
            cells.append(Cell(levels=levels, config=config, config_hash=config_hash(config)))
    _check_labels(cells, combined, problems)
    return tuple(cells)


def check_size(fields: Fields, base: Fields, problems: Problems) -> None:
    """Record it if the data set's size is no multiple of what the network takes, at what caused it."""
    if "model" not in fields.values or "dataset" not in fields.values:
        return
    model, size_px = fields.values["model"], fields.values["dataset"].knobs.get("size_px")
    if not isinstance(size_px, int):
        return
    place = fields.places["dataset"]
    if place == base.places.get("dataset") and fields.places["model"] != base.places.get("model"):
        place = fields.places["model"]
    try:
        multiple = size_multiple(model.name, model.knobs)
    except ExperimentError as error:
        problems.add_error(place, error)
        return
    text = None if multiple is None else size_problem(str(place), size_px, multiple, model.name)
    if text is not None:
        problems.add_text(place, text)


def _listed(cells: Node, axes: Sequence[Axis], problems: Problems) -> dict[Labels, Place]:
    """Read `cells: [{model: unet, norm: none}]`; an axis that is not named stands at its baseline."""
    found: dict[Labels, Place] = {}
    for cell in cells.elements():
        if not cell.is_mapping:
            continue
        chosen = {axis.name: axis.baseline for axis in axes}
        for name, node in cell.items():
            label = _known_label(cell, name, node, axes, problems)
            if label is not None:
                chosen[name] = label
        labels = tuple(chosen[axis.name] for axis in axes)
        if labels in found:
            problems.add(cell.place, "the design has this cell twice", got=", ".join(labels))
        found.setdefault(labels, cell.place)
    return found


def _excluded(
    rule: Node, found: dict[Labels, Place], axes: Sequence[Axis], problems: Problems
) -> dict[Labels, Place]:
    if not rule.is_mapping:
        return found
    wanted: dict[str, list[str]] = {}
    is_known = True
    for name, node in rule.items():
        nodes = node.elements() if node.is_list else (node,)
        labels = [_known_label(rule, name, each, axes, problems) for each in nodes if each.is_scalar]
        is_known = is_known and None not in labels and 0 < len(labels) == len(nodes)
        wanted[name] = [label for label in labels if label is not None]
    if not is_known:
        return found
    positions = {axis.name: i for i, axis in enumerate(axes)}

    def matches(labels: Labels) -> bool:
        return all(labels[positions[name]] in allowed for name, allowed in wanted.items())

    kept = {labels: place for labels, place in found.items() if not matches(labels)}
    if len(kept) == len(found):
        problems.add(rule.place, "no cell is excluded by this", got=rule.plain())
    if not kept and found:
        problems.add(rule.place, "every cell is excluded", got=rule.plain())
        return found
    return kept


def _known_label(holder: Node, name: str, node: Node, axes: Sequence[Axis], problems: Problems) -> str | None:
    axis = next((axis for axis in axes if axis.name == name), None)
    if axis is None:
        names = [axis.name for axis in axes]
        problems.add(holder.key_place(name), "there is no such axis", got=name, known=names)
        return None
    label = find_label(node, axis.labels)
    if label is None:
        problems.add(node.place, f"{name} has no level of this label", got=node.text, known=axis.labels)
    return label


def _check_labels(cells: Sequence[Cell], combined: Mapping[Labels, Place], problems: Problems) -> None:
    """Refuse two cells of one name: labels with commas can make it so, and reports tell cells by it."""
    places = {", ".join(labels): place for labels, place in combined.items()}
    seen: set[str] = set()
    for cell in cells:
        if cell.label in seen:
            problems.add(places[cell.label], "two cells have one name", got=cell.label, see="Change a label")
        seen.add(cell.label)
