"""How a traced number is printed: functions for `Quantity.show`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from segbench.report.numbers import (
    NONE,
    Numbers,
    count,
    effect_size,
    epochs,
    magnitude,
    p_value,
    share,
    significant,
)
from segbench.report.phrases import seeds_range
from segbench.report.trace import Row

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
