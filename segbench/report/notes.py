"""Caveats: what the numbers do not say by themselves."""

from __future__ import annotations

import pandas as pd

from segbench.config.aliasing import alias_lines, title
from segbench.config.experiment import Experiment
from segbench.metrics import find_spec
from segbench.records import State
from segbench.report.planned import correction_note
from segbench.report.tuning import TUNED_PROTOCOL

INTERVALS = (
    "Both intervals hold the training set and the split fixed: 'this test set' says what other seeds "
    "would give on these test images, 'new images' what other seeds and other test images of the same "
    "kind would give. Neither says what other training images would give."
)
PROTOCOL = (
    "All cells share one protocol (the baseline with the levels' changes): a level that would need other "
    "settings is judged at these."
)
FOREIGN = (
    "These results were made elsewhere: how the arms were trained, on what, and how their weights were "
    "selected is not known here. Arms are paired by seed; where a seed means nothing across arms, that is "
    "still right and only less sharp than it could be."
)
CURVES = (
    "Curves: train_loss and train_dice are running means over an epoch's augmented batches in training "
    "mode, each before its step; val_loss and val_dice are measured after the epoch in evaluation mode on "
    "unchanged images. Bands are 95 % t-intervals over seeds, point by point."
)
ARCHITECTURES = (
    "Across architectures, trials of one seed share the order of the images and the augmentation only; "
    "initial weights differ."
)
LOSSES = "val_loss and train_loss are not comparable across levels that change the loss."
FOLDS = "Folds share training images: they are averaged within a seed and are no replicates of their own."
ONE_SEED = "One seed: no intervals, no verdicts."
SEARCH = (
    "A search reports the largest of many validation values, which flatters; only its replicates on the "
    "test images say what the configuration is worth."
)
HARDWARE = "Trials ran on different hardware: times and memory are not comparable between them."


def write_notes(
    experiment: Experiment,
    table: pd.DataFrame,
    effects: pd.DataFrame,
    matched: pd.DataFrame,
    *,
    partial: str | None,
) -> tuple[str, ...]:
    """Return `Analysis.notes`: the caveats that hold for this experiment, general ones first."""
    is_search = experiment.search is not None
    notes = []
    if partial:
        notes.append(f"{partial[0].upper()}{partial[1:]}. Intervals are preliminary, and nothing is judged.")
    protocol = PROTOCOL if experiment.tune is None else TUNED_PROTOCOL
    if experiment.foreign:
        protocol = FOREIGN
    notes += [SEARCH] if is_search else [INTERVALS, correction_note(experiment), protocol]
    notes += _design_notes(experiment)
    if not experiment.foreign:
        notes.append(CURVES)
    if varies(experiment, "model"):
        notes.append(ARCHITECTURES)
    if varies(experiment, "loss"):
        notes.append(LOSSES)
    if experiment.num_folds > 1:
        notes.append(FOLDS)
    if not is_search and len(experiment.seeds) == 1:
        notes.append(ONE_SEED)
    for row in effects[effects["depends_on_selection"]].itertuples():
        at = f" at {row.at}" if row.at else ""
        notes.append(
            f"{row.axis}: {row.level} against {row.baseline}{at} on {row.metric} depends on checkpoint "
            "selection: the last epoch's weights give another answer."
        )
    if "device_name" in table and len(table["device_name"].dropna().unique()) > 1:
        notes.append(HARDWARE)
    notes += _unrecorded(experiment, table)
    if "note" in matched:
        notes += [str(note) for note in matched["note"].dropna().unique() if str(note)]
    return tuple(notes)


def _design_notes(experiment: Experiment) -> list[str]:
    """Say how effects come about where the design is no factorial with every axis in every cell."""
    design, notes = experiment.design, []
    if design.kind == "fractional":
        numbers = {"num_cells": len(experiment.cells), "num_axes": len(experiment.axes)}
        text = (
            f"{title(design, **numbers)}. An effect is the mean over all cells at the level minus that over "
        )
        text += "all cells at the baseline, seed by seed."
        lines = alias_lines(design, up_to=2)
        if lines:
            text += f" Aliases, which get no verdict: {'; '.join(lines)}."
        notes.append(f"{text} Interactions of three axes and more are taken to be small.")
    for axis in experiment.axes:
        if axis.when:
            where = " and ".join(f"{name} {' or '.join(labels)}" for name, labels in axis.when.items())
            notes.append(
                f"{axis.name} varies with {where} only; where one of two cells lacks it, the other is taken "
                f"at {axis.name} {axis.baseline}."
            )
    return notes


def _unrecorded(experiment: Experiment, table: pd.DataFrame) -> list[str]:
    """Name the metrics that are asked for and that complete trials do not hold."""
    complete = table[table["state"] == State.COMPLETE.value]
    notes = []
    for name in dict.fromkeys([experiment.outcome, *(claim.metric for claim in experiment.claims)]):
        if find_spec(name) is None:
            continue
        num_missing = int(complete[name].isna().sum()) if name in complete else len(complete)
        if num_missing:
            notes.append(
                f"{name} is not recorded for {num_missing} of {len(complete)} complete trials: an older "
                "segbench did not measure it, and records are not written again. `segbench evaluate` "
                "measures a trial whose weights are here."
            )
    return notes


def varies(experiment: Experiment, target: str) -> bool:
    """Whether some level changes a field or one of its knobs."""
    levels = [level for axis in experiment.axes for level in axis.levels]
    return target in {change.split(".")[0] for level in levels for change in level.changes}
