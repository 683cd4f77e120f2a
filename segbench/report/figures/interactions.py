"""Interactions as lines: the mean of every pair of levels of two axes. Parallel lines: the effects add up."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from segbench.metrics import is_lower_better
from segbench.report.analysis import Analysis
from segbench.report.figures.figure import Facet, Figure, Key, Mark, Scale, in_rows
from segbench.report.figures.geometry import shortened
from segbench.report.figures.palette import DASHES, Look, colour, marker
from segbench.report.figures.scales import linear
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers
from segbench.report.trace_designs import pair_subject

_HEIGHT_CM = 4.6
_MOST_FACETS = 6
_LEFT_CM = 1.45
_APART = 0.07
"""Distance of two lines along x, in steps between levels: their intervals must not hide each other."""


@dataclass(frozen=True)
class _Pair:
    """One plot: levels of one axis side by side, a line for each level of the other."""

    means: pd.DataFrame
    along: str
    lines: str

    @classmethod
    def of(cls, means: pd.DataFrame, axis_a: str, axis_b: str, labels: Labels) -> _Pair:
        """Put the axis of more levels along x, the second where they have as many."""
        both = means[(means["axis_a"] == axis_a) & (means["axis_b"] == axis_b)]
        subjects = [pair_subject(labels.analysis, row) for row in both.to_dict(orient="records")]
        both = both.assign(subject=subjects)
        swaps = len(labels.labels_of(axis_a)) > len(labels.labels_of(axis_b))
        names = {"level_a": "along", "level_b": "line"} if swaps else {"level_b": "along", "level_a": "line"}
        return cls(both.rename(columns=names), *((axis_a, axis_b) if swaps else (axis_b, axis_a)))


def interactions_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return a plot for every pair of crossed axes, up to six; None where nothing is crossed."""
    means = analysis.interaction_means
    if means is None or means.empty:
        return None
    named = means[["axis_a", "axis_b"]].drop_duplicates().itertuples(index=False)
    pairs = [_Pair.of(means, a, b, labels) for a, b in named]
    shown = pairs[:_MOST_FACETS]
    looks = _looks(shown, labels)
    outcome = labels.metric(analysis.experiment.outcome)
    y = linear([v for v in [*means["mean"], *means["low"], *means["high"]] if v == v], outcome, num_ticks=4)
    columns = 1 if len(shown) == 1 else 2
    # A facet's room for the names along x; the figure's left side holds the ticks of y.
    width = (labels.style.width_cm - _LEFT_CM - 0.45 * (columns - 1) - 0.3) / columns
    facets = [_facet(pair, number, y, looks, labels, width) for number, pair in enumerate(shown)]
    better = " Lower is better." if is_lower_better(analysis.experiment.outcome) else ""
    more = f" {len(pairs) - len(shown)} further pairs of axes are in the tables alone." * (
        len(pairs) > len(shown)
    )
    held = " over the levels of all other axes" * (len({a for p in pairs for a in (p.along, p.lines)}) > 2)
    has_intervals = bool(means["low"].notna().any())
    return Figure(
        name="interactions",
        title="Interactions",
        caption=(
            f"{outcome}: means{held} over seeds"
            + (", with 95 % t-intervals" if has_intervals else "")
            + ". Lines that are parallel: the two effects add up. The intervals are of the means; whether "
            f"lines differ in slope, paired by seed, stands in the table of interactions.{better}{more}"
        ),
        facets=in_rows(facets, columns),
        width_cm=labels.style.width_cm,
        row_height_cm=_HEIGHT_CM,
        left_cm=_LEFT_CM,
        legend=tuple(
            Key(text=f"{labels.name(axis)}: {labels.name(level)}", look=look, kind="points")
            for (axis, level), look in looks.items()
        ),
    )


def _looks(pairs: list[_Pair], labels: Labels) -> dict[tuple[str, str], Look]:
    """Give every level that has a line a look of its own, the same in all plots."""
    axes = dict.fromkeys(pair.lines for pair in pairs)
    known = [
        (axis, level) for axis in axes for level in labels.labels_of(axis) if _is_drawn(axis, level, pairs)
    ]
    return {
        name: Look(colour=colour(k), marker=marker(k), dash=DASHES[k % len(DASHES)])
        for k, name in enumerate(known)
    }


def _is_drawn(axis: str, level: str, pairs: list[_Pair]) -> bool:
    return any(pair.lines == axis and (pair.means["line"] == level).any() for pair in pairs)


def _facet(
    pair: _Pair, number: int, y: Scale, looks: dict[tuple[str, str], Look], labels: Labels, width: float
) -> Facet:
    present = set(pair.means["along"])
    along = [level for level in labels.labels_of(pair.along) if level in present]
    lines = [name for name in looks if name[0] == pair.lines]
    marks = []
    for k, (axis, level) in enumerate(lines):
        own = pair.means[pair.means["line"] == level].set_index("along").loc[along]
        shift = (k - (len(lines) - 1) / 2) * min(_APART, 0.5 / len(lines))
        marks += _line(f"p{number + 1}-{k + 1}", own, shift, labels.name(level), looks[axis, level], labels)
    room = width / len(along) - 0.15
    return Facet(
        x=Scale(
            label=labels.name(pair.along),
            low=-0.5,
            high=len(along) - 0.5,
            ticks=tuple(float(k) for k in range(len(along))),
            tick_labels=tuple(shortened(labels.name(level), room) for level in along),
        ),
        y=y,
        marks=tuple(marks),
        title=f"{labels.name(pair.lines)} × {labels.name(pair.along)}",
    )


def _line(key: str, means: pd.DataFrame, shift: float, name: str, look: Look, labels: Labels) -> list[Mark]:
    numbers = Numbers(labels.style.digits)
    x = tuple(k + shift for k in range(len(means)))
    y = tuple(means["mean"].astype(float))
    has_interval = bool(means["low"].notna().any())
    hover = tuple(
        f"{name}, {labels.name(str(row.Index))}: {numbers.value(row.mean)} "
        f"{numbers.interval(row.low, row.high)}, n = {row.n}"
        for row in means.itertuples()
    )
    points = Mark(
        key=f"{key}-mean",
        name=name,
        kind="points",
        look=Look(colour=look.colour, marker=look.marker),
        x=x,
        y=y,
        low=tuple(means["low"].astype(float)) if has_interval else (),
        high=tuple(means["high"].astype(float)) if has_interval else (),
        is_horizontal=False,
        hover=hover,
        traces=tuple(labels.traces.hover("interaction_means", s, "mean") for s in means["subject"]),
    )
    return [
        Mark(key=f"{key}-line", name=name, look=Look(colour=look.colour, dash=look.dash), x=x, y=y),
        points,
    ]
