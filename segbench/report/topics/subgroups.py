"""Effects within sub-groups of the test images."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from segbench.config.experiment import Experiment
from segbench.report.analysis import Analysis
from segbench.report.columns import Numbered, is_known, rows_of
from segbench.report.labels import Labels
from segbench.report.study import EVIDENCE, Estimator, evidence
from segbench.report.table import Column, Field, Table
from segbench.report.topics.effects import contrast_name
from segbench.report.trace_frames import subgroup_subject
from segbench.stats.questions import baseline_contrasts

COLUMNS = (
    *("division", "label", "num_images", "axis", "level", "baseline", "n", "level_mean", "baseline_mean"),
    *("difference", "low", "high", "low_new", "high_new", "trials"),
    *EVIDENCE,
)

MISSING = (
    "Sub-groups: nothing is known of the test images, because the results hold no samples.csv. "
    "`segbench sweep` writes it where the data set is."
)


def subgroups_frame(experiment: Experiment, estimator: Estimator) -> pd.DataFrame:
    """Return `Analysis.subgroups`: every level against its baseline on the outcome, image by sub-group.

    Sub-groups are divisions of the same images and trials, so their rows are not independent of the marginal
    effects; they are exploratory, without verdicts, unless a claim names them.
    """
    rows = []
    for division in experiment.subgroups:
        for label in estimator.subgroups.values(division):
            among = ((division, label),)
            num_images = len(estimator.subgroups.images(among))
            for contrast in baseline_contrasts(experiment):
                if contrast.metric not in estimator.table:
                    continue
                effect = estimator.effect(replace(contrast, among=among))
                rows.append(
                    {
                        "division": division,
                        "label": label,
                        "num_images": num_images,
                        "axis": contrast.axis,
                        "level": contrast.level,
                        "baseline": contrast.baseline,
                        "n": effect.n,
                        "level_mean": effect.level_mean,
                        "baseline_mean": effect.baseline_mean,
                        "difference": effect.difference,
                        **dict(zip(("low", "high"), effect.interval(), strict=True)),
                        **dict(zip(("low_new", "high_new"), effect.interval("new_images"), strict=True)),
                        "trials": effect.trials,
                        **evidence(effect),
                    }
                )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def subgroups_notes(experiment: Experiment, estimator: Estimator) -> list[str]:
    """Say how the test images are divided, and what is asked for but not known."""
    if not experiment.subgroups:
        return []
    if not estimator.subgroups.labels:
        return [MISSING]
    notes = []
    for name in experiment.subgroups:
        if name in estimator.subgroups.bounds:
            low, high = estimator.subgroups.bounds[name]
            thirds = f"low up to {low:.3g}, high above {high:.3g}"
            notes.append(f"Sub-groups by {name}: thirds of the test images, {thirds}.")
        elif name not in estimator.subgroups.labels:
            notes.append(f"Sub-groups by {name}: the data set says nothing of that name about its images.")
    return notes


# The table of contrasts within sub-groups of the test images.


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
