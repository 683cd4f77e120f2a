"""Which image sizes a network takes, without building it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segbench import registry
from segbench.errors import ExperimentError, message
from segbench.signature import Variant


def size_multiple(model: str, knobs: Mapping[str, Any]) -> int | None:
    """Return what H and W must be a multiple of, or None where the variant does not declare it.

    Args:
        model: Name or import path of a model.
        knobs: Its knobs; missing ones stand at their defaults.

    Raises:
        ExperimentError: There is no such model, or the declared expression cannot be evaluated.
    """
    return declared_multiple(registry.find("model", model), knobs)


def declared_multiple(variant: Variant, knobs: Mapping[str, Any]) -> int | None:
    """Return `size_multiple` of a variant that needs no name in the registry."""
    if variant.size_multiple is None:
        return None
    defaults = {k.name: k.default for k in variant.knobs.values() if not k.is_required}
    scope = {"__builtins__": {}, "len": len, "max": max, "min": min}
    try:
        # An expression of the knobs from the variant's own source, which a trial runs anyway.
        value = eval(variant.size_multiple, scope, {**defaults, **knobs})
    except Exception as error:
        raise ExperimentError(
            message(
                f"{variant.file}:{variant.line}",
                f"size_multiple cannot be evaluated ({error})",
                got=variant.size_multiple,
                known=variant.knobs,
                see="Write an expression of the knobs, such as '2 ** depth'",
            )
        ) from error
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ExperimentError(
            message(
                f"{variant.file}:{variant.line}", "size_multiple must be a whole number from 1", got=value
            )
        )
    return value


def size_problem(where: str, size_px: int, multiple: int, model: str = "the model") -> str | None:
    """Return the message for a size that a network cannot take, or None.

    Args:
        where: The place that set the size.
        size_px: Height or width.
        multiple: What it must be a multiple of.
        model: Name for the message.
    """
    if size_px > 0 and size_px % multiple == 0:
        return None
    below = size_px // multiple * multiple
    nearest = f"{below} and {below + multiple}" if below > 0 else f"{multiple} and {2 * multiple}"
    return message(
        where,
        f"{model} takes sizes that are multiples of {multiple}",
        got=size_px,
        see=f"The nearest are {nearest} (SB109)",
    )
