"""What every variant of an axis must do: one module an axis, one public function a check.

`segbench check` runs these on a user's file and tests/contract/ on every built-in variant. A check takes a
`Subject`, returns where the variant keeps to the contract and raises `Broken` where it does not; any other
exception counts as broken too. The first line of its docstring is the rule that is printed. `declaration.py`
holds the checks of all axes.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from segbench import registry
from segbench.errors import ExperimentError, SegbenchError, message
from segbench.signature import Variant


class Broken(Exception):
    """A variant breaks the contract of its axis; the text says how."""


@dataclass(frozen=True)
class Subject:
    """A variant under test, with the knobs it is tested at."""

    variant: Variant
    knobs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, variant: Variant, **knobs: Any) -> Subject:
        """Set knobs over the variant's defaults; a network with a knob `width` is 8 wide unless told
        otherwise.

        Raises:
            ExperimentError: A knob is unknown, or one without a default is not given.
        """
        where = f"{variant.axis} {variant.name}"
        for name in knobs:
            if name not in variant.knobs:
                raise ExperimentError(message(where, "there is no such knob", got=name, known=variant.knobs))
        defaults = {k.name: k.default for k in variant.knobs.values() if not k.is_required}
        if variant.axis == "model" and "width" in defaults:
            defaults["width"] = 8  # a contract holds at any width, and narrow networks are quick
        missing = [name for name in variant.knobs if name not in defaults and name not in knobs]
        if missing:
            rule = f"knob {missing[0]} has no default"
            raise ExperimentError(message(where, rule, see=f"Give one with --set {missing[0]}=VALUE"))
        return cls(variant, {**defaults, **knobs})

    def build(self, *runtime: Any) -> Any:
        """Call the factory with run-time objects and the knobs."""
        return registry.load(self.variant)(*runtime, **self.knobs)


@dataclass(frozen=True)
class Check:
    """One rule of a contract."""

    name: str
    rule: str
    function: Callable[[Subject], None]


@dataclass(frozen=True)
class Outcome:
    """What became of a check: `reason` is None where the variant keeps to the rule."""

    check: Check
    reason: str | None

    @property
    def is_ok(self) -> bool:
        return self.reason is None


def checks(axis: str) -> tuple[Check, ...]:
    """Return the checks of an axis: those of its declaration, then those of what it builds."""
    found = _module_checks("declaration")
    if importlib.util.find_spec(f"segbench.contract.{axis}") is not None:
        found += _module_checks(axis)
    return found


def run(subject: Subject) -> Iterator[Outcome]:
    """Run every check on a variant, one after another."""
    for check in checks(subject.variant.axis):
        yield Outcome(check, _reason(check, subject))


def _module_checks(name: str) -> tuple[Check, ...]:
    module = importlib.import_module(f"segbench.contract.{name}")
    own = [f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == module.__name__]
    return tuple(Check(f.__name__, _rule(f), f) for f in own if not f.__name__.startswith("_"))


def _rule(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or function.__name__).partition("\n")[0].rstrip(".")


def _reason(check: Check, subject: Subject) -> str | None:
    try:
        check.function(subject)
    except (Broken, SegbenchError) as error:
        return str(error)
    except Exception as error:  # whatever a user's code raises is the answer to the check
        return f"{type(error).__name__}: {error}{_place(error, subject)}"
    return None


def _place(error: Exception, subject: Subject) -> str:
    """Return the innermost line of the variant's own file that the error passed through."""
    lines = [
        f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(subject.variant.file)
    ]
    return f" ({subject.variant.file.name}:{lines[-1]})" if lines else ""
