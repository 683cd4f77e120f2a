"""Effects within sub-groups of the test images."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from segbench.config.experiment import Experiment
from segbench.report.evidence import EVIDENCE, evidence
from segbench.report.family import Estimator
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
