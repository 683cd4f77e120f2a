"""What was planned before results were seen: looks, seeds, claims, and what of them was changed after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from segbench.config.experiment import Experiment
from segbench.config.pairing import alias_lines, title
from segbench.config.trial import Target
from segbench.quantities import QUANTITIES
from segbench.records import State
from segbench.report.analysis import MISSING
from segbench.report.numbers import percent
from segbench.report.topics.tuning import TUNED_PROTOCOL
from segbench.stats.intervals import LEVEL
from segbench.stats.verdict import ALPHA, alpha_at_a_look
from segbench.store.history import HistoryRow, describe
from segbench.wording import counted


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What a report says of its plan."""

    look: str
    """At which look the results stand; empty without looks."""
    growth: str
    """That the number of seeds was decided after results could be seen; empty where it was not."""
    changes: tuple[str, ...]
    uncounted: tuple[str, ...]

    @classmethod
    def of(cls, experiment: Experiment, table: pd.DataFrame, history: Sequence[HistoryRow]) -> Planned:
        """Compare the plan with what was first complete.

        Args:
            experiment: With the seeds of the look that is reported.
            table: A row a trial of the whole design.
            history: What sweeps left.
        """
        return cls(
            look=look_text(experiment),
            growth=growth_remark(experiment, history),
            changes=tuple(change_remarks(experiment, history)),
            uncounted=tuple(uncounted_note(experiment, table)),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.growth, *self.changes, *self.uncounted)))

    def into_head(self, head: Mapping[str, str]) -> dict[str, str]:
        """Return the head of a report with two more terms after the seeds: `look` and `after results`."""
        added = {
            "look": self.look.removeprefix("look "),
            "after results": " ".join(filter(None, (self.growth, *self.changes))),
        }
        terms = list(head.items())
        place = next((k + 1 for k, (term, _) in enumerate(terms) if term == "seeds"), len(terms))
        return dict([*terms[:place], *((k, v) for k, v in added.items() if v), *terms[place:]])


def last_look(experiment: Experiment, table: pd.DataFrame) -> Experiment:
    """Return the experiment with the seeds of the last look of which no trial is missing, else of the first.

    Trials beyond it exist where the next look is being trained; they count when that is complete.

    Args:
        experiment: The design.
        table: A row a planned trial, with its `seed` and `state`.
    """
    if not experiment.looks:
        return experiment
    waiting = set(table.loc[table["state"].isin(MISSING), "seed"])
    complete = [n for n in experiment.looks if not waiting & set(experiment.seeds[:n])]
    return experiment.first_seeds(max(complete, default=experiment.looks[0]))


def look_text(experiment: Experiment) -> str:
    """Say which look the seeds stand for: `look 1 of 3, after 3 of at most 10 seeds, at alpha 0.0167`."""
    if not experiment.looks:
        return ""
    looks, seen = experiment.looks, len(experiment.seeds)
    alpha = alpha_at_a_look(len(looks))
    number = f"look {looks.index(seen) + 1} of {len(looks)}"
    return f"{number}, after {seen} of at most {counted(looks[-1], 'seed')}, at alpha {alpha:.3g}"


def correction_note(experiment: Experiment) -> str:
    """Say what verdicts follow and what the printed intervals are."""
    num_looks = len(experiment.looks)
    alpha = alpha_at_a_look(num_looks)
    shared = others = ""
    if num_looks:
        shared = (
            f" This is {look_text(experiment)}: each of {num_looks} planned looks spends an equal share of "
            f"{ALPHA:g}, judges by all trials up to it, and takes over nothing from the looks before."
        )
        others = f" ({percent(LEVEL)} outside the family)"
    return (
        f"Verdicts follow p-values after Holm's correction over the family at two-sided {alpha:.3g}; the "
        f"intervals printed are {percent(1 - alpha)} each{others}, without correction.{shared} Contrasts "
        "outside the family are exploratory: intervals, no verdicts."
    )


def uncounted_note(experiment: Experiment, table: pd.DataFrame) -> list[str]:
    """Say how many trials have ended beyond the look that is reported.

    Args:
        experiment: With the seeds of the look.
        table: A row a trial of the whole design.
    """
    later = ~table["seed"].isin(experiment.seeds) & ~table["state"].isin(MISSING)
    num_later = int(later.sum())
    if not num_later:
        return []
    trials = f"{counted(num_later, 'trial')} of further seeds {'has' if num_later == 1 else 'have'} ended"
    return [f"{trials}; they count when their look is complete."]


def growth_remark(experiment: Experiment, history: Sequence[HistoryRow]) -> str:
    """Say that the number of seeds was decided after results could be seen; empty where it was not.

    What was first complete is the plan: seeds without looks, or looks. A baseline that was changed since
    begins anew.
    """
    now = describe(experiment, ended="", commit=None)
    same = [row for row in history if row.baseline == now.baseline]
    if not same or (same[0].looks == now.looks and (now.looks or same[0].seeds == now.seeds)):
        return ""
    first = same[0]
    seen = f"after results were seen on {first.date}, so the verdicts are exploratory"
    if first.looks != now.looks:
        return f"The looks were {'changed' if first.looks else 'planned'} {seen}."
    if set(first.seeds.split()) < set(now.seeds.split()):
        return f"Unplanned growth: the seeds grew from {first.num_seeds} to {now.num_seeds} {seen}."
    return f"The seeds were changed from {first.seeds} to {now.seeds} {seen}."


def change_remarks(experiment: Experiment, history: Sequence[HistoryRow]) -> list[str]:
    """Say which questions were changed after results could be seen, each in a line."""
    if not history:
        return []
    first, now = history[0], describe(experiment, ended="", commit=None)
    seen = f"after results were seen on {first.date}"
    remarks = []
    if first.claims != now.claims:
        remarks.append(f"The claims changed {seen}.")
    for name in ("margin", "outcome"):
        before, after = getattr(first, name) or "none", getattr(now, name) or "none"
        if before != after:
            remarks.append(f"The {name} changed from {before} to {after} {seen}.")
    return remarks


# Caveats: what the numbers do not say by themselves.


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
    for row in effects[effects["depends_on_selection"]].to_dict("records"):
        at = f" at {row['at']}" if row["at"] else ""
        notes.append(
            f"{row['axis']}: {row['level']} against {row['baseline']}{at} on {row['metric']} depends on "
            "checkpoint selection: the last epoch's weights give another answer."
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
        if name not in QUANTITIES or QUANTITIES[name].metric is None:
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
    return target in {Target.of(change).field for level in levels for change in level.changes}
