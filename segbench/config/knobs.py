"""Checks the values of knobs against the types in variants' signatures, and makes them canonical.

The registry reads annotations as source text; here the text is evaluated in a small namespace and handed to
pydantic, strictly: a count never accepts `true`, only a whole number may stand for a float. A canonical
value is what JSON gives back: lists, not tuples; `1` for a float knob is `1.0`; `-0.0` is `0.0`.
"""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Annotated, Any, Final, Literal

import annotated_types
from pydantic import TypeAdapter, ValidationError

from segbench.config.document import Node
from segbench.config.problems import Problems
from segbench.config.rules import rule_of
from segbench.registry import Knob

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
    """Return the canonical value of a knob, or None after recording what is wrong with it."""
    value = node.plain()
    if not _is_finite(value):
        problems.add(node.place, f"{knob.name} must be finite", got=value)
        return None
    try:
        # JSON mode: a list may stand for a tuple, and nothing else is converted.
        return canonical(_adapter(knob.annotation).validate_json(json.dumps(value), strict=True))
    except ValidationError as error:
        rule, known = rule_of(error.errors(include_url=False))
        problems.add(node.place, f"{knob.name} {rule}", got=value, known=known)
    return None


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
