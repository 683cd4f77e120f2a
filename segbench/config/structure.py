"""What pydantic found, in the words of segbench's messages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from segbench.config.document import Node, Place, Problems
from segbench.config.schema import SHAPES, Baseline, ExperimentFile, SeedsBody, Stopping

_WANTED: Final = {
    "bool_type": "true or false",
    "date_type": "a date",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of less than 4300 digits",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a mapping",
    "none_required": "null",
    "string_too_short": "text that is not empty",
    "string_type": "text",
    "tuple_type": "a list",
}


def rule_of(errors: Sequence[Any]) -> tuple[str, tuple[str, ...]]:
    """Say in one rule what a value should have been.

    Args:
        errors: pydantic's error details about one value; several where each arm of a union was tried.

    Returns:
        The rule, and the words that would have been right.
    """
    wanted: list[str] = []
    known: list[str] = []
    for error in errors:
        kind, context = error["type"], error.get("ctx", {})
        if kind == "literal_error":
            known += re.findall(r"'([^']*)'", context["expected"]) or [context["expected"]]
            wanted.append("one of the known words")
        elif kind in _WANTED:
            wanted.append(_WANTED[kind])
        elif kind == "greater_than":
            wanted.append(f"greater than {_number(context['gt'])}")
        elif kind == "greater_than_equal":
            wanted.append(f"at least {_number(context['ge'])}")
        elif kind == "less_than":
            wanted.append(f"less than {_number(context['lt'])}")
        elif kind == "less_than_equal":
            wanted.append(f"at most {_number(context['le'])}")
        elif kind == "multiple_of":
            wanted.append(f"a multiple of {_number(context['multiple_of'])}")
        elif kind == "too_short":
            least = context["min_length"]
            wanted.append("not empty" if least == 1 else f"at least {least} long")
        elif kind == "too_long":
            wanted.append(f"at most {context['max_length']} long")
        elif kind == "missing":
            wanted.append("complete (an element is missing)")
        elif kind == "shape":
            wanted.append(error["msg"])
        else:
            wanted.append(error["msg"].removeprefix("Input should be ").lower())
    text = " or ".join(dict.fromkeys(wanted))
    return "must not be empty" if text == "not empty" else f"must be {text}", tuple(dict.fromkeys(known))


def _number(value: Any) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


# Checks a document against the models of `schema`, with every mistake at its place.


def check_structure(document: Node, problems: Problems) -> Node:
    """Record everything wrong with the structure, and return the document less the entries that are wrong."""
    try:
        ExperimentFile.model_validate(document.plain())
    except ValidationError as error:
        grouped: dict[Place, list[Any]] = {}
        broken: list[tuple[str, ...]] = []
        for details in error.errors(include_url=False):
            path, node, rest = _walk(document, details["loc"])
            if details["type"] == "missing" and rest:
                place = document.place if not path else node.place
                problems.add(place, f"the key `{rest[0]}` is missing", see=_MISSING.get(str(rest[0])))
            elif details["type"] == "extra_forbidden":
                _unknown_key(document, path, problems)
            else:
                grouped.setdefault(node.place, []).append((path, node, details))
            broken.append(path)
        for found in grouped.values():
            _add(found, problems)
        for path in broken:
            document = _pruned(document, path)
    return document


def check_field(name: str, node: Node, problems: Problems) -> Any:
    """Return a plain field of the baseline (one that names no variant) checked, or `INVALID`."""
    try:
        return _field_adapter(name).validate_python(node.plain(), strict=True)
    except ValidationError as error:
        rest: list[tuple[tuple[str, ...], Node, Any]] = []
        for details in error.errors(include_url=False):
            path, at, missing = _walk(node, details["loc"])
            if details["type"] == "extra_forbidden":
                problems.add(
                    node.key_place(path[-1]),
                    "there is no such key",
                    got=path[-1],
                    known=Stopping.model_fields,
                )
            elif details["type"] == "missing" and missing:
                problems.add(at.place, f"the key `{missing[0]}` is missing")
            else:
                rest.append((path, at, details))
        for place in dict.fromkeys(at.place for _, at, _ in rest):
            same = [item for item in rest if item[1].place == place]
            rule, known = rule_of([details for _, _, details in same])
            problems.add(place, f"{name} {rule}", got=same[0][1].plain(), known=known)
    return INVALID


INVALID: Final = object()
"""Stands for a value that a problem was recorded about."""

_MISSING: Final = {
    "dataset": "`segbench list dataset` shows the data sets",
    "question": "Say in one sentence what the experiment asks",
    "start": "Seeds that every cell gets before the first look",
    "max": "Seeds that a cell gets at most",
    "baseline": "It needs at least a dataset",
}


_FINITE: Final = ConfigDict(allow_inf_nan=False)


@cache
def _field_adapter(name: str) -> TypeAdapter[Any]:
    info = Baseline.model_fields[name]
    annotation: Any = Annotated[info.annotation, info]
    return TypeAdapter(annotation, config=_FINITE)


def _walk(document: Node, loc: tuple[int | str, ...]) -> tuple[tuple[str, ...], Node, tuple[int | str, ...]]:
    """Follow pydantic's location as far as the document goes; names of union arms in it are skipped."""
    node = document
    path: list[str] = []
    rest: list[int | str] = []
    for part in loc:
        if isinstance(part, int) and node.is_list and part < len(node.value) and not rest:
            node = node.value[part]
            path.append(str(part))
        elif isinstance(part, str) and part in node and not rest:
            node = node[part]
            path.append(part)
        elif part not in SHAPES.values() and part != "nothing" and not _is_arm(part):
            rest.append(part)
    return tuple(path), node, tuple(rest)


def _is_arm(part: int | str) -> bool:
    """Whether a part of a location names a type, as in a plain union."""
    return isinstance(part, str) and (part in ("int", "float", "str", "none", "Stopping") or "[" in part)


def _unknown_key(document: Node, path: tuple[str, ...], problems: Problems) -> None:
    parent = document
    for part in path[:-1]:
        parent = parent.elements()[int(part)] if parent.is_list else parent[part]
    key = path[-1]
    place = parent.key_place(key)
    known = _keys_at(path[:-1])
    see = None
    if len(path) == 1 and key in Baseline.model_fields:
        see = "This field stands under `baseline:`"
    elif len(path) == 1 and key in SeedsBody.model_fields:
        see = "This key stands under `seeds:`"
    elif path[0] == "baseline" and key in ExperimentFile.model_fields:
        see = "This key stands at the top of the file"
    problems.add(place, "there is no such key", got=key, known=known, see=see)


def _keys_at(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys known in the mapping at a path, from the models."""
    annotation: Any = ExperimentFile
    for part in path:
        for model in _models(annotation):
            if part in model.model_fields:
                annotation = model.model_fields[part].annotation
                break
    for model in _models(annotation):
        return tuple(model.model_fields)
    return ()


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models in an annotation, outermost first."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner)


def _add(found: list[tuple[tuple[str, ...], Node, Any]], problems: Problems) -> None:
    path, node, _ = found[0]
    value = node.plain()
    rule, known = rule_of([details for *_, details in found])
    name = next((part for part in reversed(path) if not part.isdigit()), "")
    problems.add(node.place, f"{name} {rule}".strip(), got=value, known=known)


def _pruned(document: Node, path: tuple[str, ...]) -> Node:
    """Take out the smallest entry around a problem that the rest of the file can do without."""
    if not path:
        return document
    head = path[0]
    inner = document.get(head)
    if inner is None:
        return document
    if head == "baseline" and inner.is_mapping and len(path) > 1:
        return document.having(head, inner.without(path[1]), document.key_place(head))
    if head == "axes" and inner.is_mapping and len(path) > 1:
        return document.having(head, inner.without(path[1]), document.key_place(head))
    if head == "search" and inner.is_mapping and len(path) > 1 and path[1] not in ("space", "trials"):
        return document.having(head, inner.without(path[1]), document.key_place(head))
    if head in ("claims", "exclude", "only") and inner.is_list and len(path) > 1:
        return document  # each entry is read on its own
    return document if path == ("baseline",) and inner.is_mapping else document.without(head)
