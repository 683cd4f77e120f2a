"""The contract of an input scaling."""

from __future__ import annotations

import math

from segbench.axes.input import Scaling
from segbench.contract import Broken, Subject

_MEANS, _STDS = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)


def scales_each_channel(subject: Subject) -> None:
    """It gives a finite mean and a positive std, one value or one a channel."""
    scaling = _scaling(subject)
    for name, values in (("mean", scaling.mean), ("std", scaling.std)):
        if len(values) not in (1, 3):
            raise Broken(f"{name} has {len(values)} values for 3 channels")
        if not all(math.isfinite(value) for value in values):
            raise Broken(f"{name} is {values}")
    if min(scaling.std) <= 0:
        raise Broken(f"std is {scaling.std}")


def bears_a_constant_channel(subject: Subject) -> None:
    """A channel without variation is scaled without dividing by zero."""
    scaling = subject.build(lambda: ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), 255.0)
    if min(scaling.std) <= 0:
        raise Broken(f"std is {scaling.std}")


def is_repeatable(subject: Subject) -> None:
    """Asked again, it gives the same scaling."""
    if _scaling(subject) != _scaling(subject):
        raise Broken("a second call gives another scaling")


def _scaling(subject: Subject) -> Scaling:
    scaling = subject.build(lambda: (_MEANS, _STDS), 255.0)
    if not isinstance(scaling, Scaling):
        raise Broken(f"the factory must return a Scaling, got {type(scaling).__name__}")
    return scaling
