"""What pydantic found, in the words of segbench's messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

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
