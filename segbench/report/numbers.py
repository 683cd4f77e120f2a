"""How numbers are printed: one place, so that every page and figure shows the same digits."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segbench.quantities import find_quantity

if TYPE_CHECKING:
    from segbench.stats.verdict import Forecast

_NEGATIVE = re.compile(r"(?<![\w.\-])-(?=\d)")
_PERCENT = re.compile(r"(?<=\d) %")

MINUS = "−"
NONE = "–"
"""Stands for a value that does not exist."""


@dataclass(frozen=True)
class Numbers:
    """Formats values with a fixed number of decimals."""

    digits: int = 3

    def value(self, value: float) -> str:
        """Return `0.912`; a dash for NaN."""
        return NONE if _is_missing(value) else _signed(f"{value:.{self.digits}f}")

    def difference(self, value: float) -> str:
        """Return `+0.012` or `−0.012`."""
        return NONE if _is_missing(value) else _signed(f"{value:+.{self.digits}f}")

    def interval(self, low: float, high: float) -> str:
        """Return `[0.904, 0.920]`."""
        if _is_missing(low) or _is_missing(high):
            return NONE
        return f"[{self.value(low)}, {self.value(high)}]"

    def of(self, metric: str, value: float, *, is_difference: bool = False) -> str:
        """Return a value of any metric: fixed decimals for scores, three significant digits for costs."""
        quantity = find_quantity(metric)
        more = 0 if quantity is None else quantity.more_digits
        if more is not None:
            numbers = Numbers(self.digits + more)
            return numbers.difference(value) if is_difference else numbers.value(value)
        if _is_missing(value):
            return NONE
        return ("+" if is_difference and value > 0 else "") + significant(value)

    def interval_of(self, metric: str, low: float, high: float) -> str:
        """Return an interval of any metric."""
        if _is_missing(low) or _is_missing(high):
            return NONE
        return f"[{self.of(metric, low)}, {self.of(metric, high)}]"


def is_score(metric: str) -> bool:
    """Whether a metric lives between 0 and 1 (dice, iou, its sd); else it is a cost or has a unit."""
    quantity = find_quantity(metric)
    return quantity is None or quantity.more_digits is not None


def p_value(value: float) -> str:
    """Return `0.012`, or `<0.001`."""
    if _is_missing(value):
        return NONE
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def significant(value: float, digits: int = 3) -> str:
    """Return three significant digits without an exponent: `12.6`, `0.0412`, `1,942`."""
    if _is_missing(value):
        return NONE
    if value == 0:
        return "0"
    rounded = abs(float(f"{value:.{digits - 1}e}"))
    decimals = max(0, digits - 1 - math.floor(math.log10(rounded)))
    return _signed(f"{value:,.{decimals}f}")


def share(value: float) -> str:
    """Return a share of the whole: `0.123`, `−0.002`."""
    return NONE if _is_missing(value) else _signed(f"{value:.3f}")


def epochs(value: float) -> str:
    """Return a mean number of epochs: `12.3`."""
    return NONE if _is_missing(value) else _signed(f"{value:.1f}")


def effect_size(value: float) -> str:
    """Return a standardised difference: `+1.24`, `−0.30`."""
    return NONE if _is_missing(value) else _signed(f"{value:+.2f}")


def count(value: float) -> str:
    """Return a whole number, with thousands apart."""
    return NONE if _is_missing(value) else _signed(f"{round(value):,}")


def magnitude(value: float) -> str:
    """Return `31.0 M`, `4.10 G`: for parameters and operations."""
    if _is_missing(value):
        return NONE
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{significant(value / size)} {unit}"
    return significant(value)


def typographic(text: str) -> str:
    """Return a sentence with the minus sign before its negative numbers, and `95 %` in one line.

    Ranges and names stay.
    """
    return _PERCENT.sub("\u00a0%", _NEGATIVE.sub(MINUS, text))


def _is_missing(value: float) -> bool:
    return value is None or value != value


def _signed(text: str) -> str:
    if not text.strip("+-0.,"):
        return text.lstrip("+-")
    return MINUS + text[1:] if text.startswith("-") else text


# Numbers and lists as a sentence says them: plain ASCII, digits as many as the interval warrants.


def metric_words(metric: str) -> str:
    """Write `test Dice`, `test IoU at the last epoch`, `seconds per epoch`; unknown names stay."""
    quantity = find_quantity(metric)
    return metric if quantity is None else quantity.words or metric


def decimals_for(half_width: float, *, default: int = 4) -> int:
    """Return the decimals that show two significant digits of an interval's half-width."""
    if not math.isfinite(half_width) or half_width <= 0:
        return default
    return min(max(1 - math.floor(math.log10(half_width)), 0), 6)


def signed(value: float, decimals: int) -> str:
    """Write a difference with its sign; zero has none."""
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text


def interval(low: float, high: float, decimals: int) -> str:
    return f"{signed(low, decimals)} to {signed(high, decimals)}"


def percent(level: float) -> str:
    """Write a coverage: `95 %`, `98.3 %`."""
    return f"{100 * level:.3g} %"


def p_in_words(p: float) -> str:
    """Write `p = 0.012`, or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def forecasts_in_words(forecasts: Sequence[Forecast]) -> str:
    """Write `5 to 14 seeds would show a difference as large as the one seen, 27 seeds one of 0.005`."""
    from segbench.stats.power import POWER

    parts = []
    for number, each in enumerate(forecasts):
        seeds = seeds_range(each.low, each.high)
        if each.is_equivalence:
            parts.append(f"{seeds} would show equivalence at the difference seen")
        elif number == 0:
            parts.append(f"{seeds} would show a difference as large as the one seen")
        else:
            parts.append(f"{seeds} one of {each.difference:g}")
    return f"{', '.join(parts)}, with {100 * POWER:.0f} % power" if parts else ""


def seeds_range(low: float, high: float) -> str:
    """Write `9 to 24 seeds`; infinity reads `more than 10,000`."""
    if math.isinf(low):
        return "more than 10,000 seeds"
    upper = "more than 10,000" if math.isinf(high) else f"{int(high):,}"
    return f"{int(low):,} seeds" if low == high else f"{int(low):,} to {upper} seeds"
