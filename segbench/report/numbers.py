"""How numbers are printed: one place, so that every page and figure shows the same digits."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segbench.metrics import find_spec

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
        if is_score(metric):
            # The sd of a score over epochs is a hundredth of a score.
            numbers = Numbers(self.digits + 2) if metric == "instability" else self
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
    """Whether a metric lives between 0 and 1 (dice, iou, its sd); else it is a cost with a unit."""
    name = metric.removesuffix("_last")
    return not name.endswith(("_s", "_mib", "_px")) and name not in ("parameters", "flops")


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


_METRIC_WORDS = {
    "loss": "loss",
    "epoch_time_s": "seconds an epoch",
    "images_per_s": "images per second",
    "peak_memory_mib": "MiB of peak memory",
    "data_wait_s": "seconds an epoch of waiting for data",
    "instability": "instability (sd of validation Dice over the last epochs)",
}


def metric_words(metric: str) -> str:
    """Write `test Dice`, `test IoU at the last epoch`, `seconds an epoch`; an unknown name stays as it is."""
    if metric in _METRIC_WORDS:
        return _METRIC_WORDS[metric]
    part, _, name = metric.partition("_")
    if part not in ("test", "val", "train"):
        return metric
    spec = find_spec(metric)
    name, at_last = (name[:-5], " at the last epoch") if name.endswith("_last") else (name, "")
    words = _METRIC_WORDS.get(name, name) if spec is None else spec.words
    unit = f" ({spec.unit})" if spec is not None and spec.unit else ""
    return f"{part} {words}{unit}{at_last}"


def decimals_for(half_width: float, *, default: int = 4) -> int:
    """Return the decimals that show two significant digits of an interval's half-width."""
    if not np.isfinite(half_width) or half_width <= 0:
        return default
    return int(np.clip(1 - np.floor(np.log10(half_width)), 0, 6))


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


def counted(number: int, word: str) -> str:
    """Write `1 seed`, `3 seeds`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def seeds_range(low: float, high: float) -> str:
    """Write `9 to 24 seeds`; infinity reads `more than 10,000`."""
    if np.isinf(low):
        return "more than 10,000 seeds"
    upper = "more than 10,000" if np.isinf(high) else f"{int(high):,}"
    return f"{int(low):,} seeds" if low == high else f"{int(low):,} to {upper} seeds"


def listed(words: Sequence[str]) -> str:
    """Write `a`, `a and b`, `a, b and c`."""
    words = list(words)
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
