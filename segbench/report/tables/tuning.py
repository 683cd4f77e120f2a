"""The table of what won in each cell's tuning."""

from __future__ import annotations

import math
from typing import Any

from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, Numbers, count
from segbench.report.tables.numbered import Numbered
from segbench.report.tables.table import Column, Field, Table
from segbench.report.trace_frames import tuning_subject


def tuning_table(analysis: Analysis, labels: Labels) -> Table:
    """Return a row a cell and repeat: the settings that won, and the objective that chose them."""
    tuning, tune = analysis.tuning, analysis.experiment.tune
    if tuning is None or tuning.empty or tune is None:
        return Table(name="tuning", caption="", columns=(), rows=())
    metric = analysis.experiment.baseline.objective.metric
    numbers = Numbers(labels.style.digits)
    parameters = [parameter.name for parameter in tune.search.parameters]
    is_repeated = tuning["repeat"].nunique() > 1
    lost = Numbered(labels, "tuning", (("Diverged", "diverged"), ("Failed", "failed")))
    rows = [
        (
            Field(text=labels.cell(row["cell"])),
            *([Field(text=count(row["repeat"]), sort=row["repeat"])] if is_repeated else []),
            *(_setting(row[name], labels) for name in parameters),
            _value(
                row["value"],
                numbers.of(metric, row["value"]),
                labels.traces.hover("tuning", tuning_subject(analysis, row), "value"),
            ),
            Field(
                text=f"{count(row['ended'])}/{count(tune.search.num_trials)}",
                sort=row["ended"],
                hover=labels.traces.hover("tuning", tuning_subject(analysis, row), "ended"),
            ),
            *lost.fields(tuning_subject(analysis, row)),
            Field(text=row["trial"] or NONE),
        )
        for row in labels.ordered(tuning).to_dict("records")
    ]
    columns = (
        Column(title="Cell", is_number=False),
        *([Column(title="Repeat")] if is_repeated else []),
        *(Column(title=labels.name(p.name), is_number=not p.levels) for p in tune.search.parameters),
        Column(title=labels.metric(metric)),
        Column(title="Tuning trials"),
        *lost.columns,
        Column(title="Trial", is_number=False, in_print=False),
    )
    note = (
        f"Each cell's best of {count(tune.search.num_trials)} tuning trials on the validation images: as the "
        "largest of many its value flatters, and no contrast uses it."
    )
    return Table(
        name="tuning", caption="Tuned settings of every cell.", columns=columns, rows=tuple(rows), note=note
    )


def _setting(value: Any, labels: Labels) -> Field:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Field(text=NONE) if math.isnan(value) else Field(text=f"{value:.3g}", sort=float(value))
    return Field(text=NONE if value is None else labels.name(str(value)))


def _value(value: float, text: str, hover: str) -> Field:
    return Field(text=NONE) if math.isnan(value) else Field(text=text, sort=value, hover=hover)
