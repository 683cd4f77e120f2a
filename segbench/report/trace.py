"""From every number of a report to the trials behind it.

A `Trace` is one number with its formula, its trials and their values by seed. The topics say which columns of
their frames are numbers (`topics.topic.Number`); `Measured` finds what their trials measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from segbench.report.numbers import (
    NONE,
    Numbers,
    count,
    effect_size,
    epochs,
    magnitude,
    p_value,
    percent,
    seeds_range,
    share,
    significant,
)
from segbench.stats.intervals import LEVEL, t_quantile
from segbench.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from segbench.report.analysis import Analysis


Row = Mapping[Any, Any]
"""Column -> value; pandas types the names of columns as Hashable only."""
Value = float | str | tuple[float, ...] | None

_MOST_HASHES = 4
"""Hashes that a hint names; `segbench explain` names all."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a number was made from."""

    trials: tuple[str, ...] = ()
    """Hashes."""
    seeds: tuple[int, ...] = ()
    by_seed: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Name of what was measured -> its value at each of `seeds`; folds (and cells) of a seed averaged."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One number of the report."""

    key: str
    """`frame/subject/name`, such as `cells/unet, BatchNorm/mean`."""
    frame: str
    subject: str
    name: str
    quantity: str
    """What it is, in words."""
    value: Value
    """As computed; a tuple: an interval, or a curve by epoch; None: there is none."""
    printed: str
    formula: str
    """How it comes from the values by seed, in words."""
    source: Source = Source()

    @property
    def trials(self) -> tuple[str, ...]:
        return self.source.trials

    @property
    def hover(self) -> str:
        """What the page shows of it: how many trials, which, their seeds, the formula."""
        trials, seeds = self.trials, self.source.seeds
        if not trials:
            return self.formula
        shown = ", ".join(trials[:_MOST_HASHES])
        if len(trials) > _MOST_HASHES:
            shown += f" and {len(trials) - _MOST_HASHES} more"
        of_seeds = f", seed{'s' * (len(seeds) > 1)} {seeds_text(seeds)}" if seeds else ""
        return f"{self.formula} {counted(len(trials), 'trial')}{of_seeds}: {shown}."


class Measured:
    """What each trial measured, by cell and by hash."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        frame = analysis.measured
        if frame is None or frame.empty or "trial" not in frame:
            self.frame = None
            self._of_cell: dict[str, list[int]] = {}
            self._of_trial: dict[str, list[int]] = {}
            return
        frame = frame[frame["trial"].notna()]
        keys = [name for name in ("seed", "fold") if name in frame]
        self.frame = frame.sort_values(keys, kind="stable").reset_index(drop=True)
        self._of_cell = _places(self.frame["cell"])
        self._of_trial = _places(self.frame["trial"])
        self._trials = [str(trial) for trial in self.frame["trial"]]
        self._seeds = [int(seed) for seed in self.frame["seed"]]
        self._states = [str(state) for state in self.frame["state"]]
        self._columns: dict[str, list[float]] = {}

    @classmethod
    def of(cls, analysis: Analysis) -> Measured:
        """Return what the trials of a report measured, worked out once."""
        key = ("measured", 0)
        if key not in analysis.traced:
            analysis.traced[key] = cls(analysis)
        found: Measured = analysis.traced[key]
        return found

    def of_cell(self, cell: str, column: str, states: Sequence[str] = ("complete",)) -> Source:
        """Return the trials of a cell in these states and what they measured, folds of a seed averaged."""
        return self._source([k for k in self._of_cell.get(cell, ()) if self._states[k] in states], column)

    def of_trials(self, trials: Sequence[str], column: str = "") -> Source:
        """Return these trials and what they measured."""
        places = sorted({k for trial in trials for k in self._of_trial.get(trial, ())[:1]})
        found = self._source(places, column)
        return Source(trials=tuple(trials), seeds=found.seeds, by_seed=found.by_seed)

    def value(self, trial: str, column: str) -> float:
        """Return what one trial measured; NaN where it did not."""
        places = self._of_trial.get(trial)
        return self._column(column)[places[0]] if places else float("nan")

    def _column(self, name: str) -> list[float]:
        assert self.frame is not None
        if name not in self._columns:
            values = self.frame[name] if name in self.frame else [float("nan")] * len(self.frame)
            self._columns[name] = [float(value) for value in values]
        return self._columns[name]

    def _source(self, places: Sequence[int], column: str) -> Source:
        if not places or self.frame is None:
            return Source()
        trials = tuple(dict.fromkeys(self._trials[k] for k in places))
        if not column or column not in self.frame:
            return Source(trials=trials, seeds=tuple(sorted({self._seeds[k] for k in places})))
        values = self._column(column)
        by_seed: dict[int, list[float]] = {}
        for k in places:
            by_seed.setdefault(self._seeds[k], []).append(values[k])
        means = tuple(_mean(of_folds) for of_folds in by_seed.values())
        return Source(trials=trials, seeds=tuple(by_seed), by_seed={column: means})


@dataclass(frozen=True)
class Traces:
    """Every number of a report, by frame, row and name."""

    all: tuple[Trace, ...]

    @cached_property
    def by_key(self) -> dict[str, Trace]:
        return {trace.key: trace for trace in self.all}

    def hover(self, frame: str, subject: str, name: str) -> str:
        """Return what a page says of a number; empty where it is not traced."""
        trace = self.by_key.get(key_of(frame, subject, name))
        return "" if trace is None or trace.printed == NONE else trace.hover

    def of_subject(self, frame: str, subject: str) -> list[Trace]:
        return [trace for trace in self.all if (trace.frame, trace.subject) == (frame, subject)]


def rows_of(frame: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return a frame's rows as mappings from column to value; none if the report has no such frame."""
    if frame is None or frame.empty:
        return []
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict(orient="records")]


def is_known(value: Any) -> bool:
    """Whether a value is there and not NaN."""
    return value is not None and value == value


def is_text(value: Any) -> bool:
    """Whether a value is text that is not empty."""
    return isinstance(value, str) and bool(value)


def key_of(frame: str, subject: str, name: str) -> str:
    return f"{frame}/{subject}/{name}"


def seeds_text(seeds: Sequence[int]) -> str:
    """Write `0 to 4`, `0, 2, 7`."""
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def _places(names: Iterable[object]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(str(name), []).append(place)
    return places


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return math.fsum(known) / len(known) if known else float("nan")


def plain(values: tuple[Any, ...]) -> Value:
    """Return the value of a trace from what stands in the columns of its frame."""
    if any(value is None or value != value for value in values):
        return None
    if len(values) > 1:
        return tuple(float(value) for value in values)
    return values[0] if isinstance(values[0], str | tuple) else float(values[0])


# How a traced number is printed: functions for `Number.show`.


Show = Callable[[Numbers, Row, tuple[Any, ...]], str]


def _plainly(text: Callable[[float], str]) -> Show:
    """Print one value alike in all rows and styles."""
    return lambda numbers, row, values: text(values[0])


show_count = _plainly(count)
show_significant = _plainly(significant)
show_magnitude = _plainly(magnitude)
show_p = _plainly(p_value)
show_share = _plainly(share)
show_epochs = _plainly(epochs)
show_effect_size = _plainly(effect_size)
show_as_is = _plainly(lambda value: f"{value:g}" if value == value else NONE)


def show_value(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return numbers.value(values[0])


def show_interval(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return numbers.interval(*values)


def show_word(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return str(values[0]) or "exploratory"


def show_of(metric: str, *, is_difference: bool = False) -> Show:
    """Print a value, or an interval, with the digits of a metric."""

    def show(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
        if len(values) > 1:
            return numbers.interval_of(metric, *values)
        return numbers.of(metric, values[0], is_difference=is_difference)

    return show


def show_of_row(*, is_difference: bool = False) -> Show:
    """Print a value, or an interval, with the digits of the row's own metric."""

    def show(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
        return show_of(str(row.get("metric", "test_")), is_difference=is_difference)(numbers, row, values)

    return show


def show_epochs_interval(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    return f"[{epochs(values[0])}, {epochs(values[1])}]" if values[0] == values[0] else NONE


def show_seeds_needed(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    low, high = values
    if low != low:
        return NONE
    return seeds_range(low, low if high != high else high).removesuffix(" seeds")


# How a number follows from what each seed measured: the steps that `segbench explain` prints.


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A row of a report that is to be explained."""

    analysis: Analysis
    frame: str
    row: Row
    traces: Sequence[Trace]
    """Its numbers."""
    epochs: pd.DataFrame | None
    """Rows of `epochs.csv` with `trial`."""

    def trace(self, name: str) -> Trace:
        return next(trace for trace in self.traces if trace.name == name)


def mean_steps(name: str, what: str) -> Callable[[Asked], Iterator[str]]:
    """Return the steps of a mean over seeds."""

    def steps(asked: Asked) -> Iterator[str]:
        trace = asked.trace(name)
        yield from by_seed(trace)
        yield ""
        values = next(iter(trace.source.by_seed.values()), ())
        yield from interval_steps([value for value in values if value == value], LEVEL, what)

    return steps


def by_seed(*traces: Trace) -> list[str]:
    """Return what each seed measured, a column a name."""
    values = {name: own for trace in traces for name, own in trace.source.by_seed.items()}
    seeds = traces[0].source.seeds if traces else ()
    rows = [(str(seed), *(number_text(own[k]) for own in values.values())) for k, seed in enumerate(seeds)]
    return columns_of([("seed", *values), *rows])


def interval_steps(values: Sequence[float], level: float, what: str) -> Iterator[str]:
    n = len(values)
    if n == 0:
        yield f"{what}: no seed was measured"
        return
    mean = math.fsum(values) / n
    yield f"{percent(level)} interval for this test set, over {counted(n, 'seed')}"
    yield f"  {what} = mean over seeds = {number_text(mean)}"
    if n == 1:
        yield "  one seed gives no interval"
        return
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    t = float(t_quantile((1 - level) / 2, n - 1))
    half = t * sd / math.sqrt(n)
    yield f"  sd = sqrt(sum of (value − mean)² / {n - 1}) = {number_text(sd)}"
    yield f"  t({(1 + level) / 2:.4g}, {n - 1}) = {t:.4f}"
    yield f"  half-width = t · sd / sqrt({n}) = {number_text(half)}"
    yield f"  interval = {ends_text(mean, half)}"


def ends_text(mean: float, half: float) -> str:
    return f"{number_text(mean - half)} to {number_text(mean + half)}"


def number_text(value: float) -> str:
    """Print six digits, a dash for what is missing."""
    return "–" if value != value else f"{value:.6g}"


def columns_of(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Align rows of text in columns."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
