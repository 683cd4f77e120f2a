"""The table of how training went: epochs to a level, area, instability, over-fitting."""

from __future__ import annotations

from typing import Any

from segbench.metrics import is_lower_better
from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers
from segbench.report.tables.numbered import Numbered, cell_columns, cell_fields
from segbench.report.tables.parts import is_known, rows_of
from segbench.report.tables.table import Table
from segbench.stats.dynamics import SHARE

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
