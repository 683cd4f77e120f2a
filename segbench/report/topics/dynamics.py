"""Learning curves: mean over seeds with its interval, validation solid, training dashed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from segbench.quantities import is_lower_better
from segbench.records import axis_column
from segbench.report.analysis import Analysis
from segbench.report.columns import Numbered, cell_columns, cell_fields, is_known, rows_of
from segbench.report.draw.figure import Facet, Figure, Key, Look, Mark, Note, Scale, marker
from segbench.report.draw.layout import LINE_CM, text_width
from segbench.report.draw.scales import dodge, linear
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers, counted
from segbench.report.table import Table
from segbench.report.topics.arrangement import Layout, axes_of_loss, lay_out, unique_slugs
from segbench.stats.dynamics import SHARE

_HEIGHT_CM = 5.2
_LONGEST_DIRECT = 16
_MOST_DIRECT = 6
_MOST_COLUMNS = 3
_MOST_FACETS = 32
_MANY_FACETS = 9
"""More stand in rows of four."""
_TALLEST_CM = 17.5
"""Of all rows together: a page holds them with their titles and ticks."""
_LEAST_POINTS = 4
_LEAST_SEEDS = 3
"""Two seeds give an interval of 12.7 standard errors: a band that covers the plot and says nothing."""
_SUMMARY = ("mean", "low", "high")
_QUANTITIES = {"dice": "Dice", "loss": "Loss"}
_TRAIN = "train: running mean over augmented batches"


def curves_figure(analysis: Analysis, labels: Labels, *, quantity: str) -> Figure | None:
    """Return the curves of `dice` or `loss`; None without epochs of it."""
    if analysis.curves.empty:
        return None
    metrics = (f"val_{quantity}", f"train_{quantity}")
    curves = analysis.curves[analysis.curves["metric"].isin(metrics)]
    if curves.empty:
        return None
    lossy = axes_of_loss(labels) if quantity == "loss" else frozenset()
    layout = lay_out(labels, never_colour=lossy)
    shares_y = not lossy
    numbers = Numbers(labels.style.digits)
    slugs = unique_slugs(list(analysis.cells["cell"]))
    x = _epochs(curves)
    names = [labels.name(level) for level in layout.levels]
    shared = _y_scale(curves, quantity)
    facets = []
    for combination in layout.facets:
        chosen = curves[_is_in(curves, layout, combination)]
        scale = shared if shares_y else _y_scale(chosen, quantity)
        marks = _marks(chosen, layout, labels, metrics, slugs, numbers)
        if not marks:
            continue
        facets.append(
            Facet(
                x=x,
                y=scale,
                marks=tuple(marks),
                title=", ".join(labels.name(level) for level in combination if level),
            )
        )
    if not facets:
        return None
    num_left, facets = len(facets[_MOST_FACETS:]), facets[:_MOST_FACETS]
    columns = _columns(len(facets))
    num_rows = -(-len(facets) // columns)
    height_cm = min(_HEIGHT_CM, _TALLEST_CM / num_rows - (0.5 if num_rows > 1 else 0))
    direct = 1 < len(names) <= _MOST_DIRECT and max(map(len, names)) <= _LONGEST_DIRECT
    # The last facet of a row names the lines of all: each must have every level, and room for the names.
    direct = direct and num_rows <= 3 and all({mark.name for mark in f.marks} == set(names) for f in facets)
    rows = tuple(
        _row(facets[k : k + columns], height_cm if direct else None) for k in range(0, len(facets), columns)
    )
    legend = [
        Key(text="validation, mean over seeds", look=Look()),
        Key(text=_TRAIN, look=Look(dash="dashed", alpha=0.8)),
    ]
    has_bands = any(mark.low for row in rows for facet in row for mark in facet.marks)
    if has_bands:
        legend.insert(1, Key(text="its 95 % interval", look=Look(alpha=0.2), kind="region"))
    if not direct and layout.colour_axis:
        legend = [
            Key(text=name, look=Look(colour=layout.colour(level), marker=marker(number)), kind="marked")
            for number, (name, level) in enumerate(zip(names, layout.levels, strict=True))
        ] + legend
    caption = f"{_QUANTITIES[quantity]} by epoch: mean over the seeds of a cell. "
    if has_bands:
        caption += "The band is its 95 % t-interval. "
    elif (curves["n"] > 1).any():
        caption += "No band: the interval of two seeds would cover the plot. "
    caption += (
        "Solid: validation images after the epoch. Dashed: training, a running mean over the epoch's "
        "augmented batches before each step: another estimator, not to be compared in level."
    )
    if num_left:
        caption += f" The curves of {counted(num_left, 'more combination')} are in data/curves.csv."
    if lossy:
        caption += " Scales differ between columns: values of different losses are not comparable."
    return Figure(
        name=f"curves-{quantity}",
        title=f"Learning curves: {_QUANTITIES[quantity]}",
        caption=caption,
        facets=rows,
        width_cm=labels.style.width_cm,
        row_height_cm=height_cm,
        left_cm=1.35,
        right_cm=0.35 + max(map(text_width, names)) if direct else 0.35,
        legend=tuple(legend),
        shares_y=shares_y,
    )


def _columns(num_facets: int) -> int:
    if num_facets > _MANY_FACETS:
        return 4
    return 2 if num_facets == 4 else min(num_facets, _MOST_COLUMNS)


def _row(facets: list[Facet], height_cm: float | None) -> tuple[Facet, ...]:
    """Name the lines behind the last facet of a row (height None: nowhere): colours say the same in all."""
    if height_cm is None:
        return tuple(facets)
    last = facets[-1]
    return (*facets[:-1], replace(last, right=_end_names(last.marks, last.y, height_cm)))


def _epochs(curves: pd.DataFrame) -> Scale:
    return linear(curves["epoch"], "Epoch", pad=0.03, whole=True)


def _y_scale(curves: pd.DataFrame, quantity: str) -> Scale:
    """Cover the means wholly, the bands as far as they stay near: one wild band must not flatten all."""
    means = curves["mean"]
    span = max(means.max() - means.min(), 1e-6)
    bands = pd.concat([curves["low"], curves["high"]]).clip(
        means.min() - 0.25 * span, means.max() + 0.25 * span
    )
    bands = bands.where(pd.concat([curves["n"], curves["n"]]) >= _LEAST_SEEDS)
    if quantity == "dice":
        bands = bands.clip(0, 1)
    return linear([*means, *bands.dropna()], _QUANTITIES[quantity], pad=0.04)


def _is_in(curves: pd.DataFrame, layout: Layout, combination: tuple[str, ...]) -> pd.Series:
    chosen = pd.Series(True, index=curves.index)
    for axis, level in zip(layout.facet_axes, combination, strict=True):
        chosen &= curves[axis_column(axis)].astype(str) == level
    return chosen


def _marks(
    curves: pd.DataFrame,
    layout: Layout,
    labels: Labels,
    metrics: tuple[str, str],
    slugs: dict[str, str],
    numbers: Numbers,
) -> list[Mark]:
    marks = []
    by_cell = dict(tuple(curves.groupby("cell", sort=False)))
    cells = sorted(by_cell, key=lambda cell: layout.levels.index(layout.level_of(labels.levels(cell))))
    for metric in reversed(metrics):
        is_train = metric.startswith("train")
        for cell in cells:
            rows = by_cell[cell]
            rows = rows[rows["metric"] == metric].sort_values("epoch")
            if rows.empty:
                continue
            level = layout.level_of(labels.levels(cell))
            has_band = not is_train and rows["n"].min() >= _LEAST_SEEDS and rows["low"].notna().any()
            number = layout.levels.index(level)
            name = labels.name(level) or labels.cell(cell)
            marks.append(
                Mark(
                    key=f"{slugs[cell]}_{metric.split('_')[0]}",
                    name=name,
                    label=f"{name}, {'training' if is_train else 'validation'}",
                    look=Look(
                        colour=layout.colour(level),
                        marker=marker(number),
                        dash="dashed" if is_train else "solid",
                        size=0.75 if is_train else 1.0,
                        alpha=0.8 if is_train else 1.0,
                    ),
                    x=tuple(float(e) for e in rows["epoch"]),
                    y=tuple(rows["mean"].astype(float)),
                    low=tuple(rows["low"].astype(float)) if has_band else (),
                    high=tuple(rows["high"].astype(float)) if has_band else (),
                    readings=tuple(
                        f"{numbers.value(mean)} {numbers.interval(low, high)}"
                        if low == low
                        else numbers.value(mean)
                        for mean, low, high in zip(*(rows[c].tolist() for c in _SUMMARY), strict=True)
                    ),
                    traces=(labels.traces.hover("curves", f"{cell}, {metric}", "mean"),),
                    marked=None if is_train or len(layout.levels) < 2 else _marked(len(rows), number),
                )
            )
    return marks


def _marked(num_points: int, number: int) -> tuple[int, int] | None:
    """Return where a level's line has its markers: six or so a line, those of neighbouring levels apart."""
    if num_points < _LEAST_POINTS:
        return None
    step = max(2, num_points // 6)
    return (step // 2 + number * max(1, step // 4)) % step, step


def _end_names(marks: Sequence[Mark], scale: Scale, height_cm: float) -> tuple[Note, ...]:
    ends = [mark for mark in marks if mark.look.dash == "solid"]
    gap = LINE_CM / height_cm * (scale.high - scale.low)
    heights = dodge([mark.y[-1] for mark in ends], gap, scale.low, scale.high)
    return tuple(
        Note(y=y, text=mark.name, look=Look(colour=mark.look.colour))
        for mark, y in zip(ends, heights, strict=True)
    )


# The table of how training went: epochs to a level, area, instability, over-fitting.


_RULE = (
    "Loss turns up: the epoch of the lowest moving mean of the validation loss (5 % of the epochs to either "
    "side), if the last moving mean is above it by more than twice the noise and more than 1 %"
)


def dynamics_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the measures of the validation curves of every cell."""
    frame = [] if analysis.dynamics is None else rows_of(labels.ordered(analysis.dynamics))
    objective = analysis.experiment.baseline.objective.metric
    shown = (
        ("n", "n"),
        ("Epochs to level", "epochs_to_level"),
        ("95 % interval", "epochs_to_level_interval"),
        ("Reached", "reached"),
        ("Area", "area"),
        ("95 % interval", "area_interval"),
        ("Instability", "instability"),
        ("95 % interval", "instability_interval"),
        ("Loss turns up", "onset"),
        ("95 % interval", "onset_interval"),
    )
    not_in_print = frozenset({"instability_interval", "onset_interval"})
    numbers = Numbered(labels, "dynamics", shown, not_in_print)
    rows = [(*cell_fields(labels, row["cell"]), *numbers.fields(row["cell"])) for row in frame]
    note = _note(frame, labels.metric(objective), Numbers(labels.style.digits), is_lower_better(objective))
    return Table(
        name="dynamics",
        caption="How training went, from the validation curves.",
        columns=(*cell_columns(labels), *numbers.columns),
        rows=tuple(rows),
        note=note,
    )


def _note(rows: list[dict[str, Any]], objective: str, numbers: Numbers, is_lower_better: bool) -> str:
    if not rows:
        return ""
    level = rows[0]["level"]
    share = f"divided by {SHARE:g}" if is_lower_better else f"times {SHARE:g}"
    parts = ["Means over n seeds, with t-intervals over seeds."]
    if is_known(level):
        parts.append(
            f"Level: {objective} {numbers.value(level)}, the mean of the best cell's last epochs {share}; "
            "the mean epoch is over the seeds that reached it, with an interval where all did."
        )
    parts.append(
        f"Area: under the curve of {objective}, divided by the epochs. Instability: sd of validation Dice "
        f"over the last quarter of the epochs, 3 to 10 of them. {_RULE}. Exploratory."
    )
    return " ".join(parts)
