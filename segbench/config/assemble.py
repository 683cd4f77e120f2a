"""From a file to an experiment: what it extends, its scale and `--set` merged, checked and resolved.

`read_merged`, `apply_scale` and `apply_overrides` make one document of several, as nodes that keep their
places. `assemble` checks the document and builds the experiment: seeds and looks, the baseline, axes, the
cells of the design, claims, a search or a tuning. Everything that is wrong is reported at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from segbench.config import schema
from segbench.config.axes import (
    LEAVE_ONE_OUT,
    Applier,
    Dimension,
    base_of,
    check_writers,
    finish,
    is_conditional,
    label_of,
    read_conditions,
    read_dimensions,
    spell_out,
)
from segbench.config.claims import check_estimable, read_claims
from segbench.config.designs import Combined, Labels, read_design
from segbench.config.document import Node, Place, Problems, read_assignments, read_document
from segbench.config.expand import num_folds
from segbench.config.experiment import Axis, Cell, Claim, Design, Experiment
from segbench.config.pairing import Pairing
from segbench.config.project import Project
from segbench.config.resolve import (
    Fields,
    check_agreement,
    resolve_baseline,
    resolve_field,
    with_knob,
)
from segbench.config.schema import check_structure
from segbench.config.searches import read_search, read_tune
from segbench.config.slurm import read_slurm
from segbench.config.trial import DECLARED, FIELDS, Hasher, Objective, Target
from segbench.errors import ExperimentError, message
from segbench.quantities import IMAGE_METRICS, TEST_METRICS, VAL_METRICS, is_lower_better

# Several documents in, one out.


def read_merged(path: Path, problems: Problems, *, shown: Callable[[Path], str]) -> tuple[Node, list[Path]]:
    """Read a file and what it extends.

    Args:
        path: The file.
        problems: Takes what is wrong.
        shown: Writes a path as messages call it.

    Returns:
        The document, without `extends` and with every list of levels turned into a mapping by label; and the
        files read.

    Raises:
        ExperimentError: A file cannot be read, or extends itself.
    """
    files: list[Path] = []

    def read(file: Path, said: Place | None) -> Node:
        if file in files:
            raise ExperimentError(message(str(said), "a file must not extend itself", got=file.name))
        if said is not None and not file.is_file():
            known = [p.name for p in sorted(file.parent.glob("*.yaml"))]
            raise ExperimentError(
                message(str(said), "there is no file to extend", got=file.name, known=known)
            )
        files.append(file)
        document = label_levels(read_document(file, problems, shown=shown(file)), problems)
        parent = document.get("extends")
        if parent is None:
            return document
        if not isinstance(parent.value, str):
            problems.add(parent.place, "extends must be the path of an experiment file", got=parent.plain())
            return document.without("extends")
        name = parent.value if parent.value.endswith((".yaml", ".yml")) else f"{parent.value}.yaml"
        return extend(read((file.parent / name).resolve(), parent.place), document, problems).without(
            "extends"
        )

    return read(path.resolve(), None), files


def label_levels(document: Node, problems: Problems) -> Node:
    """Turn every list of levels (of axes, of spaces, in scales) into a mapping by label."""
    for outer, inner in (("axes", None), ("search", "space"), ("tune", "space")):
        section = document.get(outer)
        target = section.get(inner) if section is not None and inner else section
        if section is None or target is None or not target.is_mapping:
            continue
        for name, axis in target.items():
            axis = _labelled(axis, problems)
            if outer == "axes" and axis.is_mapping and LEAVE_ONE_OUT in axis:
                axis = spell_out(name, axis, problems)
            target = target.having(name, axis, target.key_place(name))
        section = section.having(inner, target, section.key_place(inner)) if inner else target
        document = document.having(outer, section, document.key_place(outer))
    for name, scale in document.entries("scales"):
        if scale.is_mapping:
            scales = document["scales"]
            scales = scales.having(name, label_levels(scale, problems), scales.key_place(name))
            document = document.having("scales", scales, document.key_place("scales"))
    return document


def extend(parent: Node, child: Node, problems: Problems) -> Node:
    """Lay a child over its parent: baseline fields replace, levels add to axes, other keys replace."""
    merged = _laid_over(parent, child, lambda name, old, new: _extended_axis(name, old, new, problems))
    if "search" in child and "axes" not in child:
        merged = merged.without("axes", "design", "only", "exclude", "tune")
    elif "axes" in child and "search" not in child:
        merged = merged.without("search")
    return merged


def apply_scale(document: Node, scale: str, problems: Problems) -> Node:
    """Lay a scale over a document: baseline field by field, an axis or another key whole."""
    body = dict(document.entries("scales")).get(scale)
    return document if body is None or not body.is_mapping else _laid_over(document, body)


def _laid_over(
    document: Node, other: Node, merge_axes: Callable[[str, Node, Node], Node] = lambda name, old, new: new
) -> Node:
    """Lay another document over one: baseline and axes entry by entry, any other key whole."""
    for key, value in other.items():
        above = document.get(key)
        if key in ("baseline", "axes") and above is not None and above.is_mapping and value.is_mapping:
            for name, inner in value.items():
                if key == "axes" and name in above:
                    inner = merge_axes(name, above[name], inner)
                above = above.having(name, inner, value.key_place(name))
            value = above
        document = document.having(key, value, other.key_place(key))
    return document


def apply_overrides(
    document: Node, overrides: Sequence[str], problems: Problems
) -> tuple[Node, dict[str, Any]]:
    """Apply `--set key.path=value`.

    Returns:
        The document, and target -> value of what was set.
    """
    applied: dict[str, Any] = {}
    for place, target, value in read_assignments("--set", overrides, "epochs=10", problems):
        baseline = document.get("baseline")
        changed: Node | None
        if target == "seeds":
            changed = document.having("seeds", value, place)
        elif baseline is None or not baseline.is_mapping:
            continue
        else:
            fields = _set(baseline, target, value, place, problems)
            changed = None if fields is None else document.having("baseline", fields)
        if changed is not None:
            document = changed
            applied[target] = value.plain()
    return document, applied


def _labelled(axis: Node, problems: Problems) -> Node:
    levels = axis if axis.is_list else axis.get("levels")
    if levels is None or not levels.value or not levels.is_list:
        return axis
    by_label = Node(levels.place, {})
    for level in levels.elements():
        label = label_of(level)
        if label in by_label:
            see = "Give the levels as a mapping: {levels: {label: value}}"
            problems.add(level.place, "two levels have one label", got=label, see=see)
            continue
        by_label = by_label.having(label, level)
    if axis.is_list:
        return Node(axis.place, {}).having("levels", by_label, axis.place)
    return axis.having("levels", by_label, axis.key_place("levels"))


def _extended_axis(name: str, parent: Node, child: Node, problems: Problems) -> Node:
    if not (parent.is_mapping and child.is_mapping):
        return child
    for key, value in child.items():
        place = child.key_place(key)
        if key == "levels" and value.is_mapping and "levels" in parent and parent["levels"].is_mapping:
            levels = parent["levels"]
            for label, level in value.items():
                if label in levels:
                    rule = f"the extended file has this level of {name} already"
                    problems.add(value.key_place(label), rule, got=label)
                levels = levels.having(label, level, value.key_place(label))
            value = levels
        elif key == "path" and key in parent and parent[key].plain() != value.plain():
            rule = f"the extended file gives {name} the path {parent[key].plain()}"
            problems.add(value.place, rule, got=value.plain())
        parent = parent.having(key, value, place)
    return parent


def _set(baseline: Node, target: str, value: Node, place: Place, problems: Problems) -> Node | None:
    """Set a field, or a knob inside a field's spec."""
    name, *inside = Target.of(target)
    if name not in FIELDS:
        see = "`--set` takes a field of the baseline, a knob such as optimizer.lr, or seeds"
        problems.add(place, "there is no such field", got=name, known=[*FIELDS, "seeds"], see=see)
        return None
    if not any(inside):
        return baseline.having(name, value, place)
    spec = baseline.get(name) or Node.of(DECLARED[name].default, place)
    changed = with_knob(spec, target, value, place, problems)
    return None if changed is None else baseline.having(name, changed, baseline.key_place(name))


# `seeds:` as a count, a list, or looks: numbers of seeds at which the claims are judged.


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
    if given is None:
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
    levels = [axis.get("levels") for _, axis in document.entries("axes")]
    if not any(each is not None and len(each.value) > 1 for each in levels):
        rule = "looks need an axis with two levels or more: there is nothing to judge at them"
        problems.add(place, rule)


# Combinations of levels to resolved cells.


def build_cells(
    base: Fields,
    dimensions: Mapping[str, Dimension],
    axes: Sequence[Axis],
    combined: Mapping[Labels, Place],
    objective: Objective,
    problems: Problems,
) -> tuple[Cell, ...]:
    """Resolve every combination; fields that contradict each other in one are a problem."""
    names = [axis.name for axis in axes]
    applier, hasher = Applier(base, problems), Hasher()
    cells: list[Cell] = []
    for labels in combined:
        levels = {name: label for name, label in zip(names, labels, strict=True) if label is not None}
        settings = [dimensions[name].settings[label] for name, label in levels.items()]
        fields = applier.apply(settings)
        if fields is None:
            continue
        applier.check(fields)
        if not problems:
            config = fields.config(objective)
            cells.append(Cell(levels=levels, config=config, config_hash=hasher.config_hash(config)))
    _check_labels(cells, combined, problems)
    return tuple(cells)


def _check_labels(cells: Sequence[Cell], combined: Mapping[Labels, Place], problems: Problems) -> None:
    """Refuse two cells of one name: labels with commas can make it so, and reports tell cells by it."""
    seen: set[str] = set()
    for cell in cells:
        if cell.label in seen:
            places = {
                ", ".join(x for x in labels if x is not None): place for labels, place in combined.items()
            }
            problems.add(places[cell.label], "two cells have one name", got=cell.label, see="Change a label")
        seen.add(cell.label)


# From a merged document to an experiment: everything checked, everything wrong reported at once.


def assemble(
    document: Node,
    problems: Problems,
    *,
    name: str,
    project: Project,
    source: Path,
    overrides: Mapping[str, Any],
) -> Experiment:
    """Check a merged document and build the experiment.

    Raises:
        ExperimentError: With everything wrong with it, together with what `problems` holds already.
    """
    written = document
    document = check_structure(document, problems)
    _check_scales(document, problems)
    objective = _objective(document, problems)
    outcome = _outcome(document, problems)
    base = resolve_baseline(document.get("baseline") or Node(document.place, {}), problems)
    check_agreement(base, base, problems)
    seeds, looks = read_seeds(document, problems)
    axes_node = document.get("axes") or Node(document.place, {})
    _check_search_alone(document, problems)
    dimensions = read_dimensions(axes_node, problems)
    _check_overrides(overrides, dimensions, problems)
    by_name = {dimension.name: dimension for dimension in dimensions}
    axes = _finished(axes_node, dimensions, base, problems)
    is_whole = _has_all(written, "axes", by_name) and ("design" in document or "design" not in written)
    is_whole = is_whole and all(bool(axis.when) == is_conditional(axes_node[axis.name]) for axis in axes)
    combined = read_design(document, axes, problems) if is_whole else Combined({}, Design())
    cells = build_cells(base, by_name, axes, combined.cells, objective, problems)
    margin, expected_sd = _number(document, "margin"), _number(document, "expected_seed_sd")
    unread = [name for name, _ in written.entries("axes") if name not in by_name]
    subgroups = _subgroups(document, outcome, problems)
    claims: tuple[Claim, ...] = ()
    if "claims" in document:
        claims = read_claims(
            document["claims"],
            axes,
            problems,
            outcome=outcome,
            has_margin="margin" in written and written["margin"].value is not None,
            subgroups=subgroups,
            unread=unread,
        )
        if not problems:
            pairing = Pairing.of_design(axes, combined.design)
            check_estimable(document["claims"], claims, cells, pairing, combined.design, problems)
    search = tune = None
    if "search" in document:
        search = read_search(document["search"], base, problems, name=name)
    elif "tune" in document:
        tune = read_tune(
            document["tune"],
            base,
            cells,
            dimensions,
            axes,
            seeds=seeds,
            overrides=overrides,
            problems=problems,
        )
    slurm = read_slurm(document.get("slurm"), problems)
    problems.raise_any()
    baseline = base.config(objective)
    return Experiment(
        name=name,
        question=str(document["question"].value).strip(),
        project=project,
        source=source,
        document=_recorded(written).plain(),
        baseline=baseline,
        axes=axes,
        cells=() if search is not None else cells,
        seeds=seeds,
        num_folds=max((num_folds(cell.config) for cell in cells), default=num_folds(baseline)),
        margin=margin,
        expected_seed_sd=expected_sd,
        outcome=outcome,
        claims=claims,
        subgroups=subgroups,
        search=search,
        slurm=slurm,
        design=combined.design,
        looks=looks,
        tune=tune,
        allow_flawed="allow_flawed" in document and document["allow_flawed"].value is True,
        overrides=dict(overrides),
    )


def _number(document: Node, key: str) -> float | None:
    return float(document[key].value) if key in document else None


def _finished(axes: Node, dimensions: list[Dimension], base: Fields, problems: Problems) -> tuple[Axis, ...]:
    """Find the baseline of every axis; a conditional one starts from where its condition holds."""
    by_name = {dimension.name: dimension for dimension in dimensions}
    conditions = read_conditions(axes, by_name, problems)
    check_writers(dimensions, conditions, problems)
    found = []
    for dimension in dimensions:
        name, when = dimension.name, conditions.get(dimension.name)
        # Where a condition has mistakes, what its levels do to the plain baseline tells nothing.
        told = Problems() if when is None and is_conditional(axes[name]) else problems
        start = base_of(name, base, conditions, by_name, told)
        found.append(finish(dimension, start, told, None if when is None else when.labels))
    return tuple(found)


def _has_all(written: Node, key: str, read: Mapping[str, Dimension]) -> bool:
    """Whether every entry of a section passed the check of the structure."""
    section = written.get(key)
    return section is None or (section.is_mapping and set(section.value) == set(read))


def _objective(document: Node, problems: Problems) -> Objective:
    node = document.get("objective")
    if node is None:
        return Objective()
    metric, direction = node.get("metric"), node.get("direction")
    name = "val_dice" if metric is None else str(metric.value)
    if metric is not None and name not in VAL_METRICS:
        if name in TEST_METRICS:
            twin = f"val_{name.removeprefix('test_').removesuffix('_last')}"
            rule = "weights and searches must not be selected by the images that judge them"
            twin = twin if twin in VAL_METRICS else "val_dice"
            see = f"Select by {twin}; test images are looked at once (SB117)"
            problems.add(metric.place, rule, got=name, see=see)
        else:
            rule = "the objective must be a validation metric"
            problems.add(metric.place, rule, got=name, known=VAL_METRICS)
    best = "minimize" if is_lower_better(name) else "maximize"
    if direction is not None and direction.value != best:
        problems.add(direction.place, f"{name} is to {best}", got=direction.value)
    return Objective(name, best)


def _outcome(document: Node, problems: Problems) -> str:
    node = document.get("outcome")
    if node is None:
        return "test_dice"
    if node.value not in TEST_METRICS:
        problems.add(node.place, "the outcome must be a test metric", got=node.value, known=TEST_METRICS)
    return str(node.value)


def _check_scales(document: Node, problems: Problems) -> None:
    """Check the fields of every scale, asked for or not."""
    for _, scale in document.entries("scales"):
        for name, node in scale.entries("baseline"):
            if name in FIELDS:
                resolve_field(name, node, problems)
            else:
                place = scale["baseline"].key_place(name)
                problems.add(place, "there is no such key", got=name, known=FIELDS)


def _subgroups(document: Node, outcome: str, problems: Problems) -> tuple[str, ...]:
    found: list[str] = []
    if document.listed("subgroups") and outcome in TEST_METRICS and outcome not in IMAGE_METRICS:
        rule = "sub-groups need an outcome with values per test image"
        problems.add(document["subgroups"].place, rule, got=outcome, known=IMAGE_METRICS)
    for each in document.listed("subgroups"):
        if each.text in found:
            problems.add(each.place, "a sub-group is listed twice", got=each.text)
        found.append(each.text)
    return tuple(dict.fromkeys(found))


def _check_search_alone(document: Node, problems: Problems) -> None:
    if "search" in document:
        for key in ("axes", "design", "only", "exclude", "claims", "tune"):
            if key in document:
                problems.add(document.key_place(key), f"`{key}` and `search` exclude each other")


def _check_overrides(overrides: Mapping[str, Any], dimensions: list[Dimension], problems: Problems) -> None:
    """Refuse `--set` on what an axis varies: the axis would undo it."""
    for target in overrides:
        field = Target.of(target).field
        for dimension in dimensions:
            if target in dimension.targets or field in dimension.targets:
                place = dimension.place
                rule = f"the axis {dimension.name} varies this, so `--set` must not set it"
                problems.add(place, rule, got=target)


def _recorded(written: Node) -> Node:
    """Return the document as results keep it: without scales and Slurm, and with labels as text, also
    `1e-3`."""

    def as_text(node: Node) -> Node:
        if node.is_list:
            return replace(node, value=tuple(as_text(each) for each in node.elements()))
        if node.is_mapping:
            return replace(node, value={key: as_text(value) for key, value in node.items()})
        return node if node.value is None else replace(node, value=node.text)

    def with_text(node: Node, *keys: str) -> Node:
        for key in keys:
            if key in node:
                node = node.having(key, as_text(node[key]), node.key_place(key))
        return node

    def design_as_text(node: Node) -> Node:
        if not node.is_mapping:
            return as_text(node)
        parts = {}
        for key, value in node.items():
            if key == "union" and value.is_list:
                value = replace(value, value=tuple(map(design_as_text, value.elements())))
            elif key != "fractional":
                value = as_text(value)
            parts[key] = value
        return replace(node, value=parts)

    written = with_text(written.without("scales", "slurm"), "only", "exclude")
    if "design" in written:
        written = written.having("design", design_as_text(written["design"]), written.key_place("design"))
    if "claims" in written:
        claims = tuple(with_text(claim, "at") for claim in written["claims"].elements())
        written = written.having("claims", replace(written["claims"], value=claims))
    if "axes" in written:
        axes = {name: with_text(axis, "baseline", "when") for name, axis in written["axes"].items()}
        written = written.having("axes", replace(written["axes"], value=axes))
    return written
