"""Learning curves: mean over seeds with its interval, validation solid, training dashed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import pandas as pd

from segbench.quantities import is_lower_better
from segbench.records import axis_column
from segbench.report.analysis import Analysis
from segbench.report.draw.figure import Facet, Figure, Key, Look, Mark, Note, Scale, dodge, linear, marker
from segbench.report.draw.layout import LINE_CM, text_width
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers, epochs
from segbench.report.study import Study
from segbench.report.topics.arrangement import Layout, axes_of_loss, lay_out, unique_slugs
from segbench.report.topics.topic import (
    Column,
    FigurePart,
    Frame,
    Number,
    TablePart,
    Topic,
    cell_columns,
    interval,
)
from segbench.report.trace import (
    Asked,
    Measured,
    Row,
    Show,
    Source,
    by_seed,
    columns_of,
    is_known,
    number_text,
    rows_of,
    show_count,
    show_epochs_interval,
    show_of,
)
from segbench.stats.curves import CURVES as METRICS
from segbench.stats.curves import curves
from segbench.stats.dynamics import SHARE, dynamics
from segbench.wording import counted

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


def curves_frame(study: Study) -> pd.DataFrame:
    """Return one row per cell, metric and epoch, as `stats.curves` does; validation metrics of all kinds."""
    epochs = study.results.epochs
    others = [name for name in map(str, epochs) if name.startswith("val_") and name not in METRICS]
    return curves(epochs, study.complete, study.axes, [*METRICS, *others])


def dynamics_frame(study: Study) -> pd.DataFrame:
    """Return one row per cell with completed trials, as `stats.dynamics` does."""
    objective = study.experiment.baseline.objective
    is_lower_better = objective.direction != "maximize"
    return dynamics(
        study.results.epochs, study.complete, study.axes, objective.metric, is_lower_better=is_lower_better
    )


def curves_figure(analysis: Analysis, labels: Labels, *, quantity: str) -> Figure | None:
    """Return the curves of `dice` or `loss`; None without epochs of it."""
    if analysis.curves.empty:
        return None
    metrics = (f"val_{quantity}", f"train_{quantity}")
    drawn = analysis.curves[analysis.curves["metric"].isin(metrics)]
    if drawn.empty:
        return None
    lossy = axes_of_loss(labels) if quantity == "loss" else frozenset()
    layout = lay_out(labels, never_colour=lossy)
    shares_y = not lossy
    numbers = Numbers(labels.style.digits)
    slugs = unique_slugs(list(analysis.cells["cell"]))
    x = _epochs(drawn)
    names = [labels.name(level) for level in layout.levels]
    shared = _y_scale(drawn, quantity)
    facets = []
    for combination in layout.facets:
        chosen = drawn[_is_in(drawn, layout, combination)]
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
    columns = _num_columns(len(facets))
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
    elif (drawn["n"] > 1).any():
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


def _num_columns(num_facets: int) -> int:
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
    by_cell = {str(cell): rows for cell, rows in curves.groupby("cell", sort=False)}
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
                    traces=(CURVES.hover(labels, f"{cell}, {metric}", "mean"),),
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


def _note(labels: Labels, rows: Sequence[Row]) -> str:
    metric = labels.analysis.experiment.baseline.objective.metric
    objective, numbers = labels.metric(metric), Numbers(labels.style.digits)
    level = rows[0]["level"]
    share = f"divided by {SHARE:g}" if is_lower_better(metric) else f"times {SHARE:g}"
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


def _show_first(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    has_level = row["level"] == row["level"]
    return "not reached" if has_level and not row["reached"] else epochs(values[0])


def _show_onset(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    turned, n = int(row["turned_up"]), int(row["n"])
    return (epochs(values[0]) if turned else "no") + (f" ({turned} of {n})" if 0 < turned < n else "")


_T = "± t(0.975, n − 1) · sd / √n over seeds."


def _columns(analysis: Analysis) -> list[Column]:
    objective = analysis.experiment.baseline.objective.metric

    def measure(
        name: str, title: str, words: str, formula: str, shows: tuple[Show, Show], *, in_print: bool = True
    ) -> list[Number]:
        """Return a mean over seeds and its interval."""
        return [
            Number(
                name=name,
                title=title,
                words=words,
                formula=f"Mean over seeds of the {formula}.",
                show=shows[0],
                behind=name,
            ),
            interval(
                f"{words}, interval",
                f"Mean {_T}",
                shows[1],
                name=f"{name}_interval",
                columns=(f"{name}_low", f"{name}_high"),
                title="95 % interval",
                behind=name,
                in_print=in_print,
            ),
        ]

    return [
        *cell_columns(analysis),
        Number(
            name="n", title="n", words="completed seeds", formula="Seeds that completed.", show=show_count
        ),
        Number(
            name="reached",
            title="Reached",
            words="seeds that reached the level",
            formula=f"Seeds whose {objective} reached the level.",
            show=lambda numbers, row, values: f"{int(values[0])} of {int(row['n'])}",
            after="epochs_to_level_interval",
        ),
        Number(
            name="turned_up",
            words="seeds that over-fit",
            formula="Seeds whose val_loss turned up.",
            show=show_count,
        ),
        *measure(
            "epochs_to_level",
            "Epochs to level",
            "epochs to the level",
            f"first epoch with {objective} at the level, of those that reached it",
            (_show_first, show_epochs_interval),
        ),
        *measure(
            "area",
            "Area",
            f"area under {objective}",
            f"area under {objective}, over the epochs",
            (show_of(objective), show_of(objective)),
        ),
        *measure(
            "instability",
            "Instability",
            "instability",
            "sd over the last epochs",
            (show_of("instability"), show_of("instability")),
            in_print=False,
        ),
        *measure(
            "onset",
            "Loss turns up",
            "epoch at which val_loss turns up",
            "epoch at which val_loss turned up, of those where it did",
            (_show_onset, show_epochs_interval),
            in_print=False,
        ),
    ]


def _source(measured: Measured, row: Row, number: Number) -> Source:
    """Return the trials of a cell and what each seed's curve measured."""
    found = measured.of_cell(str(row["cell"]), "")
    values = row.get(f"{number.behind}_by_seed")
    if not isinstance(values, tuple):
        return found
    return Source(trials=found.trials, seeds=row["seeds"], by_seed={number.behind: values})


def _curve_columns(analysis: Analysis) -> list[Number]:
    def show(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
        (by_epoch,) = values
        first, last = row["epochs"][0], row["epochs"][-1]
        return f"{numbers.value(by_epoch[-1])} at the last of epochs {first} to {last}"

    told: dict[str, tuple[str, str, Show]] = {
        "epochs": ("epochs", "Epochs of which the mean and its interval are known.", _show_range),
        "n": (
            "seeds by epoch",
            "Seeds that reached the epoch; runs that stopped early are no part of it.",
            _show_range,
        ),
        "mean": ("mean by epoch", "At each epoch the mean over seeds.", show),
        "low": ("low ends of the 95 % intervals by epoch", f"At each epoch mean {_T}", show),
        "high": ("high ends of the 95 % intervals by epoch", f"At each epoch mean {_T}", show),
    }
    return [
        Number(name=name, words=words, formula=formula, show=own)
        for name, (words, formula, own) in told.items()
    ]


def _show_range(numbers: Numbers, row: Row, values: tuple[Any, ...]) -> str:
    low, high = int(min(values[0])), int(max(values[0]))
    return f"{low}" if low == high else f"{low} to {high}"


def _one_per_curve(frame: pd.DataFrame) -> list[Row]:
    """Return one row per cell and metric, with its values by epoch: one per point would fill the file."""
    columns = ("epoch", "n", "mean", "low", "high")
    rows: list[Row] = []
    for (cell, metric), own in frame.groupby(["cell", "metric"], sort=False):
        by_epoch = {name: tuple(own[name].tolist()) for name in columns}
        rows.append({"cell": cell, "metric": metric, **by_epoch, "epochs": by_epoch["epoch"]})
    return rows


def _steps(asked: Asked) -> Iterator[str]:
    yield f"the level = {number_text(float(asked.row['level']))}"
    yield ""
    measures = [
        trace for trace in asked.traces if trace.source.by_seed and not isinstance(trace.value, tuple)
    ]
    yield from by_seed(*measures)


def _curve_steps(asked: Asked) -> Iterator[str]:
    metric, epochs = str(asked.row["metric"]), asked.epochs
    names = ("epochs", "n", "mean", "low", "high")
    table: list[tuple[str, ...]] = [("epoch", *names[1:])]
    by_seed: dict[int, dict[int, float]] = {}
    measured = asked.analysis.measured
    if epochs is not None and not measured.empty and metric in epochs:
        seeds = measured.dropna(subset=["trial"]).drop_duplicates("trial").set_index("trial")["seed"]
        own = epochs[epochs["trial"].isin(asked.traces[0].trials)]
        means = own.assign(seed=own["trial"].map(seeds)).groupby(["epoch", "seed"])[metric].mean()
        for epoch, seed, value in means.reset_index().itertuples(index=False, name=None):
            by_seed.setdefault(int(seed), {})[int(epoch)] = float(value)
        table = [("epoch", *(f"seed {seed}" for seed in by_seed), *names[1:])]
    for epoch, n, *summary in zip(*(asked.row[name] for name in names), strict=True):
        values = [own.get(int(epoch), math.nan) for own in by_seed.values()]
        table.append((str(int(epoch)), *map(number_text, values), str(int(n)), *map(number_text, summary)))
    yield from columns_of(table)


DYNAMICS: Final = Frame(
    name="dynamics",
    compute=dynamics_frame,
    subject=lambda analysis, row: str(row["cell"]),
    columns=_columns,
    source=_source,
    steps=_steps,
    measured=lambda analysis, row: "objective",
)

CURVES: Final = Frame(
    name="curves",
    compute=curves_frame,
    subject=lambda analysis, row: f"{row['cell']}, {row['metric']}",
    columns=_curve_columns,
    source=_source,
    rows=_one_per_curve,
    in_text=False,
    steps=_curve_steps,
    measured=lambda analysis, row: "objective",
)


TOPIC: Final = Topic(
    name="dynamics",
    section="curves",
    frames=(DYNAMICS, CURVES),
    tables=(
        TablePart(
            name="dynamics",
            frame=DYNAMICS,
            caption="How training went, from the validation curves.",
            rows=lambda labels: rows_of(labels.ordered(labels.analysis.dynamics)),
            note=_note,
        ),
    ),
    figures=(
        FigurePart(name="curves-dice", make=partial(curves_figure, quantity="dice")),
        FigurePart(name="curves-loss", make=partial(curves_figure, quantity="loss")),
    ),
)
