"""The contract of a learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from segbench.contract import Broken, Subject

LENGTHS = (1, 2, 3, 10, 100)
STEPS = 3
"""Steps in an epoch, where a schedule is asked before each."""

_OBJECTIVES: dict[str, Callable[[int], float]] = {
    "rising": lambda epoch: epoch / 100,
    "standing": lambda epoch: 0.5,
    "swinging": lambda epoch: math.sin(epoch),
}


def gives_factors(subject: Subject) -> None:
    """The factor is a finite number from 0 for every epoch from 1 to the last, or for every step."""
    factor = _factor(subject)
    for epochs in LENGTHS:
        for objective in _OBJECTIVES.values():
            for epoch in _moments(factor, epochs):
                _check(_ask(factor, epoch, epochs, objective), f"epoch {epoch:g} of {epochs}")


def trains_at_all(subject: Subject) -> None:
    """Some step has a factor above 0, whatever the number of epochs."""
    factor = _factor(subject)
    for epochs in LENGTHS:
        objective = _OBJECTIVES["rising"]
        if not any(_ask(factor, epoch, epochs, objective) > 0 for epoch in _moments(factor, epochs)):
            raise Broken(f"every factor of {epochs} epochs is 0")


def is_pure(subject: Subject) -> None:
    """The factor depends on what it is given alone, so a resumed trial goes on as if it had not stopped."""
    factor, fresh = _factor(subject), _factor(subject)
    moments = list(_moments(factor, 10))
    for objective in _OBJECTIVES.values():
        forwards = [_ask(factor, epoch, 10, objective) for epoch in moments]
        backwards = [_ask(factor, epoch, 10, objective) for epoch in reversed(moments)][::-1]
        if forwards != backwards:
            raise Broken("asked backwards it gives other factors than forwards")
        last = moments[-1]
        if _ask(fresh, last, 10, objective) != forwards[-1]:
            raise Broken(f"a fresh schedule gives another factor for epoch {last:g} of 10")


def stands_a_missing_objective(subject: Subject) -> None:
    """A schedule that looks at the objective takes a NaN for an epoch that did not improve."""
    factor = _factor(subject)
    if not _has(factor, "is_adaptive"):
        return
    gaps: dict[str, Callable[[int], float]] = {
        "the first value is": lambda epoch: math.nan if epoch == 1 else 0.5,
        "a later value is": lambda epoch: math.nan if epoch == 5 else epoch / 100,
        "every value is": lambda epoch: math.nan,
    }
    for what, objective in gaps.items():
        for epoch in _moments(factor, 100):
            _check(_ask(factor, epoch, 100, objective), f"epoch {epoch:g} of 100, where {what} NaN")


def _check(value: Any, where: str) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Broken(f"{where}: expected a float, got {type(value).__name__}")
    if not math.isfinite(value) or value < 0:
        raise Broken(f"{where}: got {value}")


def _moments(factor: Any, epochs: int) -> Iterator[float]:
    """Yield when a schedule is asked: at every epoch, or before every step."""
    steps = STEPS if _has(factor, "is_per_step") else 1
    for epoch in range(1, epochs + 1):
        yield from (epoch + step / steps if step else epoch for step in range(steps))


def _ask(factor: Any, epoch: float, epochs: int, objective: Callable[[int], float]) -> Any:
    if not _has(factor, "is_adaptive"):
        return factor(epoch, epochs)
    return factor(epoch, epochs, [objective(done) for done in range(1, math.floor(epoch))])


def _has(factor: Any, attribute: str) -> bool:
    return bool(getattr(factor, attribute, False))


def _factor(subject: Subject) -> Any:
    factor = subject.build()
    if not callable(factor):
        raise Broken(f"the factory must return factor(epoch, epochs), got {type(factor).__name__}")
    return factor
