"""The table of contrasts within sub-groups of the test images."""

from __future__ import annotations

from segbench.report.analysis import Analysis
from segbench.report.figures.forest import contrast_name
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers, count
from segbench.report.tables.parts import is_known, rows_of
from segbench.report.tables.table import Column, Field, Table
from segbench.report.trace_frames import subgroup_subject


def subgroups_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the contrasts within each sub-group of the test images."""
    numbers = Numbers(labels.style.digits)
    metric = analysis.experiment.outcome
    frame = rows_of(analysis.subgroups)
    has_new = any(is_known(row["low_new"]) for row in frame)
    rows = []
    for row in frame:
        subject = subgroup_subject(analysis, row)

        def traced(name: str, subject: str = subject) -> str:
            return labels.traces.hover("subgroups", subject, name)

        fields = [
            Field(text=f"{labels.name(row['division'])}: {labels.name(row['label'])}"),
            Field(text=count(row["num_images"]), sort=row["num_images"]),
            Field(text=contrast_name({**row, "at": ""}, labels)),
            Field(
                text=numbers.of(metric, row["level_mean"]), sort=row["level_mean"], hover=traced("level_mean")
            ),
            Field(
                text=numbers.of(metric, row["baseline_mean"]),
                sort=row["baseline_mean"],
                hover=traced("baseline_mean"),
            ),
            Field(
                text=numbers.of(metric, row["difference"], is_difference=True),
                sort=row["difference"],
                hover=traced("difference"),
            ),
            Field(
                text=numbers.interval_of(metric, row["low"], row["high"]),
                sort=row["low"],
                high=row["high"],
                hover=traced("interval"),
            ),
        ]
        if has_new:
            new = numbers.interval_of(metric, row["low_new"], row["high_new"])
            fields.append(
                Field(text=new, sort=row["low_new"], high=row["high_new"], hover=traced("interval_new"))
            )
        rows.append(tuple(fields))
    columns = [
        Column(title="Test images", is_number=False),
        Column(title="Images"),
        Column(title="Contrast", is_number=False),
        Column(title="Level"),
        Column(title="Baseline"),
        Column(title="Difference"),
        Column(title="95 % interval, this test set"),
    ]
    return Table(
        name="subgroups",
        caption=f"{labels.metric(metric)} within sub-groups of the test images.",
        columns=(*columns, *([Column(title="new images")] if has_new else [])),
        rows=tuple(rows),
        note="Level minus baseline, paired by seed, over the images of the sub-group alone. Exploratory.",
    )
