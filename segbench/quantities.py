"""Every quantity that is measured, declared once: metrics, losses and costs. No number is computed here.

A metric is declared where it is computed: `@Metric(words="Dice")` stands above its function in a file of
`segbench/engine/metrics/`. This module reads these declarations with `ast`, without importing them, so that
configuration, plans and reports know every metric and need neither numpy nor torch. One new file there is a
new metric: it gets its columns `val_<name>` and `test_<name>`, may be an objective, an outcome or the subject
of a claim, and appears in lists, documentation, tables, exports and macros. Costs are declared below.

`find_quantity` says what is known of a column; code that validates, aggregates, prints or compares a column
asks it. A table made elsewhere may hold columns that segbench did not declare: the words of their names say
what is known of them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

_FOLDER: Final = Path(__file__).parent / "engine" / "metrics"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of masks: the decorator that declares it, and what is known of it.

    Every argument is a literal. The function's positional parameters say what the metric is computed from:
    `counts` and `sums` of all images at once, or the `distances` (and the `tolerance_px`) of one image. Its
    docstring is the metric's definition in lists and documentation.
    """

    words: str
    """What a sentence calls it."""
    unit: str = ""
    is_lower_better: bool = False
    best: float = 1.0
    worst: float | None = 0.0
    """Worst possible value; None: it depends on the image's size."""
    is_per_image: bool = True
    """Whether every image has a value; else there is one value of the whole set."""
    name: str = ""
    """Read from the source: the function's name. `dice` is `val_dice` and `test_dice` in files."""
    module: str = ""
    """Read from the source: the file that defines it, without its ending."""
    takes: tuple[str, ...] = ()
    """Read from the source: the function's positional parameters."""
    doc: str = ""
    """Read from the source: the function's docstring."""

    def __call__(self, function: Function) -> Function:
        """Leave the function as it is; the declaration is read from the source."""
        return function

    @property
    def family(self) -> str:
        """Return which metrics are computed together with it: one of `FAMILIES`."""
        if not self.is_per_image:
            return "pooled"
        return "surface" if "distances" in self.takes else "soft" if "sums" in self.takes else "counts"

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the parts of the split it is measured on: `val` after every epoch, `test` once per weights.

        Outlines cost the CPU too much to be measured after every epoch.
        """
        return ("test",) if self.family == "surface" else ("val", "test")

    @property
    def summary(self) -> str:
        """Return the first line of its definition."""
        return self.doc.partition("\n")[0]

    @property
    def about(self) -> str:
        """Say where it is measured, in what range, and which way is better."""
        end = f"{self.worst:g}" if self.worst is not None else "the image's diagonal"
        direction = "lower" if self.is_lower_better else "higher"
        of = "per image" if self.is_per_image else "of the whole set"
        ends = [f"{self.best:g}", end] if self.is_lower_better else [end, f"{self.best:g}"]
        return f"{' and '.join(self.parts)}, {of}, {' to '.join(ends)}, {direction} is better"


FAMILIES: Final = ("counts", "soft", "pooled", "surface")
"""Metrics that are computed together, named after the file that holds what they take; in columns' order."""


def read_metrics(folder: Path = _FOLDER) -> dict[str, Metric]:
    """Read the declarations of a folder: name -> metric, in the order of columns.

    Within a family, metrics of the family's own file come first, then those of other files by name.
    """
    found: list[Metric] = []
    for file in sorted(folder.glob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            declared = _declaration(node)
            if isinstance(node, ast.FunctionDef) and declared is not None:
                found.append(
                    Metric(
                        **{str(each.arg): ast.literal_eval(each.value) for each in declared.keywords},
                        name=node.name,
                        module=file.stem,
                        takes=tuple(argument.arg for argument in node.args.args),
                        doc=ast.get_docstring(node) or "",
                    )
                )
    found.sort(key=lambda metric: (FAMILIES.index(metric.family), metric.module != metric.family))
    return {metric.name: metric for metric in found}


def _declaration(node: ast.stmt) -> ast.Call | None:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    calls = [each for each in decorators if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)]
    return next((call for call in calls if call.func.id == "Metric"), None)  # type: ignore[attr-defined]


METRICS: Final[Mapping[str, Metric]] = read_metrics()
"""Name -> metric, in the order of columns."""


class Kind(StrEnum):
    """What a quantity may be used for."""

    TEST = "test"
    """Measured on the test images, once per weights: the only kind that verdicts on quality rest on."""
    VALIDATION = "validation"
    """Measured on the validation images after each epoch. A trial's value is that of its selected epoch: the
    best of many, so it is never contrasted."""
    TRAINING = "training"
    """A running mean over an epoch's training images."""
    INSTABILITY = "instability"
    COST = "cost"
    DETERMINISTIC = "deterministic"
    """A cost that is the same in every replicate: compared exactly, without a test."""


class OverEpochs(StrEnum):
    """How the epochs of a trial become one value."""

    SELECTED = "selected"
    """The value at the selected epoch."""
    MEDIAN = "median"
    """The median without the first epoch, which pays for warming up; it counts if it is the only one."""
    LARGEST = "largest"


class Print(StrEnum):
    """How a median over the trials of a configuration is printed."""

    SIGNIFICANT = "significant"
    """`12.6`"""
    COUNT = "count"
    """`1,942`"""
    MAGNITUDE = "magnitude"
    """`31.0 M`"""


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """What is known of a column of measured values."""

    name: str
    """The column: `val_dice`, `test_hd95_px_last`, `epoch_time_s`."""
    kind: Kind
    words: str = ""
    """What a sentence calls it; empty: its name."""
    label: str = ""
    """Its name on an axis and at the head of a column; empty: its name."""
    heading: str = ""
    """Of a cost: the head of its column in the table of costs."""
    short: str = ""
    """Of a cost: one word for it."""
    is_lower_better: bool = True
    worst: float | None = None
    """Worst possible value, which stands for a diverged trial; None: unbounded."""
    more_digits: int | None = None
    """It is printed with so many decimals more than scores are; None: with three significant digits."""
    median: Print = Print.SIGNIFICANT
    over_epochs: OverEpochs | None = None
    """How the epochs of a trial become one value; None: no epoch has it."""
    is_limit: bool = False
    """Whether a search may have it as a goal or a constraint: every trial has it, and no test image."""
    axis_units: tuple[tuple[float, float, str], ...] = ()
    """Units of a figure's axis: (least largest value, divisor, words), the largest first."""
    metric: Metric | None = None
    """The metric that is measured; None: a loss or a cost, or a column that segbench did not declare."""
    is_declared: bool = True
    """Whether segbench measures it; else it was made elsewhere, and its name alone is known."""

    @property
    def has_worst_case(self) -> bool:
        """Whether a divergence bears on it at all; costs of the trials that completed do not care."""
        return self.kind in (Kind.TEST, Kind.VALIDATION, Kind.INSTABILITY)

    @property
    def is_cost(self) -> bool:
        return self.kind in (Kind.COST, Kind.DETERMINISTIC)

    @property
    def is_per_image(self) -> bool:
        """Whether every image has a value of it."""
        return self.kind is Kind.TEST and self.metric is not None and self.metric.is_per_image

    @property
    def is_at_last(self) -> bool:
        """Whether it is measured at the last epoch's weights instead of the selected ones."""
        return self.kind is Kind.TEST and self.name.endswith("_last")

    @property
    def last(self) -> str:
        """Return the name of the same metric at the last epoch's weights."""
        return self.name if self.is_at_last else f"{self.name}_last"

    @property
    def image_metric(self) -> str:
        """Return its name in the long frame of images: `test_dice` is `dice` there."""
        return self.name.removeprefix("test_")

    @property
    def direction(self) -> str:
        """Return `minimize` or `maximize`."""
        return "minimize" if self.is_lower_better else "maximize"


_PARTS: Final = {
    "train": (Kind.TRAINING, "train"),
    "val": (Kind.VALIDATION, "validation"),
    "test": (Kind.TEST, "test"),
}
"""Part of the split -> its kind of quantity, and its word in labels."""


def _loss(part: str) -> Quantity:
    kind, word = _PARTS[part]
    return Quantity(
        name=f"{part}_loss",
        kind=kind,
        words=f"{part} loss",
        label=f"Loss ({word})",
        more_digits=0,
        over_epochs=OverEpochs.SELECTED,
    )


def _measured(part: str, metric: Metric, *, is_last: bool = False) -> Quantity:
    kind, word = _PARTS[part]
    notes = ", ".join(filter(None, (word, "last epoch" if is_last else "", metric.unit)))
    unit = f" ({metric.unit})" if metric.unit else ""
    return Quantity(
        name=f"{part}_{metric.name}{'_last' if is_last else ''}",
        kind=kind,
        words=f"{part} {metric.words}{unit}{' at the last epoch' if is_last else ''}",
        label=f"{metric.words[:1].upper()}{metric.words[1:]} ({notes})",
        is_lower_better=metric.is_lower_better,
        worst=metric.worst,
        more_digits=None if metric.unit else 0,
        over_epochs=None if part == "test" else OverEpochs.SELECTED,
        metric=metric,
    )


_COSTS: Final = (
    Quantity(
        name="parameters",
        kind=Kind.DETERMINISTIC,
        label="Parameters",
        heading="Parameters",
        short="parameters",
        median=Print.MAGNITUDE,
        is_limit=True,
        axis_units=((1e5, 1e6, "millions"), (0.0, 1e3, "thousands")),
    ),
    Quantity(
        name="flops",
        kind=Kind.DETERMINISTIC,
        label="Operations per image",
        heading="FLOPs",
        short="FLOPs",
        median=Print.MAGNITUDE,
        is_limit=True,
        axis_units=((1e8, 1e9, "billions"), (0.0, 1e6, "millions")),
    ),
    Quantity(
        name="epoch_time_s",
        kind=Kind.COST,
        words="seconds per epoch",
        label="Seconds per epoch",
        heading="s per epoch",
        short="time",
        over_epochs=OverEpochs.MEDIAN,
        is_limit=True,
    ),
    Quantity(
        name="images_per_s",
        kind=Kind.COST,
        words="images per second",
        label="Images per second",
        heading="Images per s",
        is_lower_better=False,
        over_epochs=OverEpochs.MEDIAN,
    ),
    Quantity(
        name="peak_memory_mib",
        kind=Kind.COST,
        words="MiB of peak memory",
        label="Peak memory (MiB)",
        heading="Peak MiB",
        short="memory",
        median=Print.COUNT,
        over_epochs=OverEpochs.LARGEST,
        is_limit=True,
    ),
    Quantity(
        name="data_wait_s",
        kind=Kind.COST,
        words="seconds per epoch of waiting for data",
        label="Seconds per epoch waiting for data",
        heading="s waiting",
        over_epochs=OverEpochs.MEDIAN,
    ),
    Quantity(name="train_time_s", kind=Kind.COST, label="Seconds of training"),
)
"""What a configuration costs."""

_INSTABILITY: Final = Quantity(
    name="instability",
    kind=Kind.INSTABILITY,
    words="instability (sd of validation Dice over the last epochs)",
    label="Instability (sd of the last epochs)",
    more_digits=2,  # the sd of a score over epochs is a hundredth of a score
)


def _quantities() -> Iterator[Quantity]:
    yield _loss("train")
    yield _measured("train", METRICS["dice"])
    yield _loss("val")
    for is_last, part in ((False, "val"), (False, "test"), (True, "test")):
        for metric in METRICS.values():
            if part in metric.parts:
                yield _measured(part, metric, is_last=is_last)
    yield from _COSTS
    yield _INSTABILITY


QUANTITIES: Final[Mapping[str, Quantity]] = {each.name: each for each in _quantities()}
"""Name -> quantity, in the order of columns and lists."""


def names_of(*kinds: Kind) -> tuple[str, ...]:
    """Return the names of the declared quantities of some kinds, in the order of columns."""
    return tuple(name for name, quantity in QUANTITIES.items() if quantity.kind in kinds)


VAL_METRICS: Final = names_of(Kind.VALIDATION)
"""What may be the objective."""

TEST_METRICS: Final = names_of(Kind.TEST)
"""What may be the outcome: at the selected weights, then at the last epoch's."""

IMAGE_METRICS: Final = tuple(name for name in TEST_METRICS if QUANTITIES[name].is_per_image)
"""Test metrics of which every image has a value; `images.csv.gz` holds dice alone at the last weights."""

LIMITS: Final = tuple(name for name, quantity in QUANTITIES.items() if quantity.is_limit)
"""Costs that a search may have as a goal or a constraint: the lower the better, and every trial has them."""

TRIAL_COSTS: Final = tuple(name for name, each in QUANTITIES.items() if each.is_cost and not each.over_epochs)
"""Costs that a trial has once: they stand in `trial.json` instead of `epochs.csv`."""


# Columns of tables that were made elsewhere: what a name's words say.


_OVERLAPS: Final = frozenset(
    ("dice", "iou", "accuracy", "precision", "recall", "sensitivity", "specificity", "f1")
)
"""Words of metrics between 0 and 1 of which 0 is the worst value."""

_LOWER_IS_BETTER: Final = frozenset(("loss", "hd", "hd95", "assd", "error", "ece", "brier", "nll"))
"""Words of metrics of which the lowest value is the best."""

_UNITS: Final = ("_s", "_mib", "_px")
"""Ends of names that say a unit: such values are no scores between 0 and 1."""

_DECLARED: ContextVar[Mapping[str, bool]] = ContextVar("_DECLARED", default={})  # noqa: B039 (never changed)


@contextmanager
def declared(directions: Mapping[str, bool]) -> Iterator[None]:
    """Say of columns that segbench did not declare whether lower is better, for as long as the block lasts.

    Args:
        directions: Column (`test_drift`) -> whether lower is better.
    """
    token = _DECLARED.set(directions)
    try:
        yield
    finally:
        _DECLARED.reset(token)


def is_direction_known(name: str) -> bool:
    """Whether a column is declared, or a word of its name says which way is better."""
    return name in QUANTITIES or bool(_words(name) & (_OVERLAPS | _LOWER_IS_BETTER))


def find_quantity(name: str) -> Quantity | None:
    """Return what is known of a column; None if its name belongs to no kind.

    Of a column that segbench did not declare (`test_drift`), the words of its name say which way is better.
    """
    if name in QUANTITIES:
        return QUANTITIES[name]
    part, _, rest = name.partition("_")
    if part not in ("val", "test") or not rest:
        return None
    is_lower = _DECLARED.get().get(name.removesuffix("_last"), bool(_words(name) & _LOWER_IS_BETTER))
    core, at_last = (rest[:-5], " at the last epoch") if rest.endswith("_last") else (rest, "")
    return Quantity(
        name=name,
        kind=_PARTS[part][0],
        words=f"{part} {core}{at_last}",
        is_lower_better=is_lower,
        worst=0.0 if _words(name) & _OVERLAPS and not is_lower else None,
        more_digits=None if core.endswith(_UNITS) else 0,
        is_declared=False,
    )


def is_lower_better(name: str) -> bool:
    """Whether a column is the better the lower it is, as losses and costs are."""
    quantity = find_quantity(name)
    return quantity is not None and quantity.is_lower_better


def axis_unit(name: str, largest: float) -> tuple[float, str]:
    """Return what an axis of a column divides values up to `largest` by, and what its title adds."""
    quantity = find_quantity(name)
    for least, divisor, words in () if quantity is None else quantity.axis_units:
        if largest >= least:
            return divisor, f" ({words})"
    return 1.0, ""


def _words(name: str) -> set[str]:
    return set(name.partition("_")[2].removesuffix("_last").split("_"))
