"""The structure of an experiment file: its keys, their types and defaults, as pydantic models.

Names of variants, knobs, levels and metrics are checked later (`resolve`, `levels`, `claims`): they need the registry
and the rest of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Final, Literal

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
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from segbench.config.document import Node
from segbench.config.problems import Place, Problems
from segbench.config.rules import rule_of
from segbench.config.trial import PRECISIONS

NOT_YET: Final = {
    "tune": "tuning every cell with an equal budget",
    "looks": "planned looks at the data",
}
"""Keys of the design that this version refuses by name, and what they would ask for."""

NOT_YET_DESIGNS: Final = ("one_at_a_time", "leave_one_out", "fractional")

_SHAPES: Final = {dict: "mapping", list: "list", str: "text", bool: "bool", int: "number", float: "number"}


def _shape(value: Any) -> str:
    return _SHAPES.get(type(value), "nothing")


def _one_of(wanted: str) -> Discriminator:
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


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Stopping(_Model):
    """Stop when the objective no longer improves."""

    patience: Count = Field(description="Epochs without improvement after which a trial stops.")
    min_delta: Annotated[Finite, Field(ge=0)] = Field(
        0.0, description="An improvement is larger than this difference of the objective."
    )


class Baseline(_Model):
    """The complete configuration that the levels change."""

    dataset: Any = Field(description="Images and masks.")
    split: Any = Field("course", description="Which images train, validate and test; fixed across seeds.")
    input: Any = Field("imagenet", description="How pixels are scaled before the network.")
    model: Any = Field("unet", description="The network.")
    norm: Any = Field("batch", description="The normalisation layers of the network.")
    init: Any = Field("default", description="How weights start.")
    augment: Any = Field("none", description="A recipe's name, or a list of albumentations transforms.")
    loss: Any = Field({"bce": 1, "dice": 1}, description="Weighted sum of terms: name -> weight or knobs.")
    optimizer: Any = Field("adam", description="The optimiser.")
    schedule: Any = Field("constant", description="The learning rate over the epochs.")
    grad_clip: Annotated[Finite, Field(gt=0)] | None = Field(
        None, description="Largest norm of the gradient; null: no clipping."
    )
    batch_size: Count = Field(8, description="Images in a training step.")
    epochs: Count = Field(100, description="Passes over the training images.")
    precision: Literal["fp32", "tf32", "bf16"] = Field(
        "fp32", description="Arithmetic of the network: fp32 (TF32 off), tf32 or bf16 autocast."
    )
    early_stopping: Stopping | None = Field(None, description="When to stop early; null: never.")
    engine: Annotated[str, Field(min_length=1)] = Field(
        "segbench", description="`segbench`, or the import path of a function that takes the loop's place."
    )
    max_images: Count | None = Field(
        None, description="At most this many images of each part of the split; null: all of them."
    )


assert Baseline.model_fields["precision"].annotation == Literal[PRECISIONS]


Levels = Annotated[
    Annotated[list[Any], Field(min_length=1), Tag("list")]
    | Annotated[dict[str, Any], Field(min_length=1), Tag("mapping")],
    _one_of("a list of values or a mapping of labels"),
]


class AxisBody(_Model):
    """Levels of an axis, and what they set."""

    levels: Levels = Field(description="A list of values, or a mapping from label to value (or to the fields it sets).")
    path: str | None = Field(None, description="What the values set, such as `optimizer.lr`.")
    baseline: Label = Field(None, description="The level that the others are compared with.")


class Parameter(_Model):
    """One dimension of a search space."""

    path: str | None = Field(None, description="What it sets; default: the field of its name.")
    low: Finite | None = Field(None, description="Smallest value.")
    high: Finite | None = Field(None, description="Largest value.")
    log: bool = Field(False, description="Sample on a logarithmic scale.")
    step: Annotated[Finite, Field(gt=0)] | None = Field(None, description="Distance between values.")
    levels: Levels | None = Field(None, description="Values to choose from, instead of bounds.")


class TpeSampler(_Model):
    """Tree-structured Parzen estimator."""

    seed: Annotated[int, Field(ge=0)] = 0


class MedianPruner(_Model):
    """Stop a proposal that is worse than the median of the others at the same epoch."""

    warmup_epochs: Annotated[int, Field(ge=0)] = 0


class Sampler(_Model):
    """A sampler with its settings."""

    tpe: TpeSampler | None = None
    random: TpeSampler | None = None


class Pruner(_Model):
    """A pruner with its settings."""

    none: dict[str, Any] | None = None
    median: MedianPruner | None = None
    hyperband: MedianPruner | None = None


class SearchBody(_Model):
    """A space handed to an Optuna sampler."""

    space: Annotated[
        dict[
            str,
            Annotated[
                Annotated[list[Any], Field(min_length=1), Tag("list")] | Annotated[Parameter, Tag("mapping")],
                _one_of("a list of values or a mapping with `path`, `low` and `high`"),
            ],
        ],
        Field(min_length=1),
    ]
    sampler: Annotated[
        Annotated[Literal["tpe", "random"], Tag("text")] | Annotated[Sampler, Tag("mapping")],
        _one_of("a sampler's name or {name: {settings}}"),
    ] = "tpe"
    pruner: Annotated[
        Annotated[Literal["none", "median", "hyperband"], Tag("text")] | Annotated[Pruner, Tag("mapping")],
        _one_of("a pruner's name or {name: {settings}}"),
    ] = "none"
    trials: Count = Field(description="How many proposals are trained.")


class Cells(_Model):
    """Chosen combinations of levels."""

    cells: Annotated[list[dict[str, Label]], Field(min_length=1)]


class ObjectiveBody(_Model):
    """The validation metric that selects weights."""

    metric: str = "val_dice"
    direction: Literal["maximize", "minimize"] | None = None


class Scale(_Model):
    """Another size of the same question: `--scale NAME` lays it over the file."""

    baseline: dict[str, Any] = Field({}, description="Fields that replace those of the baseline.")
    axes: dict[str, Any] = Field({}, description="Axes that replace those of the same name.")
    design: Any = None
    exclude: Any = None
    seeds: Any = None
    margin: Any = None
    claims: Any = None
    search: Any = None
    objective: Any = None
    outcome: Any = None


class ExperimentFile(_Model):
    """One experiment: one question."""

    question: Annotated[str, Field(min_length=1)] = Field(description="What the experiment asks.")
    baseline: Baseline
    axes: dict[
        str,
        Annotated[
            Annotated[list[Any], Field(min_length=1), Tag("list")] | Annotated[AxisBody, Tag("mapping")],
            _one_of("a list of levels or a mapping with `levels`"),
        ],
    ] = Field({}, description="What varies.")
    design: Annotated[
        Annotated[Literal["factorial"], Tag("text")] | Annotated[Cells, Tag("mapping")],
        _one_of("`factorial` or {cells: [...]}"),
    ] = Field("factorial", description="Which combinations of levels are trained.")
    exclude: list[dict[str, Labels]] = Field([], description="Combinations left out; a list of labels is or.")
    seeds: Annotated[
        Annotated[Count, Tag("number")]
        | Annotated[Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)], Tag("list")],
        _one_of("a count or a list of whole numbers"),
    ] = Field(3, description="A count (5 is 0, 1, 2, 3, 4) or a list.")
    objective: ObjectiveBody = Field(
        ObjectiveBody(), description="Validation metric that selects weights and drives a search."
    )
    outcome: str = Field("test_dice", description="Test metric that verdicts are about.")
    margin: Annotated[Finite, Field(gt=0)] | None = Field(
        None, description="Differences of the outcome below it do not matter; needed for `==`."
    )
    claims: list[dict[str, Any]] = Field([], description="Expectations that the report judges.")
    search: SearchBody | None = Field(None, description="A sampler's space, instead of axes and a design.")
    scales: dict[str, Scale] = Field({}, description="Other sizes of the same question.")
    extends: str | None = Field(None, description="Another experiment file that this one adds to.")


def default_of(field: str) -> Any:
    """Return the default of a field of the baseline."""
    return Baseline.model_fields[field].default


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
        rest: list[Any] = []
        for details in error.errors(include_url=False):
            path, at, missing = _walk(node, details["loc"])
            if details["type"] == "extra_forbidden":
                problems.add(
                    node.key_place(path[-1]), "there is no such key", got=path[-1], known=Stopping.model_fields
                )
            elif details["type"] == "missing" and missing:
                problems.add(at.place, f"the key `{missing[0]}` is missing")
            else:
                rest.append((path, at, details))
        for at in dict.fromkeys(at.place for _, at, _ in rest):
            same = [item for item in rest if item[1].place == at]
            rule, known = rule_of([details for _, _, details in same])
            problems.add(at, f"{name} {rule}", got=same[0][1].plain(), known=known)
    return INVALID


INVALID: Final = object()
"""Stands for a value that a problem was recorded about."""

_MISSING: Final = {
    "dataset": "`segbench list dataset` shows the data sets",
    "question": "Say in one sentence what the experiment asks",
    "baseline": "It needs at least a dataset",
}


@cache
def _field_adapter(name: str) -> TypeAdapter[Any]:
    info: FieldInfo = Baseline.model_fields[name]
    return TypeAdapter(Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation)


def _walk(document: Node, loc: tuple[int | str, ...]) -> tuple[tuple[str, ...], Node, tuple[int | str, ...]]:
    """Follow pydantic's location as far as the document goes; names of union arms in it are skipped."""
    node, path, rest = document, [], []
    for part in loc:
        if isinstance(part, int) and node.is_list and part < len(node.value) and not rest:
            node = node.value[part]
            path.append(str(part))
        elif isinstance(part, str) and part in node and not rest:
            node = node[part]
            path.append(part)
        elif part not in _SHAPES.values() and part != "nothing" and not _is_arm(part):
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
    if key in NOT_YET and (len(path) == 1 or path[0] == "seeds"):
        problems.add(place, f"`{key}` ({NOT_YET[key]}) is not in this version")
        return
    known = _keys_at(path[:-1])
    see = None
    if len(path) == 1 and key in Baseline.model_fields:
        see = "This field stands under `baseline:`"
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


def _models(annotation: Any) -> Iterator[type[_Model]]:
    """Yield the models in an annotation, outermost first."""
    if isinstance(annotation, type) and issubclass(annotation, _Model):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner)


def _add(found: list[tuple[tuple[str, ...], Node, Any]], problems: Problems) -> None:
    path, node, _ = found[0]
    value = node.plain()
    if path == ("design",) and value in NOT_YET_DESIGNS:
        rule = "this design is not in this version"
        problems.add(node.place, rule, got=value, see="Known: factorial, {cells: [...]}")
        return
    if path == ("seeds",) and isinstance(value, dict):
        rule = "growing seeds (`start`, `max`, `looks`) are not in this version: give a count or a list"
        problems.add(node.place, rule, got=value)
        return
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
    if head in ("claims", "exclude") and inner.is_list and len(path) > 1:
        return document  # each entry is read on its own
    return document if path == ("baseline",) and inner.is_mapping else document.without(head)
