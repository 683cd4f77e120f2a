"""Every cell: its outcome by seed, its costs and other metrics, and the trials that are missing from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from segbench.config.experiment import Experiment
from segbench.quantities import (
    LIMITS,
    QUANTITIES,
    Kind,
    Print,
    axis_unit,
    find_quantity,
    is_lower_better,
    names_of,
)
from segbench.records import State
from segbench.report.analysis import Analysis
from segbench.report.draw.figure import (
    Facet,
    Figure,
    Key,
    Look,
    Mark,
    Note,
    categories,
    linear,
    marker,
    spread,
)
from segbench.report.draw.layout import ROW_CM, TALL_ROW_CM, text_width, wrapped
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, Numbers, count, magnitude, significant
from segbench.report.study import MISSING, Study
from segbench.report.table import Field, Table
from segbench.report.topics.arrangement import lay_out, unique_slugs
from segbench.report.topics.topic import (
    Column,
    FigurePart,
    Frame,
    Number,
    TablePart,
    Text,
    Topic,
    cell_columns,
    interval,
)
from segbench.report.trace import (
    Measured,
    Row,
    Source,
    is_known,
    is_text,
    mean_steps,
    rows_of,
    show_as_is,
    show_count,
    show_interval,
    show_magnitude,
    show_of_row,
    show_significant,
    show_value,
)
from segbench.stats.intervals import average_folds, summarise
from segbench.stats.pareto import unbeaten_in
from segbench.store.match import unmatched_trials

LOST: Final[Mapping[str, tuple[str, ...]]] = {
    "diverged": tuple(s.value for s in State if s.has_ended_short and s.is_outcome),
    "failed": tuple(
        s.value
        for s in sorted(State, key=lambda state: -state.urgency)
        if s.has_ended_short and not s.is_outcome
    ),
    "missing": MISSING,
}
"""Columns of a cell that count its trials without a value -> the states that count there."""

CELL_MEDIANS: Final = (
    "selected_epoch",
    *(name for name in names_of(Kind.COST, Kind.DETERMINISTIC) if QUANTITIES[name].heading),
    *names_of(Kind.INSTABILITY),
)
"""Columns of a cell that are medians over its trials."""


def cells_frame(study: Study) -> pd.DataFrame:
    """Return one row per cell: the outcome with its t-interval, states counted, medians of costs.

    Returns:
        `cell`, one column per axis, `n` (completed seeds), `mean`, `sd`, `low`, `high` (95 % t-interval of
        the outcome), `mean_last` (outcome at the last epoch's weights), `val_mean` (objective at the selected
        epoch), the counts `LOST`, the medians `CELL_MEDIANS`, `front` (the costs for which no other cell has
        as good a mean for as little, joined by spaces).
    """
    outcome, last, keys = study.experiment.outcome, _last(study.experiment), ["cell", *study.axes]
    measured = _with_columns(study.of_cells, [outcome, last, "objective", *CELL_MEDIANS])
    cells = summarise(average_folds(measured, keys, outcome), keys, outcome)
    groups = measured.groupby(keys, sort=False, dropna=False)
    per_seed = average_folds(measured, keys, last)
    cells["mean_last"] = per_seed.groupby(keys, sort=False)[last].mean().to_numpy()
    cells["val_mean"] = groups["objective"].mean().to_numpy()
    for name, states in LOST.items():
        is_lost = measured["state"].isin(list(states))
        cells[name] = is_lost.groupby([measured[k] for k in keys], sort=False).sum().to_numpy()
    for name in CELL_MEDIANS:
        cells[name] = groups[name].median().to_numpy()
    metric = find_quantity(outcome)
    cells["front"] = unbeaten_in(cells, "mean", LIMITS, "maximize" if metric is None else metric.direction)
    return cells


def seeds_frame(study: Study) -> pd.DataFrame:
    """Return the outcome of every completed trial.

    Returns:
        `trial`, `cell`, one column per axis, `seed`, `fold`, `value`, `value_last` (at the last epoch's
        weights).
    """
    names = ["trial", "cell", *study.axes, "seed", "fold"]
    columns = [*names, study.experiment.outcome, _last(study.experiment)]
    seeds = _with_columns(study.complete, columns)[columns].reset_index(drop=True)
    return seeds.set_axis([*names, "value", "value_last"], axis=1)


def failures_frame(study: Study) -> pd.DataFrame:
    """Return one row per trial that did not complete.

    Returns:
        `trial`, `cell`, `seed`, `fold`, `state`, `failure`, `reason`.
    """
    ended = [state.value for state in State if state.has_reason]
    columns = ["trial", "cell", "seed", "fold", "state", "failure", "reason"]
    rows = study.table[study.table["state"].isin(ended)]
    rows = _with_columns(rows, columns)[columns].reset_index(drop=True)
    return rows.astype({"failure": object, "reason": object}).fillna({"failure": "", "reason": ""})


def left_out_frame(study: Study) -> pd.DataFrame:
    """Return the records that are no part of the report: `folder`, `reason`."""
    strangers = unmatched_trials(study.results, study.design)
    return pd.concat([study.results.left_out, strangers], ignore_index=True)


def _last(experiment: Experiment) -> str:
    metric = find_quantity(experiment.outcome)
    return metric.last if metric is not None else f"{experiment.outcome}_last"


def _with_columns(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    return frame.assign(**{name: np.nan for name in names if name not in frame})


def outcome_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return one row a cell; None where no trial is complete."""
    seeds = analysis.seeds[analysis.seeds["value"].notna()] if not analysis.seeds.empty else analysis.seeds
    if seeds.empty:
        return None
    numbers = Numbers(labels.style.digits)
    layout = lay_out(labels)
    slugs = unique_slugs(list(analysis.cells["cell"]))
    rows = labels.ordered(analysis.cells).to_dict(orient="records")
    names = [labels.cell(row["cell"]) for row in rows]
    marks, right = [], []
    for k, row in enumerate(rows):
        own = seeds[seeds["cell"] == row["cell"]]
        level = layout.level_of(labels.levels(row["cell"]))
        number = layout.levels.index(level)
        name = labels.name(level) or names[k]
        if not own.empty:
            marks.append(
                Mark(
                    key=f"{slugs[row['cell']]}_seeds",
                    name=name,
                    kind="points",
                    look=Look(colour=layout.colour(level), is_hollow=True, size=0.7, alpha=0.9),
                    x=tuple(own["value"].astype(float)),
                    y=tuple(-k + 0.2 for _ in range(len(own))),
                    hover=tuple(
                        f"{names[k]}, seed {seed.seed}: {numbers.value(seed.value)} (trial {seed.trial})"
                        for seed in own.itertuples()
                    ),
                )
            )
            has_interval = row["low"] == row["low"]
            marks.append(
                Mark(
                    key=f"{slugs[row['cell']]}_mean",
                    name=name,
                    kind="points",
                    look=Look(colour=layout.colour(level), marker=marker(number)),
                    x=(float(row["mean"]),),
                    y=(-k - 0.08,),
                    low=(float(row["low"]),) if has_interval else (),
                    high=(float(row["high"]),) if has_interval else (),
                    hover=(
                        f"{names[k]}: mean {numbers.value(row['mean'])} "
                        f"{numbers.interval(row['low'], row['high'])}, n = {row['n']}",
                    ),
                    traces=(CELLS.hover(labels, row["cell"], "mean"),),
                )
            )
        lost = int(row["diverged"] + row["failed"] + row["missing"])
        text = (
            f"{numbers.value(row['mean'])} {numbers.interval(row['low'], row['high'])}, n = {int(row['n'])}"
        )
        right.append(Note(y=float(-k), text=text + (f" (+{lost} lost)" if lost else "")))
    extent = [*seeds["value"], *analysis.cells["low"], *analysis.cells["high"]]
    outcome = labels.metric(analysis.experiment.outcome)
    better = ", lower is better" if is_lower_better(analysis.experiment.outcome) else ""
    room = 0.34 * labels.style.width_cm
    shown = [wrapped(name, room) for name in names]
    row_cm = TALL_ROW_CM if any("\n" in name for name in shown) else ROW_CM
    return Figure(
        name="outcome",
        title="Outcome of every cell",
        caption=(
            f"{outcome} of every cell{better}: one ring per seed, the mean over seeds with its 95 % "
            "t-interval below. "
            "Intervals of two cells do not judge their difference: the effects do, paired by seed."
        ),
        facets=(
            (
                Facet(
                    x=linear([v for v in extent if v == v], outcome, num_ticks=4),
                    y=categories(shown),
                    marks=tuple(marks),
                    right=tuple(right),
                ),
            ),
        ),
        width_cm=labels.style.width_cm,
        row_height_cm=row_cm * len(rows) + 0.4,
        left_cm=min(max(map(text_width, names)), room) + 0.35,
        right_cm=max(text_width(note.text) for note in right) + 0.3,
        legend=(
            Key(text="one seed", look=Look(is_hollow=True, size=0.7), kind="points"),
            Key(text="mean and 95 % interval", look=Look(), kind="points"),
        ),
    )


# What a cell costs and what it yields.


_HEIGHT_CM = 5.2
_COSTS = ("epoch_time_s", "parameters")


def cost_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return outcome against time and against size; None for a single cell."""
    cells = labels.ordered(analysis.cells)
    cells = cells[cells["mean"].notna()] if not cells.empty else cells
    if len(cells) < 2:
        return None
    numbers = Numbers(labels.style.digits)
    layout = lay_out(labels)
    slugs = unique_slugs(list(analysis.cells["cell"]))
    outcome = labels.metric(analysis.experiment.outcome)
    y = linear([v for key in ("mean", "low", "high") for v in cells[key] if v == v], outcome)
    facets = []
    for column in _COSTS:
        known = cells[cells[column].notna()]
        if known.empty or (column == "parameters" and known[column].nunique() < 2):
            continue
        unit, suffix = axis_unit(column, known[column].max())
        marks = []
        for row in known.to_dict(orient="records"):
            levels = labels.levels(row["cell"])
            level = layout.level_of(levels)
            has_interval = row["low"] == row["low"]
            cost = (
                magnitude(row[column])
                if unit > 1
                else f"{significant(row[column])} {QUANTITIES[column].heading}"
            )
            is_beaten = column not in row["front"].split()
            said = f"{labels.cell(row['cell'])}: {numbers.value(row['mean'])}, {cost}"
            marks.append(
                Mark(
                    key=f"{slugs[row['cell']]}_{column.split('_')[0]}",
                    name=labels.cell(row["cell"]),
                    kind="points",
                    is_horizontal=False,
                    look=Look(
                        colour=layout.colour(level),
                        marker=marker(layout.facets.index(layout.facet_of(levels))),
                        is_hollow=is_beaten,
                        size=0.85 if is_beaten else 1.0,
                    ),
                    x=(float(row[column]) / unit,),
                    y=(float(row["mean"]),),
                    low=(float(row["low"]),) if has_interval else (),
                    high=(float(row["high"]),) if has_interval else (),
                    hover=(said + ("" if is_beaten else ", not beaten"),),
                    traces=(CELLS.hover(labels, row["cell"], "mean"),),
                )
            )
        scale = spread([mark.x[0] for mark in marks], labels.metric(column) + suffix)
        facets.append(Facet(x=scale, y=y, marks=tuple(marks)))
    if not facets:
        return None
    legend = [
        Key(text=labels.name(level), look=Look(colour=layout.colour(level)), kind="points")
        for level in layout.levels
        if level
    ]
    if len(layout.facets) > 1:
        legend += [
            Key(
                text=", ".join(labels.name(level) for level in combination if level),
                look=Look(marker=marker(number)),
                kind="points",
            )
            for number, combination in enumerate(layout.facets)
        ]
    looks = {mark.look.is_hollow for facet in facets for mark in facet.marks}
    if len(looks) > 1:
        legend += [
            Key(text="not beaten", look=Look(), kind="points"),
            Key(text="beaten", look=Look(is_hollow=True, size=0.85), kind="points"),
        ]
    return Figure(
        name="cost",
        title="Cost and outcome",
        caption=(
            f"{outcome} (mean and 95 % t-interval) against the median seconds of an epoch, training and "
            "validation together, on the hardware named in the report"
            + (", and against the number of parameters." if len(facets) > 1 else ".")
            + (" Filled: no other cell has as good a mean for as little." if len(looks) > 1 else "")
        ),
        facets=(tuple(facets),),
        width_cm=labels.style.width_cm,
        row_height_cm=_HEIGHT_CM,
        left_cm=1.5,
        legend=tuple(legend),
    )


# The topic.


_SHOWS: Final = {
    Print.SIGNIFICANT: show_significant,
    Print.COUNT: show_count,
    Print.MAGNITUDE: show_magnitude,
}
"""How the median of a quantity is printed."""


def _columns(analysis: Analysis) -> list[Column]:
    experiment = analysis.experiment
    outcome, objective = experiment.outcome, experiment.baseline.objective.metric
    t = "Mean ± t(0.975, n − 1) · sd / √n over seeds."

    def median(name: str) -> Number:
        quantity = QUANTITIES.get(name)
        return Number(
            name=name,
            title="Epoch" if quantity is None else quantity.heading,
            words=f"median {name}",
            formula=f"Median over trials of {name}.",
            show=show_as_is if quantity is None else _SHOWS[quantity.median],
            behind=name,
            tables=("cells" if quantity is None else "costs",),
            in_print=quantity is not None and name != "data_wait_s",
            is_optional=name == "data_wait_s",
        )

    return [
        *cell_columns(analysis),
        Number(
            name="n",
            title="n",
            words="completed seeds",
            formula="Seeds that completed.",
            show=show_count,
            tables=("cells",),
        ),
        Number(
            name="mean",
            title=lambda labels: labels.metric(outcome),
            words=f"mean {outcome}",
            formula=f"Mean over seeds of {outcome} at the selected weights.",
            show=show_value,
            behind=outcome,
            tables=("cells",),
        ),
        interval(
            "95 % interval of the mean",
            t,
            show_interval,
            title="95 % interval",
            behind=outcome,
            tables=("cells",),
        ),
        Number(name="low", words="low end of the 95 % interval", formula=t, show=show_value, behind=outcome),
        Number(
            name="high", words="high end of the 95 % interval", formula=t, show=show_value, behind=outcome
        ),
        Number(
            name="sd",
            title="sd",
            words="standard deviation",
            formula=f"sd over seeds of {outcome}.",
            show=show_value,
            behind=outcome,
            tables=("cells",),
        ),
        Number(
            name="mean_last",
            title="Last epoch",
            words=f"mean {outcome} at the last epoch",
            formula=f"Mean over seeds of {outcome} at the last epoch's weights.",
            show=show_value,
            behind=_last(experiment),
            tables=("cells",),
        ),
        Number(
            name="val_mean",
            title=lambda labels: labels.metric(objective),
            words=f"mean {objective} at the selected epoch",
            formula=f"Mean over trials of {objective} at the selected epoch.",
            show=show_value,
            behind="objective",
            tables=("cells",),
            in_print=False,
        ),
        *map(median, CELL_MEDIANS),
        *(
            Number(
                name=name,
                words=f"trials {name}",
                formula=f"Trials of the cell that are {', '.join(states)}.",
                show=show_count,
                behind=name,
            )
            for name, states in LOST.items()
        ),
        Text(name="lost", title="Lost", text=_lost, tables=("cells",), is_optional=True),
        Text(
            name="front",
            title="Not beaten in",
            text=lambda labels, row: _front(row["front"]) or NONE,
            tables=("costs",),
            when=lambda labels, rows: _has_fronts(rows),
        ),
    ]


def _source(measured: Measured, row: Row, number: Number) -> Source:
    if number.behind in LOST:
        return measured.of_cell(row["cell"], "", LOST[number.behind])
    return measured.of_cell(row["cell"], number.behind)


def _lost(labels: Labels, row: Row) -> Field:
    words = ", ".join(f"{int(row[name])} {name}" for name in LOST if row[name])
    return Field(text=words or NONE, tone="bad" if words else "")


def _front(names: str) -> str:
    """Name the costs of a front in short."""
    words = [QUANTITIES[name].short for name in names.split()]
    return "all" if len(words) == len(LIMITS) else ", ".join(words)


def _has_fronts(rows: Sequence[Row]) -> bool:
    return len(rows) > 1 and any(row["front"] for row in rows)


def _ordered(labels: Labels) -> list[Row]:
    return list(rows_of(labels.ordered(labels.analysis.cells)))


def _costly(labels: Labels) -> list[Row]:
    rows = _ordered(labels)
    return rows if any(is_known(row["parameters"]) or is_known(row["epoch_time_s"]) for row in rows) else []


def _cells_note(labels: Labels, rows: Sequence[Row]) -> str:
    experiment = labels.analysis.experiment
    weights = "" if experiment.foreign else " at the selected weights"
    return (
        f"Means over n seeds of {labels.metric(experiment.outcome)}{weights}, with t-intervals over seeds. "
        "Intervals of two cells do not judge their difference; the effects do."
    )


def _costs_note(labels: Labels, rows: Sequence[Row]) -> str:
    note = (
        "FLOPs: of one forward pass of one image, two per multiply-add. Times, throughput of training and "
        "memory are medians over seeds on the hardware named under provenance."
    )
    if any(is_known(row["data_wait_s"]) for row in rows):
        note += " Waiting: seconds of an epoch in which training stood still for its next batch."
    if _has_fronts(rows):
        note += (
            " Not beaten in a cost: no other cell has as good a mean "
            f"{labels.metric(labels.analysis.experiment.outcome)} for as little of it, and one of the two "
            "better. Means alone are compared, without their intervals."
        )
    return note


CELLS: Final = Frame(
    name="cells",
    compute=cells_frame,
    subject=lambda analysis, row: str(row["cell"]),
    columns=_columns,
    source=_source,
    steps=mean_steps("mean", "mean"),
)

SEEDS: Final = Frame(name="seeds", compute=seeds_frame)

TOPIC: Final = Topic(
    name="cells",
    section="cells",
    frames=(CELLS, SEEDS),
    tables=(
        TablePart(
            name="cells",
            frame=CELLS,
            caption="Outcome of every cell.",
            rows=_ordered,
            note=_cells_note,
            drops_empty=lambda analysis: bool(analysis.experiment.foreign),
        ),
        TablePart(
            name="costs",
            frame=CELLS,
            caption="Cost of every cell.",
            rows=_costly,
            note=_costs_note,
            section="cost",
        ),
    ),
    figures=(
        FigurePart(name="outcome", make=outcome_figure),
        FigurePart(name="cost", make=cost_figure, section="cost"),
    ),
)


# The other test metrics of every cell: whatever the records hold beside the outcome.


_ROOM: Final = 90
"""Characters that a line of the PDF has room for, gaps between columns included."""
_GAP: Final = 2


def metrics_frame(study: Study) -> pd.DataFrame:
    """Return one row per cell and test metric that was recorded beside the outcome, at the selected weights.

    Means over seeds with their t-intervals; the folds of a seed are averaged first.

    Returns:
        `cell`, one column per axis, `metric` (`test_iou`), `n` (seeds), `mean`, `sd`, `low`, `high` (95 %).
    """
    table, keys = study.of_cells, ["cell", *study.axes]
    names = _recorded(table, study.experiment.outcome)
    per_seed = table.groupby([*keys, "seed"], sort=False, dropna=False, observed=True)[names].mean()
    long = per_seed.reset_index().melt([*keys, "seed"], names, "metric", "value")
    return summarise(long, [*keys, "metric"], "value")


def _recorded(table: pd.DataFrame, outcome: str) -> list[str]:
    """Return the metrics that some trial has, in the order of columns, those made elsewhere last."""
    found: list[str] = []
    for name in [*QUANTITIES, *(name for name in map(str, table) if name not in QUANTITIES)]:
        quantity = find_quantity(name) if name in table and name != outcome else None
        is_shown = quantity is not None and quantity.kind is Kind.TEST and not quantity.is_at_last
        if is_shown and table[name].notna().any():
            found.append(name)
    return found


def _title(name: str) -> str:
    quantity = find_quantity(name)
    metric = None if quantity is None else quantity.metric
    if metric is None:
        return name
    words = f"{metric.words[:1].upper()}{metric.words[1:]}"
    return f"{words} ({metric.unit})" if metric.unit else words


def _metric_numbers(analysis: Analysis) -> list[Column]:
    t = "Mean ± t(0.975, n − 1) · sd / √n over seeds."
    of = "at the selected weights."
    return [
        Number(
            name="n",
            words="seeds",
            formula="Seeds that completed and measured the metric.",
            show=show_count,
        ),
        Number(name="mean", words="mean", formula=f"Mean over seeds {of}", show=show_of_row()),
        interval("95 % interval of the mean", t, show_of_row()),
        Number(name="sd", words="standard deviation", formula=f"sd over seeds {of}", show=show_of_row()),
    ]


METRICS: Final = Frame(
    name="metrics",
    subject=lambda analysis, row: f"{row['cell']}, {row['metric']}",
    compute=metrics_frame,
    columns=_metric_numbers,
    source=lambda measured, row, number: measured.of_cell(str(row["cell"]), str(row["metric"])),
    steps=mean_steps("mean", "mean"),
)


def _metric_columns(analysis: Analysis) -> list[Column]:
    """Return a column per metric, with its mean in each cell."""

    def of(name: str) -> Text:
        def mean(labels: Labels, row: Row) -> Field:
            trace = METRICS.trace(labels, {"cell": row["cell"], "metric": name}, "mean")
            if trace is None or not isinstance(trace.value, float):
                return Field(text=NONE)
            return Field(text=trace.printed, sort=trace.value, hover=trace.hover)

        return Text(
            name=name,
            title=lambda labels: labels.style.labels.get(name) or _title(name),
            text=mean,
            is_number=True,
        )

    names = dict.fromkeys(row["metric"] for row in rows_of(analysis.metrics))
    return [*cell_columns(analysis), *map(of, names)]


def _fitted(labels: Labels, table: Table) -> Table:
    """Let the PDF show the first metrics only, as many as fit beside the axes, and say so."""
    used = 0
    heads = []
    for k, head in enumerate(table.columns):
        words = head.title.split(" ") if head.is_number else [head.title, *(r[k].text for r in table.rows)]
        used += _GAP + max(6 if head.is_number else 0, *map(len, words))
        heads.append(replace(head, in_print=not head.is_number or used <= _ROOM))
    is_cut = not all(head.in_print for head in heads)
    cut = " The PDF has no room for all of them; the other pages show all." if is_cut else ""
    return replace(table, columns=tuple(heads), note=table.note + cut)


def _metrics_note(labels: Labels, rows: Sequence[Row]) -> str:
    weights = "" if labels.analysis.experiment.foreign else " at the selected weights"
    return (
        f"Means over seeds{weights} of what was measured beside the outcome; nothing is judged by them. "
        "Intervals, n and sd stand in data/metrics.csv."
    )


METRICS_TOPIC: Final = Topic(
    name="metrics",
    section="cells",
    frames=(METRICS,),
    tables=(
        TablePart(
            name="metrics",
            frame=replace(CELLS, columns=_metric_columns),
            caption="Other test metrics of every cell.",
            rows=lambda labels: [] if labels.analysis.metrics.empty else _ordered(labels),
            note=_metrics_note,
            finish=_fitted,
        ),
    ),
)


FAILURES: Final = Frame(
    name="failures",
    compute=failures_frame,
    columns=lambda analysis: [
        Text(name="trial", title="Trial", text=lambda labels, row: row["trial"] or NONE),
        Text(name="cell", title="Cell", text=lambda labels, row: labels.cell(row["cell"])),
        Text(
            name="seed",
            title="Seed",
            text=lambda labels, row: Field(text=count(row["seed"]), sort=row["seed"]),
            is_number=True,
        ),
        Text(
            name="state",
            title="State",
            text=lambda labels, row: (
                row["state"] + (f" ({row['failure']})" if is_text(row["failure"]) else "")
            ),
        ),
        Text(
            name="reason",
            title="Reason",
            text=lambda labels, row: row["reason"] if is_text(row["reason"]) else NONE,
        ),
    ],
)

LEFT_OUT: Final = Frame(
    name="left_out",
    compute=left_out_frame,
    in_data=False,
    columns=lambda analysis: [
        Text(name="folder", title="Record", text=lambda labels, row: str(row["folder"])),
        Text(name="reason", title="Why", text=lambda labels, row: str(row["reason"])),
    ],
)

FAILURES_TOPIC: Final = Topic(
    name="failures",
    section="failures",
    frames=(FAILURES, LEFT_OUT),
    tables=(
        TablePart(name="failures", frame=FAILURES, caption="Trials that did not complete."),
        TablePart(name="left-out", frame=LEFT_OUT, caption="Records left out."),
    ),
)
