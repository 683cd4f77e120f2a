"""Numbers and lists as a sentence says them: plain ASCII, digits as many as the interval warrants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segbench.metrics import find_spec

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


def p_value(p: float) -> str:
    """Write `p = 0.012`, or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def count(number: int, word: str) -> str:
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
