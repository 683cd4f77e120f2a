"""The table of how training went: epochs to a level, area, instability, over-fitting."""

from __future__ import annotations

from typing import Any

from segbench.metrics import is_lower_better
from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, Numbers, count, epochs
from segbench.report.tables.parts import is_known, rows_of
from segbench.report.tables.table import Column, Field, Table
from segbench.stats.dynamics import SHARE

_RULE = (
    "Loss turns up: the epoch of the lowest moving mean of the validation loss (5 % of the epochs to either "
    "side), if the last moving mean is above it by more than twice the noise and more than 1 %"
)


def dynamics_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the measures of the validation curves of every cell."""
    frame = [] if analysis.dynamics is None else rows_of(labels.ordered(analysis.dynamics))
    numbers = Numbers(labels.style.digits)
    objective = analysis.experiment.baseline.objective.metric
    axes = labels.axes
    rows = []
    for row in frame:
        names = [Field(text=labels.name(str(row[axis])) or NONE) for axis in axes] or [
            Field(text=labels.cell(row["cell"]))
        ]
        rows.append((*names, *_measures(row, numbers, objective)))
    columns = (
        *(Column(title=labels.name(axis), is_number=False) for axis in axes or ["cell"]),
        Column(title="n"),
        Column(title="Epochs to level"),
        Column(title="95 % interval"),
        Column(title="Reached"),
        Column(title="Area"),
        Column(title="95 % interval"),
        Column(title="Instability"),
        Column(title="95 % interval", in_print=False),
        Column(title="Loss turns up"),
        Column(title="95 % interval", in_print=False),
    )
    return Table(
        name="dynamics",
        caption="How training went, from the validation curves.",
        columns=columns,
        rows=tuple(rows),
        note=_note(frame, labels.metric(objective), numbers, is_lower_better(objective)) if frame else "",
    )


def _measures(row: dict[str, Any], numbers: Numbers, objective: str) -> tuple[Field, ...]:
    n = int(row["n"])
    turned, reached = int(row["turned_up"]), int(row["reached"])
    onset = epochs(row["onset"]) if turned else "no"
    onset += f" ({turned} of {n})" if 0 < turned < n else ""
    first = "not reached" if is_known(row["level"]) and not reached else epochs(row["epochs_to_level"])
    return (
        Field(text=count(n), sort=n),
        Field(text=first, sort=row["epochs_to_level"]),
        Field(
            text=_interval(row, "epochs_to_level"),
            sort=row["epochs_to_level_low"],
            high=row["epochs_to_level_high"],
        ),
        Field(text=f"{reached} of {n}", sort=row["reached"]),
        Field(text=numbers.of(objective, row["area"]), sort=row["area"]),
        Field(
            text=numbers.interval_of(objective, row["area_low"], row["area_high"]),
            sort=row["area_low"],
            high=row["area_high"],
        ),
        Field(text=numbers.of("instability", row["instability"]), sort=row["instability"]),
        Field(
            text=numbers.interval_of("instability", row["instability_low"], row["instability_high"]),
            sort=row["instability_low"],
            high=row["instability_high"],
        ),
        Field(text=onset, sort=row["onset"]),
        Field(text=_interval(row, "onset"), sort=row["onset_low"], high=row["onset_high"]),
    )


def _interval(row: dict[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"[{epochs(low)}, {epochs(high)}]" if is_known(low) else NONE


def _note(rows: list[dict[str, Any]], objective: str, numbers: Numbers, is_lower_better: bool) -> str:
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
