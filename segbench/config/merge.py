"""Several documents in, one out: `extends`, `scales` and `--set`, still as nodes with their places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from segbench import registry
from segbench.config.axes import LEAVE_ONE_OUT, label_of, spell_out
from segbench.config.document import Node, Place, Problems, parse, read_document
from segbench.config.trial import DECLARED, FIELDS
from segbench.errors import ExperimentError, message


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
    scales = document.get("scales")
    if scales is not None and scales.is_mapping:
        for name, scale in scales.items():
            if scale.is_mapping:
                scales = scales.having(name, label_levels(scale, problems), scales.key_place(name))
        document = document.having("scales", scales, document.key_place("scales"))
    return document


def extend(parent: Node, child: Node, problems: Problems) -> Node:
    """Lay a child over its parent: baseline fields replace, levels add to axes, other keys replace."""
    merged = parent
    for key, value in child.items():
        place = child.key_place(key)
        above = parent.get(key)
        if key in ("baseline", "axes") and above is not None and above.is_mapping and value.is_mapping:
            for name, inner in value.items():
                if key == "axes" and name in above:
                    inner = _extended_axis(name, above[name], inner, problems)
                above = above.having(name, inner, value.key_place(name))
            value = above
        merged = merged.having(key, value, place)
    if "search" in child and "axes" not in child:
        merged = merged.without("axes", "design", "only", "exclude", "tune")
    elif "axes" in child and "search" not in child:
        merged = merged.without("search")
    return merged


def apply_scale(document: Node, scale: str, problems: Problems) -> Node:
    """Lay a scale over a document: baseline field by field, an axis or another key whole."""
    scales = document.get("scales")
    body = scales.get(scale) if scales is not None else None
    if body is None or not body.is_mapping:
        return document
    for key, value in body.items():
        above = document.get(key)
        if key in ("baseline", "axes") and above is not None and above.is_mapping and value.is_mapping:
            for name, inner in value.items():
                above = above.having(name, inner, value.key_place(name))
            value = above
        document = document.having(key, value, body.key_place(key))
    return document


def apply_overrides(
    document: Node, overrides: Sequence[str], problems: Problems
) -> tuple[Node, dict[str, Any]]:
    """Apply `--set key.path=value`.

    Returns:
        The document, and target -> value of what was set.
    """
    applied: dict[str, Any] = {}
    for text in overrides:
        place = Place(f"--set {text}")
        target, equals, written = text.partition("=")
        target = target.strip()
        if not equals or not target:
            problems.add(place, "write --set KEY=VALUE, such as --set epochs=10")
            continue
        try:
            value = parse(written, str(place), problems, is_positioned=False)
        except ExperimentError as error:
            problems.add_error(place, error)
            continue
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
    name, _, inner = target.partition(".")
    if name not in FIELDS:
        see = "`--set` takes a field of the baseline, a knob such as optimizer.lr, or seeds"
        problems.add(place, "there is no such field", got=name, known=[*FIELDS, "seeds"], see=see)
        return None
    if not inner:
        return baseline.having(name, value, place)
    spec = baseline.get(name) or Node.of(DECLARED[name].default, place)
    changed = _set_in_spec(name, spec, inner, value, place, problems)
    return None if changed is None else baseline.having(name, changed, baseline.key_place(name))


def _set_in_spec(
    name: str, spec: Node, inner: str, value: Node, place: Place, problems: Problems
) -> Node | None:
    if name == "early_stopping":
        return (spec if spec.is_mapping else Node(place, {})).having(inner, value)
    if name == "loss" and "." in inner:
        term, _, knob = inner.rpartition(".")
        terms = (
            spec if spec.is_mapping else Node(spec.place, {}).having(str(spec.value), Node.of(1, spec.place))
        )
        if term not in terms:
            problems.add(place, "the loss has no term of this name", got=term, known=terms.value)
            return None
        body = terms[term]
        if not body.is_mapping:
            body = Node(body.place, {}).having("weight", body)
        return terms.having(term, body.having(knob, value), terms.key_place(term))
    if name == "loss":
        problems.add(place, "write loss.TERM.KNOB", got=f"loss.{inner}")
        return None
    if spec.is_scalar and isinstance(spec.value, str):
        return Node(spec.place, {}).having(spec.value, Node(spec.place, {}).having(inner, value))
    if spec.is_mapping and len(spec.value) == 1:
        chosen, body = next(spec.items())
        if not body.is_mapping:
            first = _first_knob(name, chosen)
            body = Node(body.place, {}) if first is None else Node(body.place, {}).having(first, body)
        return spec.having(chosen, body.having(inner, value), spec.key_place(chosen))
    problems.add(place, f"{name} has no knobs", got=f"{name}.{inner}")
    return None


def _first_knob(axis: str, name: str) -> str | None:
    try:
        return next(iter(registry.find(axis, name).knobs), None)
    except ExperimentError:
        return None  # recorded when the spec is resolved
