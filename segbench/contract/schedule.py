"""The contract of a learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable

from segbench.contract import Broken, Subject

LENGTHS = (1, 2, 3, 10, 100)


def gives_factors(subject: Subject) -> None:
    """factor(epoch, epochs) is a finite number from 0 for every epoch from 1 to the last."""
    factor = _factor(subject)
    for epochs in LENGTHS:
        for epoch in range(1, epochs + 1):
            value = factor(epoch, epochs)
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise Broken(f"epoch {epoch} of {epochs}: expected a float, got {type(value).__name__}")
            if not math.isfinite(value) or value < 0:
                raise Broken(f"epoch {epoch} of {epochs}: got {value}")


def trains_at_all(subject: Subject) -> None:
    """Some epoch has a factor above 0, whatever the number of epochs."""
    factor = _factor(subject)
    for epochs in LENGTHS:
        if not any(factor(epoch, epochs) > 0 for epoch in range(1, epochs + 1)):
            raise Broken(f"every factor of {epochs} epochs is 0")


def is_pure(subject: Subject) -> None:
    """The factor depends on epoch and epochs alone, so a resumed trial goes on as if it had not stopped."""
    factor, fresh = _factor(subject), _factor(subject)
    forwards = [factor(epoch, 10) for epoch in range(1, 11)]
    backwards = [factor(epoch, 10) for epoch in range(10, 0, -1)][::-1]
    if forwards != backwards:
        raise Broken("asked backwards it gives other factors than forwards")
    if fresh(7, 10) != forwards[6]:
        raise Broken("a fresh schedule gives another factor for epoch 7 of 10")


def _factor(subject: Subject) -> Callable[[int, int], float]:
    factor = subject.build()
    if not callable(factor):
        raise Broken(f"the factory must return factor(epoch, epochs), got {type(factor).__name__}")
    return factor  # type: ignore[no-any-return]
