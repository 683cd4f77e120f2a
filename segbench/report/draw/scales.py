"""Limits and ticks, chosen once for all renderers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from segbench.report.draw.figure import Scale

_MINUS = "−"
_MOST_LOG_TICKS = 4


def linear(
    values: Iterable[float], label: str, *, num_ticks: int = 5, pad: float = 0.05, whole: bool = False
) -> Scale:
    """Return a scale over the finite values, with round ticks inside it."""
    finite = [v for v in values if math.isfinite(v)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if high - low < 1e-9 * max(abs(high), 1e-9):
        margin = max(abs(high) * 0.05, 1e-3)
        low, high = low - margin, high + margin
    span = high - low
    low, high = low - pad * span, high + pad * span
    step = _round_step((high - low) / num_ticks, whole=whole)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    ticks = tuple(round(k * step, 12) for k in range(first, last + 1))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step, decimals) != round(step, 12):
        decimals += 1
    return Scale(
        label=label,
        low=low,
        high=high,
        ticks=ticks,
        tick_labels=tuple(_text(t, decimals) for t in ticks),
    )


def logarithmic(values: Iterable[float], label: str) -> Scale:
    """Return a logarithmic scale with ticks at 1, 2, 5 times powers of ten."""
    finite = [v for v in values if math.isfinite(v) and v > 0]
    low, high = (min(finite), max(finite)) if finite else (1.0, 10.0)
    span = max(high / low, 1.5)
    low, high = low / span**0.12, high * span**0.12
    factors: tuple[float, ...] = (1, 2, 5) if high / low < 300 else (1,)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [f * 10.0**e for e in exponents for f in factors if low <= f * 10.0**e <= high]
    ticks = ticks[:: -(-len(ticks) // _MOST_LOG_TICKS)]
    if len(ticks) < 2:
        ticks = [low * 1.05, high / 1.05]
    return Scale(
        label=label,
        low=low,
        high=high,
        ticks=tuple(ticks),
        tick_labels=tuple(power_text(t) for t in ticks),
        is_log=True,
    )


def spread(values: Sequence[float], label: str) -> Scale:
    """Return a logarithmic scale where the values differ by more than five times, else a linear one."""
    finite = [v for v in values if math.isfinite(v)]
    if finite and min(finite) > 0 and max(finite) / min(finite) > 5:
        return logarithmic(finite, label)
    return linear(finite, label, pad=0.12)


def categories(labels: Sequence[str], label: str = "") -> Scale:
    """Return a scale whose row 0 is on top: row k stands at y = -k."""
    positions = tuple(-float(k) for k in range(len(labels)))
    return Scale(
        label=label,
        low=-len(labels) + 0.4,
        high=0.6,
        ticks=positions,
        tick_labels=tuple(labels),
        is_category=True,
    )


def dodge(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions apart until neighbours are at least `gap` from each other, order and middle kept.

    Groups that touch are spread evenly around their mean, then moved inside [low, high] where they fit.
    """
    order = sorted(range(len(positions)), key=lambda k: positions[k])
    groups: list[tuple[list[int], float]] = []
    for index in order:
        groups.append(([index], positions[index]))
        while len(groups) > 1 and _bottom(groups[-1], gap) < _top(groups[-2], gap) + gap - 1e-12:
            (upper, mean_upper), (lower, mean_lower) = groups.pop(), groups.pop()
            members = lower + upper
            mean = (mean_lower * len(lower) + mean_upper * len(upper)) / len(members)
            groups.append((members, mean))
    placed = [0.0] * len(positions)
    for members, mean in groups:
        start = mean - gap * (len(members) - 1) / 2
        start = max(low, min(start, high - gap * (len(members) - 1)))
        for k, index in enumerate(members):
            placed[index] = start + k * gap
    return placed


def _bottom(group: tuple[list[int], float], gap: float) -> float:
    return group[1] - gap * (len(group[0]) - 1) / 2


def _top(group: tuple[list[int], float], gap: float) -> float:
    return group[1] + gap * (len(group[0]) - 1) / 2


def _round_step(raw: float, *, whole: bool) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(f * power for f in (1, 2, 2.5, 5, 10) if f * power >= raw - 1e-12)
    return max(1.0, math.ceil(step)) if whole else step


def power_text(value: float) -> str:
    """Return `0.01`, `20`, `1e−5`."""
    text = f"{value:.3g}"
    if 1e-3 <= value < 1e5:
        return text
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}".replace("-", _MINUS)


def _text(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    if not text.strip("-0."):
        return text.lstrip("-")
    return text.replace("-", _MINUS)
