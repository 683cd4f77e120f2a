"""Specs to choices: variants found, knobs checked against their signatures, every default written out.

The registry reads annotations as source text; here the text is evaluated in a small namespace and handed to
pydantic, strictly: a count never accepts `true`, only a whole number may stand for a float. A canonical value
is what JSON gives back: lists, not tuples; `1` for a float knob is `1.0`; `-0.0` is `0.0`. `set_path` sets a
knob in what is resolved, `with_knob` in what a file writes; `check_agreement` finds fields that contradict
each other.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import annotated_types
from pydantic import TypeAdapter, ValidationError

from segbench import registry
from segbench.config.document import Node, Place, Problems
from segbench.config.schema import INVALID, check_field, rule_of
from segbench.config.trial import (
    DECLARED,
    FIELDS,
    VARIANT_FIELDS,
    Choice,
    EarlyStopping,
    Objective,
    Target,
    TrialConfig,
    declared,
    plain,
)
from segbench.errors import ExperimentError, message
from segbench.registry import REQUIRED, Knob, Variant
from segbench.sizes import size_multiple, size_problem

T = TypeVar("T")

NAMESPACE: Final[dict[str, Any]] = {
    "Annotated": Annotated,
    "Any": Any,
    "Literal": Literal,
    **{
        name: getattr(annotated_types, name)
        for name in ("Ge", "Gt", "Interval", "Le", "Len", "Lt", "MaxLen", "MinLen", "MultipleOf")
    },
    **{kind.__name__: kind for kind in (bool, dict, float, int, list, str, tuple)},
}
"""What an annotation may be written with."""


class UnreadableAnnotation(Exception):
    """An annotation uses a name outside `NAMESPACE`."""


@cache
def type_of(annotation: str) -> Any:
    """Evaluate an annotation's source text.

    Raises:
        UnreadableAnnotation: It uses another name.
    """
    try:
        found = eval(annotation, {"__builtins__": {}}, dict(NAMESPACE))
    except Exception as error:
        raise UnreadableAnnotation(f"{annotation}: {error}") from error
    return type_of(found) if isinstance(found, str) else found


@cache
def _adapter(annotation: str) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(type_of(annotation))
    except UnreadableAnnotation:  # a user's own type: the factory itself has to check
        return TypeAdapter(Any)


def check_knob(knob: Knob, node: Node, problems: Problems) -> Any:
    """Return the canonical value of a knob, or `INVALID` after recording what is wrong with it."""
    value = node.plain()
    if not _is_finite(value):
        problems.add(node.place, f"{knob.name} must be finite", got=value)
        return INVALID
    try:
        # JSON mode: a list may stand for a tuple, and nothing else is converted.
        return canonical(_adapter(knob.annotation).validate_json(json.dumps(value), strict=True))
    except ValidationError as error:
        rule, known = rule_of(error.errors(include_url=False))
        problems.add(node.place, f"{knob.name} {rule}", got=value, known=known)
    return INVALID


def canonical_default(knob: Knob) -> Any:
    """Return a knob's default in canonical form; a default outside its own annotation stays as it is."""
    try:
        return canonical(_adapter(knob.annotation).validate_json(json.dumps(knob.default), strict=True))
    except (ValidationError, TypeError, ValueError):
        return canonical(knob.default)


def canonical(value: Any) -> Any:
    """Return the value as JSON would give it back, with one form for zero."""
    if isinstance(value, dict):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return 0.0 if isinstance(value, float) and value == 0 else value


def _is_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


# Fields and variants.


WEIGHT: Final = Knob(name="weight", annotation="float", default=1.0, help="Factor of the term in the sum.")
"""Every loss term has this knob beside its variant's own."""


@dataclass(frozen=True)
class Fields:
    """A configuration on its way: resolved fields, and the place that each was last set at.

    A field that a problem was recorded about is absent, so that the rest can still be checked.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)

    def having(self, name: str, value: Any, place: Place) -> Fields:
        return replace(self, values={**self.values, name: value}, places={**self.places, name: place})

    def config(self, objective: Objective) -> TrialConfig:
        """Return the complete configuration; every field must be there."""
        return TrialConfig(**self.values, objective=objective)


def resolve_choice(axis: str, spec: Any, where: str = "spec") -> Choice:
    """Resolve one variant's spec: a name, `{name: {knob: value}}`, `{name: scalar}` or an import path.

    Args:
        axis: Any axis but `loss` (see `resolve_loss`).
        spec: The spec as it would stand in a file.
        where: What messages call the place.

    Raises:
        ExperimentError: With everything wrong with the spec.
    """
    problems = Problems()
    return _sound(choice(axis, Node.of(spec, Place(where)), problems), problems)


def resolve_loss(spec: Any, where: str = "spec") -> tuple[Choice, ...]:
    """Resolve the terms of a loss: `{bce: 1, dice: {weight: 1, smooth: 1e-6}}`, or one term's name.

    Raises:
        ExperimentError: With everything wrong with the spec.
    """
    problems = Problems()
    return _sound(loss_terms(Node.of(spec, Place(where)), problems), problems)


def _sound(found: T | None, problems: Problems) -> T:
    if found is None or problems:
        problems.raise_all()
    return found


def resolve_field(name: str, node: Node, problems: Problems) -> Any:
    """Resolve the value of one field; `INVALID` after recording what is wrong with it."""
    if name == "loss":
        found: Any = loss_terms(node, problems)
    elif name == "augment" and node.is_list:
        found = _transforms(node, problems)
    elif name in VARIANT_FIELDS:
        found = choice(name, node, problems)
    else:
        return _plain_field(name, node, problems)
    return INVALID if found is None else found


def resolve_baseline(baseline: Node, problems: Problems) -> Fields:
    """Resolve every field that stands in `baseline:`, and the defaults of the others."""
    fields = Fields()
    for name in FIELDS:
        node = baseline.get(name)
        if node is None:
            default = DECLARED[name].default
            if default is REQUIRED:
                continue  # its lack is recorded already
            node = Node.of(default, baseline.place)
        value = resolve_field(name, node, problems)
        if value is not INVALID:
            fields = fields.having(name, value, node.place)
    return fields


def choice(axis: str, node: Node, problems: Problems) -> Choice | None:
    """Resolve one variant's spec, or None after recording what is wrong with it."""
    named = _name_and_body(axis, node, problems)
    if named is None:
        return None
    name, body = named
    variant = find_variant(axis, name, node.key_place(name), problems)
    if variant is None:
        return None
    base = variant.preset_of or variant.name
    if axis == "augment" and base == "transforms":
        steps = body.get("steps") if body.is_mapping else None
        if steps is None and variant.preset_of is not None:
            steps = Node.of(variant.knobs["steps"].default, Place(f"{variant.file}:{variant.line}"))
        if steps is not None:
            return _transforms(steps, problems)
    if not _is_sound_preset(variant, problems):
        return None
    knobs = _knobs(variant, body, problems)
    return None if knobs is None else Choice(base, knobs)


def loss_terms(node: Node, problems: Problems) -> tuple[Choice, ...] | None:
    """Resolve the terms of a loss, sorted by name: the order of adding floats is part of the result."""
    if node.is_scalar and isinstance(node.value, str):
        entries = [(node.value, node.place, Node(node.place, 1, text="1"))]
    elif node.is_mapping and node.value:
        entries = [(name, node.key_place(name), body) for name, body in node.items()]
    else:
        rule = "loss must be a term's name or a mapping of terms such as {bce: 1, dice: 1}"
        problems.add(node.place, rule, got=node.plain())
        return None
    terms = [_loss_term(name, place, body, problems) for name, place, body in entries]
    found = [term for term in terms if term is not None]
    if len(found) < len(terms):
        return None
    for number, term in enumerate(found):
        if term.name in [other.name for other in found[:number]]:
            name, place, _ = entries[number]
            problems.add(place, f"the loss has another term {term.name} already", got=name)
            return None
    return tuple(sorted(found, key=lambda term: term.name))


def find_variant(axis: str, name: str, place: Place, problems: Problems) -> Variant | None:
    """Return a variant by name or import path, or None after recording that there is none."""
    try:
        return registry.find(axis, name)
    except ExperimentError as error:
        problems.add_error(place, error, where=axis)
    return None


def set_path(fields: Fields, path: str, place: Place, node: Node, problems: Problems) -> Fields | None:
    """Set a knob (`optimizer.lr`, `loss.tversky.alpha`) in a resolved configuration.

    Args:
        fields: The configuration.
        path: The knob's path.
        place: Where the path stands.
        node: The value.
        problems: Takes what is wrong.

    Returns:
        The changed configuration, or None where that is impossible.
    """
    name = Target.of(path).field
    if name not in fields.values:
        return None  # its own problem is recorded already
    spec = _written(name, fields.values[name], fields.places.get(name, place))
    changed = with_knob(spec, path, node, place, problems)
    value = INVALID if changed is None else resolve_field(name, changed, problems)
    return None if value is INVALID else fields.having(name, value, node.place)


def with_knob(spec: Node, path: str, value: Node, place: Place, problems: Problems) -> Node | None:
    """Return a field's value as a file writes it with one knob set; whether the field takes it shows later.

    Args:
        spec: The field's value: a variant's name, `{name: knobs}`, `{name: value of its first knob}`, terms
            of a loss, or a mapping.
        path: The knob's path, with the field in front.
        value: The knob's.
        place: Where the path stands.
        problems: Takes why there is no place for a knob.
    """
    field, term, knob = Target.of(path)
    if field == "early_stopping":
        if knob not in (known := declared(EarlyStopping)):
            problems.add(place, "early_stopping has no such key", got=knob, known=known)
            return None
        return (spec if spec.is_mapping else Node(value.place, {})).having(knob, value, place)
    if field not in VARIANT_FIELDS:
        problems.add(place, f"{field} has no knobs", got=path)
        return None
    if spec.is_scalar and isinstance(spec.value, str):
        weight = {"weight": 1} if field == "loss" else {}
        spec = Node(spec.place, {}).having(spec.value, Node.of(weight, spec.place))
    chosen = term
    if field != "loss":
        chosen = next(iter(spec.value)) if spec.is_mapping and len(spec.value) == 1 else ""
    if chosen not in spec:
        if field != "loss":
            problems.add(place, f"{field} has no knobs", got=path)
        else:
            rule = "the loss has no term of this name" if term else "write loss.TERM.KNOB"
            problems.add(place, rule, got=term or path, known=spec.value if spec.is_mapping else ())
        return None
    body = spec[chosen]
    if not body.is_mapping:
        first = "weight" if field == "loss" else _first_knob(field, chosen)
        body = Node(body.place, {} if first is None else {first: body})
    return spec.having(chosen, body.having(knob, value, place), spec.key_place(chosen))


def _first_knob(axis: str, name: str) -> str | None:
    try:
        return next(iter(registry.find(axis, name).knobs), None)
    except ExperimentError:
        return None  # recorded when the spec is resolved


def _plain_field(name: str, node: Node, problems: Problems) -> Any:
    value = check_field(name, node, problems)
    if value is INVALID:
        return value
    if name == "early_stopping":
        return None if value is None else EarlyStopping(value.patience, canonical(value.min_delta))
    if name == "engine" and value != "segbench":
        try:
            registry.find("engine", value if ":" in value else f"{value}:")
        except ExperimentError as error:
            problems.add_error(node.place, error, where="engine")
            return INVALID
    return canonical(value)


def _name_and_body(axis: str, node: Node, problems: Problems) -> tuple[str, Node] | None:
    if node.is_scalar and isinstance(node.value, str):
        return node.value, Node(node.place, {})
    if node.is_mapping and len(node.value) == 1:
        return next(node.items())
    if node.is_mapping and node.value:
        rule = f"{axis} must be one variant; indent its knobs under its name"
        problems.add(node.place, rule, got=", ".join(node.value), see=f"segbench list {axis}")
        return None
    rule = f"{axis} must be a variant's name or {{name: {{knob: value}}}}"
    problems.add(node.place, rule, got=node.plain(), see=f"segbench list {axis}")
    return None


def _knobs(variant: Variant, body: Node, problems: Problems) -> dict[str, Any] | None:
    """Return every knob with its value, in the order of the signature."""
    is_term = variant.axis == "loss"
    known = _known(variant)
    what = f"the loss term {variant.name}" if is_term else f"the {variant.axis} {variant.name}"
    body = _spelled_out(known, body, problems, what=what)
    if not body.is_mapping:
        return None
    values: dict[str, Any] = {}
    for name in body.value:
        if name not in known:
            values[name] = INVALID
            see = f"segbench list {variant.axis} {variant.name}"
            rule = f"{what} has no such knob"
            problems.add(body.key_place(name), rule, got=name, known=known, see=see)
    for name, knob in known.items():
        if name in body:
            values[name] = check_knob(knob, body[name], problems)
        elif knob.is_required:
            values[name] = INVALID
            problems.add(body.place, f"{what} needs the knob `{name}`", see=knob.help or None)
        else:
            values[name] = canonical_default(knob)
    return None if INVALID in values.values() else values


def _known(variant: Variant) -> Mapping[str, Knob]:
    """Return what may stand behind a variant's name: its knobs, and the weight of a term of a loss."""
    return {WEIGHT.name: WEIGHT, **variant.knobs} if variant.axis == "loss" else variant.knobs


def _written(name: str, value: Any, place: Place) -> Node:
    """Return a resolved field as a file might write it: defaults are left out, as they need no check."""
    if name not in VARIANT_FIELDS:
        return Node.of(plain(value), place)
    written = {}
    for chosen in value if name == "loss" else (value,):
        known = _known(registry.find(name, chosen.name))
        changed = {k: v for k, v in chosen.knobs.items() if v != canonical_default(known[k])}
        written[chosen.name] = changed
    return Node.of(written, place)


def _is_sound_preset(variant: Variant, problems: Problems) -> bool:
    """Whether the values that a preset chooses are of their knobs' types, recording those that are not."""
    if variant.preset_of is None:
        return True
    place = Place(f"{variant.file}:{variant.line}")
    knobs = [variant.knobs[name] for name in registry.changed_knobs(variant)]
    return INVALID not in [check_knob(knob, Node.of(knob.default, place), problems) for knob in knobs]


def _spelled_out(known: Mapping[str, Knob], body: Node, problems: Problems, *, what: str) -> Node:
    """Turn `{name: scalar}` into the first knob's value, and `{name: }` into no knobs."""
    if body.is_mapping:
        return body
    if body.is_scalar and body.value is None:
        return Node(body.place, {})
    if not known:
        problems.add(body.place, f"{what} has no knobs", got=body.plain())
        return body
    return Node(body.place, {}).having(next(iter(known)), body)


def _loss_term(name: str, place: Place, body: Node, problems: Problems) -> Choice | None:
    variant = find_variant("loss", name, place, problems)
    if variant is None or not _is_sound_preset(variant, problems):
        return None
    if not body.is_mapping and not (body.is_scalar and isinstance(body.value, int | float)):
        rule = f"the loss term {name} must be a weight or a mapping of knobs"
        problems.add(body.place, rule, got=body.plain())
        return None
    knobs = _knobs(variant, body, problems)
    if knobs is None:
        return None
    if knobs["weight"] == 0:
        at = body.get("weight") or body
        problems.add(at.place, "the weight of a loss term must not be zero", got=at.plain())
        return None
    return Choice(variant.preset_of or variant.name, knobs)


def _transforms(node: Node, problems: Problems) -> Choice | None:
    """Resolve a list of albumentations transforms: every argument written out, each with its own place."""
    if not node.is_list:
        problems.add(node.place, "steps must be a list of transforms", got=node.plain())
        return None
    if not node.value:
        problems.add(node.place, "a list of transforms must not be empty", see="Write `augment: none`")
        return None
    # By name, as the registry loads a variant: this layer lies below the axes.
    resolve_steps = importlib.import_module("segbench.axes.augment").resolve_steps
    steps: list[Any] = []
    count = len(problems)
    for element in node.elements():
        try:
            steps += resolve_steps([element.plain()], str(element.place))
        except ExperimentError as error:
            for text in error.problems:  # the only element needs no number
                problems.add_text(element.place, text.replace(f"{element.place}[0]", str(element.place), 1))
    return None if len(problems) > count else Choice("transforms", {"steps": canonical(steps)})


def import_files(config: TrialConfig) -> list[Path]:
    """Return the source files of variants that a configuration takes from import paths."""
    found = [registry.find(axis, c.name) for axis, c in config.choices() if ":" in c.name]
    if config.engine != "segbench":
        found.append(registry.find("engine", config.engine))
    return [variant.file for variant in found]


# What fields ask of each other.


def check_agreement(fields: Fields, base: Fields, problems: Problems) -> None:
    """Record where two fields of a configuration contradict each other, at the one that a level set.

    Args:
        fields: A configuration; fields that are missing have their own problems.
        base: The baseline that it was made from.
        problems: Takes what is wrong.
    """
    values, places = fields.values, fields.places
    for first, second, problem_of in AGREEMENTS:
        if first not in values or second not in values:
            continue
        # The second field is the cause where only that differs from the baseline.
        is_first = places[first] != base.places.get(first) or places[second] == base.places.get(second)
        place = places[first if is_first else second]
        try:
            text = problem_of(str(place), values[first], values[second])
        except ExperimentError as error:
            problems.add_error(place, error)
            continue
        if text is not None:
            problems.add_text(place, text)


def image_size_problem(where: str, dataset: Choice, model: Choice) -> str | None:
    """Return the message for images whose size is no multiple of what the network takes, or None."""
    size_px = dataset.knobs.get("size_px")
    if not isinstance(size_px, int) or (multiple := size_multiple(model.name, model.knobs)) is None:
        return None
    return size_problem(where, size_px, multiple, model.name)


def warmup_problem(where: str, schedule: Choice, epochs: int) -> str | None:
    """Return the message for a warm-up that leaves the schedule no epoch, or None."""
    warmup_epochs = schedule.knobs.get("warmup_epochs", 0)
    if not isinstance(warmup_epochs, int | float) or warmup_epochs < epochs:
        return None
    return message(
        where,
        f"warmup_epochs of {schedule.name} must be fewer than the run's epochs ({epochs})",
        got=warmup_epochs,
        see="Shorten the warm-up, or raise epochs",
    )


def mixing_problem(where: str, mix: Choice, batch_size: int) -> str | None:
    """Return the message for a batch that has nothing to mix, or None."""
    if mix.name == "none" or batch_size > 1:
        return None
    return message(
        where,
        f"{mix.name} needs a batch of at least 2",
        got=batch_size,
        see="Raise batch_size, or write `mix: none`",
    )


AGREEMENTS: Final[tuple[tuple[str, str, Callable[[str, Any, Any], str | None]], ...]] = (
    ("dataset", "model", image_size_problem),
    ("schedule", "epochs", warmup_problem),
    ("mix", "batch_size", mixing_problem),
)
"""Two fields, and what returns the message if they contradict each other."""
