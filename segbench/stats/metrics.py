"""What a metric's name says: which way is better, what the worst value is, and what it may be used for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from segbench.metrics import find_spec

OVERLAPS: Final = ("dice", "iou", "accuracy", "precision", "recall", "sensitivity", "specificity", "f1")
"""Words of metrics in 0..1 of which 0 is the worst value, for columns that are not segbench's own."""

LOWER_IS_BETTER: Final = ("loss", "hd", "hd95", "assd", "error", "ece", "brier", "nll")
"""Words of metrics of which the lowest value is the best, for columns that are not segbench's own."""

COSTS: Final = ("epoch_time_s", "train_time_s", "images_per_s", "peak_memory_mib", "data_wait_s")
DETERMINISTIC: Final = ("parameters", "flops")
INSTABILITY: Final = "instability"


class Kind(StrEnum):
    """What a metric may be used for."""

    TEST = "test"
    """Measured once on the test images: the only kind that verdicts on quality rest on."""
    VALIDATION = "validation"
    """Value at the selected epoch: the largest of many, so never contrasted."""
    INSTABILITY = "instability"
    COST = "cost"
    DETERMINISTIC = "deterministic"
    """The same in every replicate: compared exactly, without a test."""


@dataclass(frozen=True)
class Metric:
    """A column of the measured table."""

    name: str
    kind: Kind
    is_lower_better: bool
    worst: float | None
    """Worst possible value, which stands for a diverged trial; None: unbounded."""
    has_worst_case: bool
    """Whether a divergence bears on the metric at all; costs of the trials that completed do not care."""

    @property
    def image_metric(self) -> str:
        """Name in the long frame of images: `test_dice` is `dice` there."""
        return self.name.removeprefix("test_")

    @property
    def last(self) -> str:
        """The same metric at the last epoch's weights."""
        return self.name if self.name.endswith("_last") else f"{self.name}_last"


_DECLARED: ContextVar[Mapping[str, bool]] = ContextVar("_DECLARED", default={})  # noqa: B039 (never changed)


@contextmanager
def declared(directions: Mapping[str, bool]) -> Iterator[None]:
    """Say of metrics that segbench does not know whether lower is better, for as long as the block lasts.

    Args:
        directions: Column (`test_drift`) -> whether lower is better.
    """
    token = _DECLARED.set(directions)
    try:
        yield
    finally:
        _DECLARED.reset(token)


def is_direction_known(name: str) -> bool:
    """Whether the name of a metric says which way is better."""
    words = set(name.partition("_")[2].removesuffix("_last").split("_"))
    return find_spec(name) is not None or bool(words & {*OVERLAPS, *LOWER_IS_BETTER})


def read_metric(name: str) -> Metric | None:
    """Return what is known of a metric; None where the name belongs to no kind."""
    if name in DETERMINISTIC:
        return Metric(name, Kind.DETERMINISTIC, True, None, False)
    if name in COSTS:
        return Metric(name, Kind.COST, name != "images_per_s", None, False)
    if name == INSTABILITY:
        return Metric(name, Kind.INSTABILITY, True, None, True)
    prefix, _, rest = name.partition("_")
    kind = {"test": Kind.TEST, "val": Kind.VALIDATION}.get(prefix)
    if kind is None or not rest:
        return None
    spec = find_spec(name)
    if spec is not None:
        return Metric(name, kind, spec.is_lower_better, spec.worst, True)
    core = rest.removesuffix("_last")
    words = set(core.split("_"))
    is_lower = _DECLARED.get().get(name.removesuffix("_last"), bool(words & set(LOWER_IS_BETTER)))
    return Metric(name, kind, is_lower, 0.0 if words & set(OVERLAPS) and not is_lower else None, True)
