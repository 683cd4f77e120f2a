"""Types and shapes that the models of an experiment file share."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PlainValidator, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

SHAPES: Final = {dict: "mapping", list: "list", str: "text", bool: "bool", int: "number", float: "number"}


def _shape(value: Any) -> str:
    return SHAPES.get(type(value), "nothing")


def one_of(wanted: str) -> Discriminator:
    """Choose the arm of a union by the value's shape alone, so that one error is about one arm."""
    return Discriminator(
        _shape,
        custom_error_type="shape",
        custom_error_message=wanted,
    )


Count = Annotated[int, Field(gt=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


def _label(value: Any) -> Any:
    if isinstance(value, dict | list):
        raise PydanticCustomError("shape", "a level's label")
    return value


_SCALAR: Final = {"type": ["string", "number", "boolean", "null"]}
Label = Annotated[Any, PlainValidator(_label), WithJsonSchema(_SCALAR)]
Labels = Annotated[
    Annotated[Label, Tag("text")] | Annotated[Annotated[list[Label], Field(min_length=1)], Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list) else "text"),
]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Levels = Annotated[
    Annotated[list[Any], Field(min_length=1), Tag("list")]
    | Annotated[dict[str, Any], Field(min_length=1), Tag("mapping")],
    one_of("a list of values or a mapping of labels"),
]
