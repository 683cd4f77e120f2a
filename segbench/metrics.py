"""Which metrics there are: names, which way is better, what they are measured on. No number is computed here.

It lies at the bottom because everything speaks of metrics: files name them, the engine computes them (the
functions of `segbench.engine.metrics` define them), reports judge by their direction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """What is known of a metric by its name."""

    name: str
    """Column without prefix: `dice` is `val_dice` and `test_dice` in files."""
    words: str
    """What a sentence calls it."""
    unit: str = ""
    is_lower_better: bool = False
    best: float = 1.0
    worst: float | None = 0.0
    """Worst possible value; None: it depends on the image's size."""
    parts: tuple[str, ...] = ("val", "test")
    """Parts of the split that it is measured on: `val` after every epoch, `test` once a set of weights."""
    is_per_image: bool = True
    """Whether every image has a value; else there is one of the whole set."""

    @property
    def about(self) -> str:
        """Say where it is measured, in what range, and which way is better."""
        end = f"{self.worst:g}" if self.worst is not None else "the image's diagonal"
        direction = "lower" if self.is_lower_better else "higher"
        of = "per image" if self.is_per_image else "of the whole set"
        ends = [f"{self.best:g}", end] if self.is_lower_better else [end, f"{self.best:g}"]
        return f"{' and '.join(self.parts)}, {of}, {' to '.join(ends)}, {direction} is better"


def _distance(name: str, words: str) -> MetricSpec:
    return MetricSpec(
        name=name, words=words, unit="px", is_lower_better=True, best=0.0, worst=None, parts=("test",)
    )


SPECS: Final[Mapping[str, MetricSpec]] = {
    spec.name: spec
    for spec in (
        MetricSpec(name="dice", words="Dice"),
        MetricSpec(name="iou", words="IoU"),
        MetricSpec(name="precision", words="precision"),
        MetricSpec(name="recall", words="recall"),
        MetricSpec(name="accuracy", words="pixel accuracy"),
        MetricSpec(name="specificity", words="specificity"),
        MetricSpec(name="soft_dice", words="soft Dice"),
        MetricSpec(name="pooled_dice", words="pooled Dice", is_per_image=False),
        _distance("hd95_px", "95 % Hausdorff distance"),
        _distance("assd_px", "average surface distance"),
        MetricSpec(name="surface_dice", words="surface Dice", parts=("test",)),
    )
}
"""Name -> what is known of it, in the order of columns."""


def _columns(part: str) -> tuple[str, ...]:
    return tuple(f"{part}_{spec.name}" for spec in SPECS.values() if part in spec.parts)


VAL_METRICS: Final = ("val_loss", *_columns("val"))
"""What may be the objective."""

COST_METRICS: Final = ("epoch_time_s", "peak_memory_mib", "parameters", "flops")
"""What a configuration costs: the lower the better. Every trial has them."""

TEST_METRICS: Final = (*_columns("test"), *(f"{name}_last" for name in _columns("test")))
"""What may be the outcome: at the selected weights, and at the last epoch's."""


def find_spec(column: str) -> MetricSpec | None:
    """Return what is known of a column such as `val_dice` or `test_hd95_px_last`; None where it is none."""
    part, _, rest = column.partition("_")
    spec = SPECS.get(rest.removesuffix("_last"))
    is_known = spec is not None and (part in spec.parts or part == "train")
    return spec if is_known else None


IMAGE_METRICS: Final = tuple(
    name for name in TEST_METRICS if (spec := find_spec(name)) is not None and spec.is_per_image
)
"""Test metrics that every image has a value of; at the last weights `images.csv.gz` holds dice alone."""


def is_lower_better(column: str) -> bool:
    """Whether a column of the epochs or of the test is the better the lower it is, as losses are."""
    spec = find_spec(column)
    return column.endswith("_loss") if spec is None else spec.is_lower_better
