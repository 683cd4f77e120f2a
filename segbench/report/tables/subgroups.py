"""The table of contrasts within sub-groups of the test images."""

from __future__ import annotations

from segbench.report.analysis import Analysis
from segbench.report.figures.forest import contrast_name
from segbench.report.labels import Labels
from segbench.report.tables.numbered import Numbered
from segbench.report.tables.parts import is_known, rows_of
from segbench.report.tables.table import Column, Field, Table
from segbench.report.trace_frames import subgroup_subject


def subgroups_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the contrasts within each sub-group of the test images."""
    metric = analysis.experiment.outcome
    frame = rows_of(analysis.subgroups)
    images = Numbered(labels, "subgroups", (("Images", "num_images"),))
    shown = [
        ("Level", "level_mean"),
        ("Baseline", "baseline_mean"),
        ("Difference", "difference"),
        ("95 % interval, this test set", "interval"),
    ]
    shown += [("new images", "interval_new")] if any(is_known(row["low_new"]) for row in frame) else []
    numbers = Numbered(labels, "subgroups", shown)
    rows = [
        (
            Field(text=f"{labels.name(row['division'])}: {labels.name(row['label'])}"),
            *images.fields(subgroup_subject(analysis, row)),
            Field(text=contrast_name({**row, "at": ""}, labels)),
            *numbers.fields(subgroup_subject(analysis, row)),
        )
        for row in frame
    ]
    columns = (
        Column(title="Test images", is_number=False),
        *images.columns,
        Column(title="Contrast", is_number=False),
        *numbers.columns,
    )
    return Table(
        name="subgroups",
        caption=f"{labels.metric(metric)} within sub-groups of the test images.",
        columns=columns,
        rows=tuple(rows),
        note="Level minus baseline, paired by seed, over the images of the sub-group alone. Exploratory.",
    )
