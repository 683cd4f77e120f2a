"""Limits and ticks of axes, chosen once for all back ends; matplotlib's locators choose the ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from matplotlib.ticker import LogLocator, MaxNLocator, ScalarFormatter

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
    locator = MaxNLocator(num_ticks, steps=[1, 2, 2.5, 5, 10], integer=whole, min_n_ticks=1)
    ticks = tuple(float(t) for t in locator.tick_values(low, high) if low <= t <= high)
    formatter = ScalarFormatter(useOffset=False)
    formatter.set_scientific(False)
    formatter.create_dummy_axis()
    assert formatter.axis is not None
    formatter.axis.set_view_interval(low, high)
    labels = tuple(formatter.format_ticks(list(ticks)))
    return Scale(label=label, low=low, high=high, ticks=ticks, tick_labels=labels)


def logarithmic(values: Iterable[float], label: str) -> Scale:
    """Return a logarithmic scale with ticks at powers of ten, on a short one also at 2 and 5 times them."""
    finite = [v for v in values if math.isfinite(v) and v > 0]
    low, high = (min(finite), max(finite)) if finite else (1.0, 10.0)
    span = max(high / low, 1.5)
    low, high = low / span**0.12, high * span**0.12
    locator = LogLocator(subs=(1, 2, 5) if high / low < 300 else (1,), numticks=10_000)
    ticks = [float(t) for t in locator.tick_values(low, high) if low <= t <= high]
    ticks = ticks[:: -(-len(ticks) // _MOST_LOG_TICKS) or 1]
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
    """Return a logarithmic scale if the values differ by more than five times, else a linear one."""
    finite = [v for v in values if math.isfinite(v)]
    if finite and min(finite) > 0 and max(finite) / min(finite) > 5:
        return logarithmic(finite, label)
    return linear(finite, label, pad=0.12)


def categories(labels: Sequence[str], label: str = "") -> Scale:
    """Return a scale with row 0 on top: row k is at y = -k."""
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
    """Move positions apart until neighbours are at least `gap` from each other; keep order and middle.

    Groups that touch are spread evenly around their mean, then moved inside [low, high] if they fit.
    """
    order = sorted(range(len(positions)), key=lambda k: positions[k])
    groups: list[tuple[list[int], float]] = []
    for index in order:
        members, mean = [index], positions[index]
        while groups and mean - groups[-1][1] < gap * (len(members) + len(groups[-1][0])) / 2 - 1e-12:
            lower, mean_lower = groups.pop()
            mean = (mean_lower * len(lower) + mean * len(members)) / (len(lower) + len(members))
            members = lower + members
        groups.append((members, mean))
    placed = [0.0] * len(positions)
    for members, mean in groups:
        height = gap * (len(members) - 1)
        start = max(low, min(mean - height / 2, high - height))
        for k, index in enumerate(members):
            placed[index] = start + k * gap
    return placed


def power_text(value: float) -> str:
    """Return `0.01`, `20`, `1e−5`."""
    text = f"{value:.3g}"
    if 1e-3 <= value < 1e5:
        return text
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}".replace("-", _MINUS)
