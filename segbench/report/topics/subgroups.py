"""Effects within sub-groups of the test images."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pandas as pd

from segbench.report.analysis import Analysis
from segbench.report.study import EVIDENCE, Study, estimated
from segbench.report.topics.contrast import contrast_source, contrast_steps, contrast_subject
from segbench.report.topics.effects import contrast_name, effect_columns
from segbench.report.topics.topic import Column, Frame, Number, TablePart, Text, Topic
from segbench.report.trace import Row, show_count, show_of
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


def subgroups_frame(study: Study) -> pd.DataFrame:
    """Return every level against its baseline on the outcome, over the images of one sub-group per row.

    Sub-groups are divisions of the same images and trials, so their rows are not independent of the marginal
    effects; they are exploratory, without verdicts, unless a claim names them. Empty unless the experiment
    asks for sub-groups.

    Returns:
        The columns `COLUMNS`: `division` and `label` name the sub-group, `low`, `high` are of this test set,
        `low_new`, `high_new` of new images.
    """
    experiment, estimator = study.experiment, study.estimator
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
                        "level_mean": effect.level_mean,
                        "baseline_mean": effect.baseline_mean,
                        **estimated(effect),
                    }
                )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def subgroups_notes(study: Study) -> list[str]:
    """Say how the test images are divided, and what is asked for but not known."""
    experiment, estimator = study.experiment, study.estimator
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


# The topic.


def _subject(analysis: Analysis, row: Row) -> str:
    return f"{contrast_subject(analysis, row)} among {row['division']} {row['label']}"


def _columns(analysis: Analysis) -> list[Column]:
    metric = analysis.experiment.outcome
    of_effects = {column.name: column for column in effect_columns(analysis) if isinstance(column, Number)}
    shown = {
        "n": (show_count, ""),
        "difference": (show_of(metric, is_difference=True), "Difference"),
        "interval": (show_of(metric), "95 % interval, this test set"),
        "interval_new": (show_of(metric), "new images"),
    }
    return [
        Text(
            name="images",
            title="Test images",
            text=lambda labels, row: f"{labels.name(row['division'])}: {labels.name(row['label'])}",
        ),
        Number(
            name="num_images",
            title="Images",
            words="test images",
            formula="Test images of the sub-group.",
            show=show_count,
        ),
        Text(
            name="contrast",
            title="Contrast",
            text=lambda labels, row: contrast_name({**row, "at": ""}, labels),
        ),
        *(
            replace(of_effects[name], show=show, title=title, dress=lambda labels, row, found: found)
            for name, (show, title) in shown.items()
        ),
        *(
            Number(
                name=f"{arm}_mean",
                title=arm.capitalize(),
                words=f"mean {metric} at the {arm}",
                formula=f"Mean over seeds of {metric} on the images of the sub-group.",
                show=show_of(metric),
                after=after,
            )
            for arm, after in (("level", "contrast"), ("baseline", "level_mean"))
        ),
    ]


SUBGROUPS: Final = Frame(
    name="subgroups",
    compute=subgroups_frame,
    subject=_subject,
    columns=_columns,
    source=contrast_source,
    steps=contrast_steps,
)

TOPIC: Final = Topic(
    name="subgroups",
    section="subgroups",
    frames=(SUBGROUPS,),
    tables=(
        TablePart(
            name="subgroups",
            frame=SUBGROUPS,
            caption=lambda labels: (
                f"{labels.metric(labels.analysis.experiment.outcome)} within sub-groups of the test images."
            ),
            note=lambda labels, rows: (
                "Level minus baseline, paired by seed, over the images of the sub-group alone. Exploratory."
            ),
        ),
    ),
)
