"""How a number follows from what each seed measured: the steps that `segbench explain` prints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segbench.report.analysis import Analysis
from segbench.report.numbers import percent
from segbench.report.trace import Row, Trace
from segbench.stats.intervals import LEVEL, t_quantile
from segbench.wording import counted

if TYPE_CHECKING:
    import pandas as pd


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
