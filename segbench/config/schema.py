"""The keys of an experiment file, their types and defaults, as pydantic models; and the check against them.

The models know the structure alone. Names of variants, knobs, levels and metrics are checked later
(`resolve`, `axes`, `claims`), since they need the registry and the rest of the file. `baseline:` and its
fields are declared in `segbench.config.trial`; their models are made from there. `check_structure` reports
what pydantic finds in the words of segbench's messages, each mistake at its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeVar, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    create_model,
)
from pydantic_core import PydanticCustomError

from segbench.config.document import Node, Place, Problems
from segbench.config.slurm import SlurmBlock
from segbench.config.trial import EarlyStopping, Objective, TrialConfig, declared
from segbench.quantities import LIMITS
from segbench.registry import REQUIRED

SHAPES: Final = {dict: "mapping", list: "list", str: "text", bool: "bool", int: "number", float: "number"}


def _shape(value: Any) -> str:
    return SHAPES.get(type(value), "nothing")


def one_of(wanted: str) -> Discriminator:
    """Choose the arm of a union by the value's shape alone, so that one error is about one arm."""
    return Discriminator(_shape, custom_error_type="shape", custom_error_message=wanted)


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
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


Levels = Annotated[
    Annotated[list[Any], Field(min_length=1), Tag("list")]
    | Annotated[dict[str, Any], Field(min_length=1), Tag("mapping")],
    one_of("a list of values or a mapping of labels"),
]


# The blocks `search` and `tune` of an experiment file, as pydantic models.


class Parameter(Model):
    """One dimension of a search space."""

    path: str | None = Field(None, description="What it sets; default: the field of its name.")
    low: Finite | None = Field(None, description="Smallest value.")
    high: Finite | None = Field(None, description="Largest value.")
    log: bool = Field(False, description="Sample on a logarithmic scale.")
    step: Annotated[Finite, Field(gt=0)] | None = Field(None, description="Distance between values.")
    levels: Levels | None = Field(None, description="Values to choose from, instead of bounds.")


P = TypeVar("P", bound=Parameter)
Space = Annotated[
    dict[
        str,
        Annotated[
            Annotated[list[Any], Field(min_length=1), Tag("list")] | Annotated[P, Tag("mapping")],
            one_of("a list of values or a mapping with `path`, `low` and `high`"),
        ],
    ],
    Field(min_length=1),
]
"""Parameters by name."""

_MEASURE: Final = f"A validation metric, or a cost: {', '.join(LIMITS)}."


class GoalBody(Model):
    """One of several goals."""

    metric: str = Field(description=_MEASURE)
    direction: Literal["maximize", "minimize"] | None = Field(None, description="Follows from the metric.")


class ConstraintBody(Model):
    """A bound that proposals are to keep."""

    metric: str = Field(description=_MEASURE)
    low: Finite | None = Field(None, description="Smallest value.")
    high: Finite | None = Field(None, description="Largest value.")


Choice = Annotated[
    Annotated[str, Tag("text")] | Annotated[dict[str, Any], Tag("mapping")],
    one_of("a class of Optuna by name, or {name: {settings}}"),
]
"""A sampler or a pruner; `samplers` checks the name and the settings."""


class SpaceBody(Model):
    """What a search and a tuning have in common."""

    pruner: Choice = Field("none", description="Optuna's pruner: its class, or its short name.")
    trials: Count = Field(description="How many proposals are trained.")


class SearchBody(SpaceBody):
    """A space handed to an Optuna sampler."""

    space: Space[Parameter]
    sampler: Choice = Field("tpe", description="Optuna's sampler: its class, or its short name.")
    goals: (
        Annotated[
            list[
                Annotated[
                    Annotated[str, Tag("text")] | Annotated[GoalBody, Tag("mapping")],
                    one_of("a metric's name or {metric: ..., direction: ...}"),
                ]
            ],
            Field(min_length=2),
        ]
        | None
    ) = Field(None, description="Several goals, instead of the objective alone.")
    replicate: Annotated[int, Field(ge=0)] | None = Field(
        None, description="With several goals: Pareto points that are trained with the other seeds (3)."
    )
    constraints: list[ConstraintBody] = Field([], description="Bounds that the best proposal keeps.")
    enqueue: list[dict[str, Label]] = Field([], description="Complete proposals that come first.")
    warm_start: list[str] = Field(
        [], description="Searches whose finished proposals the sampler knows before it proposes."
    )


class TunedParameter(Parameter):
    """One nuisance knob."""

    when: dict[str, Labels] | None = Field(
        None, description="Axis -> its levels: cells with another level are tuned without this parameter."
    )


class TuneBody(SpaceBody):
    """A study of its own for every cell."""

    space: Space[TunedParameter] = Field(description="Nuisance knobs, none of which is an axis.")
    sampler: Choice = Field("tpe", description="Optuna's sampler: its class, or its short name.")
    trials: Count = Field(description="How many tuning trials each cell gets.")
    seed: Annotated[int, Field(ge=0)] = Field(
        1000, description="Seed of the tuning trials, 1 more for each further repeat; none may be in `seeds`."
    )
    repeats: Count = Field(
        1, description="How often every cell is tuned afresh; the seeds take the winners in turn."
    )


def _model_of(name: str, declaring: type, doc: str | None, **types: Any) -> type[Model]:
    """Make the model of a class whose fields are declared in `segbench.config.trial`.

    Args:
        name: What the schema calls it.
        declaring: The class.
        doc: What the model is.
        types: Field -> type that a file writes, where it is another one. Variants are checked later, so that
            a file may write anything for them.
    """
    types = {**get_type_hints(declaring), **types}
    made: dict[str, Any] = {}
    for field, about in declared(declaring).items():
        if about.is_in_baseline:
            default = ... if about.default is REQUIRED else about.default
            info = Field(default, description=about.text, **about.bounds)
            made[field] = (Any if about.is_axis else types[field], info)
    return create_model(name, __base__=Model, __doc__=doc, **made)


Stopping = _model_of("Stopping", EarlyStopping, EarlyStopping.__doc__)
Baseline = _model_of(
    "Baseline",
    TrialConfig,
    "The complete configuration that the levels change.",
    early_stopping=Stopping | None,
)


class AxisBody(Model):
    """Levels of an axis, and what they set."""

    levels: Levels = Field(
        description="A list of values, or a mapping from label to value (or to the fields it sets)."
    )
    path: str | None = Field(None, description="What the values set, such as `optimizer.lr`.")
    baseline: Label = Field(None, description="The level that the others are compared with.")
    when: Annotated[dict[str, Labels], Field(min_length=1)] | None = Field(
        None,
        description="Levels of other axes at which this one varies, such as {optimizer: sgd}; a list is or. "
        "Other cells do not have the axis.",
    )


class FractionalBody(Model):
    """A balanced part of the factorial of axes of two levels."""

    resolution: Annotated[int, Field(ge=3)] = Field(
        4,
        description="4: no effect of one axis is mixed with an interaction of two; 5: nor are these with "
        "each other; 3: effects of axes and interactions of two are mixed, and get no verdict then.",
    )


AxisNames = Annotated[list[Label], Field(min_length=1)]


class DesignBody(Model):
    """One design: the only key says which."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    cells: Annotated[list[dict[str, Label]], Field(min_length=1)] | None = Field(
        None, description="Chosen combinations; an axis that is not named stands at its baseline."
    )
    factorial: AxisNames | None = Field(
        None, description="All combinations of these axes; the others stand at their baselines."
    )
    fractional: FractionalBody | None = Field(
        None, description="A balanced part of the factorial of axes of two levels."
    )
    zip: Annotated[list[Labels], Field(min_length=1)] | None = Field(
        None,
        description="Axes that change together, level by level, crossed with the others; [[a, b], [c, d]] "
        "are two groups.",
    )
    union: Annotated[list[Design], Field(min_length=1)] | None = Field(
        None, description="Designs one after another; cells that several have count once."
    )


Design = Annotated[
    Annotated[
        Literal["factorial", "one_at_a_time", "leave_one_out", "fractional"],
        Tag("text"),
    ]
    | Annotated[DesignBody, Tag("mapping")],
    one_of("factorial, one_at_a_time, leave_one_out, fractional or a mapping such as {cells: [...]}"),
]
DesignBody.model_rebuild()


class ObjectiveBody(Model):
    """The validation metric that selects weights."""

    metric: str = Objective().metric
    direction: Literal["maximize", "minimize"] | None = None


class SeedsBody(Model):
    """Seeds that grow from look to look, until everything that is claimed is resolved."""

    start: Annotated[int, Field(ge=2)] = Field(description="Seeds of the first look.")
    max: Count = Field(description="Seeds of the last look.")
    looks: Annotated[list[Count], Field(min_length=1)] | None = Field(
        None, description="Numbers of seeds at which is judged, from `start` to `max`; null: these two."
    )


class Scale(Model):
    """Another size of the same question: `--scale NAME` lays it over the file."""

    baseline: dict[str, Any] = Field({}, description="Fields that replace those of the baseline.")
    axes: dict[str, Any] = Field({}, description="Axes that replace those of the same name.")
    design: Any = None
    only: Any = None
    exclude: Any = None
    seeds: Any = None
    margin: Any = None
    expected_seed_sd: Any = None
    claims: Any = None
    subgroups: Any = None
    search: Any = None
    tune: Any = None
    objective: Any = None
    outcome: Any = None
    slurm: Any = None


class ExperimentFile(Model):
    """One experiment: one question."""

    question: Annotated[str, Field(min_length=1)] = Field(description="What the experiment asks.")
    baseline: Baseline  # type: ignore[valid-type]
    axes: dict[
        str,
        Annotated[
            Annotated[list[Any], Field(min_length=1), Tag("list")] | Annotated[AxisBody, Tag("mapping")],
            one_of("a list of levels or a mapping with `levels`"),
        ],
    ] = Field({}, description="What varies.")
    design: Design = Field(
        "factorial",
        description="Which combinations of levels are trained: factorial (all); one_at_a_time (the baseline, "
        "then each other level alone); leave_one_out (the baseline has everything on, then each axis "
        "switched alone); fractional (a balanced part); or a mapping.",
    )
    only: list[dict[str, Labels]] = Field([], description="Combinations kept; a list of labels is or.")
    exclude: list[dict[str, Labels]] = Field([], description="Combinations left out; a list of labels is or.")
    seeds: Annotated[
        Annotated[Count, Tag("number")]
        | Annotated[Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)], Tag("list")]
        | Annotated[SeedsBody, Tag("mapping")],
        one_of("a count, a list of whole numbers or {start: ..., max: ...}"),
    ] = Field(3, description="A count (5 is 0, 1, 2, 3, 4), a list, or looks: {start: 3, max: 10}.")
    objective: ObjectiveBody = Field(
        ObjectiveBody(), description="Validation metric that selects weights and drives a search."
    )
    outcome: str = Field("test_dice", description="Test metric that verdicts are about.")
    margin: Annotated[Finite, Field(gt=0)] | None = Field(
        None, description="Differences of the outcome below it do not matter; needed for `==`."
    )
    expected_seed_sd: Annotated[Finite, Field(gt=0)] | None = Field(
        None,
        description="What the outcome's standard deviation over the seeds of a cell is expected to be; "
        "`plan` reckons with it until there are records.",
    )
    claims: list[dict[str, Any]] = Field([], description="Expectations that the report judges.")
    subgroups: list[Annotated[str, Field(min_length=1)]] = Field(
        [],
        description="What the report divides the test images by: attributes of the data set (species), or "
        "thirds of foreground_share, tone_likeness, irregularity.",
    )
    allow_flawed: bool = Field(
        False, description="Whether variants run that make a known mistake on purpose; reports name them."
    )
    search: SearchBody | None = Field(None, description="A sampler's space, instead of axes and a design.")
    slurm: SlurmBlock | None = Field(None, description="What a worker asks of Slurm.")
    tune: TuneBody | None = Field(
        None,
        description="Knobs that every cell is tuned over, on validation images, with an equal budget.",
    )
    scales: dict[str, Scale] = Field({}, description="Other sizes of the same question.")
    extends: str | None = Field(None, description="Another experiment file that this one adds to.")


# What pydantic found, in the words of segbench's messages.


_WANTED: Final = {
    "bool_type": "true or false",
    "date_type": "a date",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "greater than {gt:.15g}",
    "greater_than_equal": "at least {ge:.15g}",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of less than 4300 digits",
    "int_type": "a whole number",
    "less_than": "less than {lt:.15g}",
    "less_than_equal": "at most {le:.15g}",
    "list_type": "a list",
    "literal_error": "one of the known words",
    "missing": "complete (an element is missing)",
    "model_type": "a mapping",
    "multiple_of": "a multiple of {multiple_of:.15g}",
    "none_required": "null",
    "string_too_short": "text that is not empty",
    "string_type": "text",
    "too_long": "at most {max_length} long",
    "too_short": "at least {min_length} long",
    "tuple_type": "a list",
}
"""Kind of pydantic's error -> what the value must be, with the error's context."""


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
        if kind == "too_short" and context["min_length"] == 1:
            wanted.append("not empty")
        elif kind in _WANTED:
            wanted.append(_WANTED[kind].format_map(context))
        elif kind == "shape":
            wanted.append(error["msg"])
        else:
            wanted.append(error["msg"].removeprefix("Input should be ").lower())
    text = " or ".join(dict.fromkeys(wanted))
    return "must not be empty" if text == "not empty" else f"must be {text}", tuple(dict.fromkeys(known))


# A document checked against the models, with every mistake at its place.


def check_structure(document: Node, problems: Problems) -> Node:
    """Record everything wrong with the structure, and return the document less the entries that are wrong.

    A key of which null is the default is left out where it is null.
    """
    try:
        ExperimentFile.model_validate(document.plain())
    except ValidationError as error:
        for path in _record(error, document, problems):
            document = _pruned(document, path)
    document = _given(document)
    for key in ("objective", "search", "seeds", "slurm", "tune"):
        if key in document:
            document = document.having(key, _given(document[key], is_deep=True), document.key_place(key))
    return document


def check_field(name: str, node: Node, problems: Problems) -> Any:
    """Return a plain field of the baseline (one that names no variant) checked, or `INVALID`."""
    try:
        return _field_adapter(name).validate_python(node.plain(), strict=True)
    except ValidationError as error:
        _record(error, node, problems, within=("baseline", name))
    return INVALID


def _record(
    error: ValidationError, root: Node, problems: Problems, *, within: tuple[str, ...] = ()
) -> list[tuple[str, ...]]:
    """Record what pydantic found in a document, or in the part of one at a path, and return where."""
    broken: list[tuple[str, ...]] = []
    grouped: dict[Place, list[tuple[str, Node, Any]]] = {}
    for details in error.errors(include_url=False):
        path, node, rest = _walk(root, details["loc"])
        broken.append(path)
        if details["type"] == "missing" and rest:
            problems.add(node.place, f"the key `{rest[0]}` is missing", see=_MISSING.get(str(rest[0])))
        elif details["type"] == "extra_forbidden":
            _unknown_key(root, path, problems, within)
        else:
            name = next((part for part in reversed((*within, *path)) if not part.isdigit()), "")
            grouped.setdefault(node.place, []).append((name, node, details))
    for place, found in grouped.items():
        name, node, _ = found[0]
        rule, known = rule_of([details for *_, details in found])
        problems.add(place, f"{name} {rule}".strip(), got=node.plain(), known=known)
    return broken


def _given(node: Node, *, is_deep: bool = False) -> Node:
    """Return a mapping less its entries that are null, and less those of mappings in it; levels stay."""
    if not node.is_mapping:
        return node
    node = node.without(*(key for key, value in node.items() if value.is_scalar and value.value is None))
    if not is_deep:
        return node
    return replace(node, value={k: v if k == "levels" else _given(v, is_deep=True) for k, v in node.items()})


INVALID: Final = object()
"""Stands for a value that a problem was recorded about."""

_MISSING: Final = {
    "dataset": "`segbench list dataset` shows the data sets",
    "question": "Say in one sentence what the experiment asks",
    "start": "Seeds that every cell gets before the first look",
    "max": "Seeds that a cell gets at most",
    "baseline": "It needs at least a dataset",
}


@cache
def _field_adapter(name: str) -> TypeAdapter[Any]:
    info = Baseline.model_fields[name]
    annotation: Any = Annotated[info.annotation, info]
    return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))


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


def _unknown_key(root: Node, path: tuple[str, ...], problems: Problems, within: tuple[str, ...]) -> None:
    parent = root
    for part in path[:-1]:
        parent = parent.elements()[int(part)] if parent.is_list else parent[part]
    key, whole = path[-1], (*within, *path)
    see = None
    if len(whole) == 1 and key in Baseline.model_fields:
        see = "This field stands under `baseline:`"
    elif len(whole) == 1 and key in SeedsBody.model_fields:
        see = "This key stands under `seeds:`"
    elif whole[0] == "baseline" and key in ExperimentFile.model_fields:
        see = "This key stands at the top of the file"
    known = _keys_at(whole[:-1])
    problems.add(parent.key_place(key), "there is no such key", got=key, known=known, see=see)


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


def _pruned(document: Node, path: tuple[str, ...]) -> Node:
    """Take out the smallest entry around a problem that the rest of the file can do without."""
    if not path:
        return document
    head = path[0]
    inner = document.get(head)
    if inner is None:
        return document
    is_in_entry = inner.is_mapping and len(path) > 1
    if is_in_entry and (head in ("baseline", "axes") or (head == "search" and path[1] not in _NEEDED)):
        return document.having(head, inner.without(path[1]), document.key_place(head))
    if head in ("claims", "exclude", "only") and inner.is_list and len(path) > 1:
        return document  # each entry is read on its own
    return document if path == ("baseline",) and inner.is_mapping else document.without(head)


_NEEDED: Final = ("space", "trials")
"""Keys without which nothing else of `search:` can be read."""
