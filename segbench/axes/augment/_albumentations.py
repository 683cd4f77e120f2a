"""albumentations transforms by class name: checked when a file is read, with every argument written out."""

from __future__ import annotations

import functools
import inspect
import os
import warnings
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

from segbench.errors import ExperimentError, message

_COMPOSITIONS: Final = ("OneOf", "SomeOf", "RandomOrder", "Sequential")
_LEAVES_UINT8: Final = ("Normalize", "ToFloat", "FromFloat", "ToTensorV2", "ToTensor3D")
_NEEDS_MORE: Final = (
    "Lambda",
    "FDA",
    "HistogramMatching",
    "PixelDistributionAdaptation",
    "TemplateTransform",
    "MixUp",
    "Mosaic",
    "OverlayElements",
    "TextImage",
    "RandomCropNearBBox",
    "BBoxSafeRandomCrop",
    "AtLeastOneBBoxRandomCrop",
    "RandomSizedBBoxSafeCrop",
    "ConstrainedCoarseDropout",
    "MaskDropout",
    "ToRGB",
)
"""Want reference images, boxes, code or another number of channels."""
SIZE_PX: Final = "size_px"
"""Stands in a list for the size of the images that the list is applied to, whatever it is."""

_SIZES: Final = ("size", "height", "width")
"""Arguments that it may stand for: `size` is height and width."""

_NOMINAL_PX: Final = 64
"""Size that a list with `size_px` is checked at."""

_MERELY_ADVISED_AGAINST: Final = (
    "FrequencyMasking",
    "PiecewiseAffine",
    "ShiftScaleRotate",
    "TimeMasking",
    "TimeReverse",
)
"""Their constructors warn that another transform does the same."""
_SEE: Final = "https://albumentations.ai/docs/reference lists the transforms and their arguments"


def resolve_steps(steps: object, where: str) -> list[dict[str, dict[str, Any]]]:
    """Check a list of transforms and write out every argument.

    Arguments come back as albumentations understands them, so `limit: 30` and `limit: [-30, 30]` are one.

    Args:
        steps: `[HorizontalFlip, {Rotate: {limit: 30}}, {OneOf: {transforms: [...], p: 0.5}}]`. `size_px` for
            `size`, `height` or `width` stands for the images' own size and stays in what is returned.
        where: The place that messages name.

    Returns:
        `[{Class: {argument: value}}]` in plain JSON types; resolving it again changes nothing.

    Raises:
        ExperimentError: Classes or arguments are unknown, missing or of the wrong type; holds all problems.
    """
    problems: list[str] = []
    resolved = _resolve_list(steps, where, problems)
    if problems:
        raise ExperimentError(problems)
    return resolved


def build_steps(
    steps: Sequence[Mapping[str, Any]], size_px: tuple[int, int] = (_NOMINAL_PX, _NOMINAL_PX)
) -> Any:
    """Make the `albumentations.Compose` of resolved steps; masks are interpolated by nearest neighbour.

    Args:
        steps: What `resolve_steps` returned.
        size_px: Height and width that `size_px` stands for in them.
    """
    import cv2

    A = _library()
    built = [_build(step, size_px) for step in steps]
    return A.Compose(built, strict=True, mask_interpolation=cv2.INTER_NEAREST)


@functools.cache
def _library() -> Any:
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations

    return albumentations


@functools.cache
def known_transforms() -> tuple[str, ...]:
    """Return the class names that may stand in a list, in alphabetical order."""
    A = _library()
    leaves = [
        name
        for name in dir(A)
        if inspect.isclass(cls := getattr(A, name))
        and issubclass(cls, A.DualTransform | A.ImageOnlyTransform | A.NoOp)
        and cls not in (A.DualTransform, A.ImageOnlyTransform, A.Transform3D)
        and not issubclass(cls, A.Transform3D)
        and name not in (*_LEAVES_UINT8, *_NEEDS_MORE)
    ]
    return tuple(sorted([*leaves, *_COMPOSITIONS]))


def _resolve_list(steps: object, where: str, problems: list[str]) -> list[dict[str, dict[str, Any]]]:
    if isinstance(steps, str) or not isinstance(steps, Sequence):
        problems.append(message(where, "transforms are given as a list", got=steps))
        return []
    if not steps:
        problems.append(
            message(where, "the list of transforms is empty", see="`augment: none` changes nothing")
        )
    resolved = [_resolve_step(step, f"{where}[{i}]", problems) for i, step in enumerate(steps)]
    return [step for step in resolved if step is not None]


def _resolve_step(step: object, where: str, problems: list[str]) -> dict[str, dict[str, Any]] | None:
    name: Any
    given: Any
    if isinstance(step, str):
        name, given = step, {}
    elif isinstance(step, Mapping) and len(step) == 1:
        ((name, given),) = step.items()
        given = {} if given is None else given
    else:
        problems.append(message(where, "a step is `Class` or `{Class: {argument: value}}`", got=step))
        return None
    if not isinstance(given, Mapping):
        problems.append(
            message(f"{where}.{name}", "arguments are given by name: `{argument: value}`", got=given)
        )
        return None
    if name not in known_transforms():
        problems.append(_unknown_class(str(name), where))
        return None
    where = f"{where}.{name}"
    parameters = _parameters(name)
    before = len(problems)
    for argument in given:
        if argument not in parameters:
            problems.append(
                message(where, "there is no argument of this name", got=argument, known=parameters, see=_SEE)
            )
    for argument, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and argument not in given:
            problems.append(
                message(f"{where}.{argument}", "the argument has no default and must be given", see=_SEE)
            )
    own_size = [argument for argument in _SIZES if argument in given and given[argument] == SIZE_PX]
    given = {**given, **dict.fromkeys(own_size, _NOMINAL_PX)}
    if "size" in own_size:
        given["size"] = [_NOMINAL_PX, _NOMINAL_PX]
    nested = given.pop("transforms", None)
    if nested is not None:
        nested = _resolve_list(nested, f"{where}.transforms", problems)
    if len(problems) > before:
        return None
    arguments = {
        argument: _plain(given.get(argument, parameter.default))
        for argument, parameter in parameters.items()
        if argument != "transforms"
    }
    problems += _wrong_types(where, given, parameters) or _refusals(where, name, arguments, nested)
    if len(problems) > before:
        return None
    if nested is not None:
        return {name: {"transforms": nested, **arguments, "p": float(arguments["p"])}}
    return {name: {**_canonical(name, arguments), **dict.fromkeys(own_size, SIZE_PX)}}


def _parameters(name: str) -> dict[str, inspect.Parameter]:
    signature = inspect.signature(getattr(_library(), name).__init__)
    return {
        p.name: p
        for p in signature.parameters.values()
        if p.name not in ("self", "strict") and p.kind is not inspect.Parameter.VAR_KEYWORD
    }


def _unknown_class(name: str, where: str) -> str:
    if name in _LEAVES_UINT8:
        return message(where, "scaling is not an augmentation", got=name, see="Use the field `input`")
    if name in _NEEDS_MORE:
        return message(where, "the transform needs more than an image and its mask", got=name, see=_SEE)
    return message(where, "there is no transform of this name", got=name, known=known_transforms(), see=_SEE)


def _wrong_types(
    where: str, given: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]
) -> list[str]:
    """Refuse what albumentations would quietly convert: true as 1, the text "0.5" as a number."""
    problems = []
    for argument, value in given.items():
        annotation = str(parameters[argument].annotation)
        takes_text = any(word in annotation for word in ("str", "'", '"', "Any"))
        takes_bool = "bool" in annotation or "Any" in annotation
        rule = f"the argument takes {_readable(annotation)}"
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        if (any(isinstance(v, bool) for v in values) and not takes_bool) or (
            any(isinstance(v, str) for v in values) and not takes_text
        ):
            problems.append(message(f"{where}.{argument}", rule, got=value, see=_SEE))
    return problems


def _readable(annotation: str) -> str:
    return annotation.strip("'\"").replace("cv2.", "")


def _refusals(where: str, name: str, arguments: Mapping[str, Any], nested: list[Any] | None) -> list[str]:
    """Return what the class itself, or a mask's nature, forbids."""
    if arguments.get("mask_interpolation", 0) != 0:
        return [
            message(
                f"{where}.mask_interpolation",
                "masks are interpolated by nearest neighbour (0)",
                got=arguments["mask_interpolation"],
            )
        ]
    if arguments.get("fill_mask") not in (None, 0, 1, 0.0, 1.0):
        return [message(f"{where}.fill_mask", "masks hold 0 and 1", got=arguments["fill_mask"])]
    if nested is not None:
        return _composition_problems(where, arguments, nested)
    try:
        with warnings.catch_warnings():
            # a schema that cannot be applied is a mere warning there, and the arguments given would be
            # ignored
            warnings.simplefilter("ignore" if name in _MERELY_ADVISED_AGAINST else "error")
            getattr(_library(), name)(**arguments)
    except (ValueError, TypeError, UserWarning) as error:
        return _error_lines(where, error)
    return []


def _composition_problems(
    where: str, arguments: Mapping[str, Any], nested: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Check the arguments that albumentations leaves unchecked."""
    p, n = arguments["p"], arguments.get("n")
    problems = []
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        problems.append(message(f"{where}.p", "a probability lies in 0..1", got=p))
    if n is not None and (
        not isinstance(n, int) or n < 1 or (n > len(nested) and not arguments.get("replace"))
    ):
        problems.append(message(f"{where}.n", f"a number from 1 to {len(nested)} is drawn", got=n))
    if not any(inner.get("p", 1) for step in nested for inner in step.values()):
        problems.append(message(f"{where}.transforms", "all transforms have p: 0, so there is none to draw"))
    return problems


def _error_lines(where: str, error: Exception) -> list[str]:
    details = getattr(error.__cause__, "errors", None)
    if details is None:
        return [message(where, str(error).splitlines()[0].rstrip("."), see=_SEE)]
    rules: dict[str, list[str]] = {}
    values: dict[str, object] = {}
    for detail in details(include_url=False):
        argument = ".".join(str(part) for part in detail["loc"][:1])
        rule = detail["msg"].removeprefix("Value error, ").replace("Input should", "it should")
        rules.setdefault(argument, []).append(rule)
        values.setdefault(argument, detail["input"])
    return [
        message(f"{where}.{argument}", "; or ".join(texts), got=values[argument], see=_SEE)
        if argument
        else message(where, "; or ".join(texts).rstrip("."), see=_SEE)
        for argument, texts in rules.items()
    ]


def _canonical(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments as the class's schema understands them, where that is stable."""
    schema = getattr(getattr(_library(), name), "InitSchema", None)
    if schema is None:
        return arguments
    once = _dump(schema, arguments)
    return once if set(once) == set(arguments) and _dump(schema, once) == once else arguments


def _dump(schema: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return {
                k: _plain(v)
                for k, v in schema(**arguments, strict=False).model_dump().items()
                if k != "strict"
            }
        except ValueError:
            return {}


def _build(step: Mapping[str, Any], size_px: tuple[int, int]) -> Any:
    ((name, arguments),) = step.items()
    own = {"size": size_px, "height": size_px[0], "width": size_px[1]}
    given = {
        key: own[key] if key in own and value == SIZE_PX else _tuples(value)
        for key, value in arguments.items()
        if key != "transforms"
    }
    cls = getattr(_library(), name)
    if "transforms" in arguments:
        return cls([_build(inner, size_px) for inner in arguments["transforms"]], **given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if name in _MERELY_ADVISED_AGAINST else "error")
        return cls(**given)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(v) for v in value]
    return value.item() if hasattr(value, "item") else value
