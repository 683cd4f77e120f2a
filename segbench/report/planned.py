"""What was planned before results were seen: looks, seeds, claims, and what of them was changed after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from segbench.config.experiment import Experiment
from segbench.records import State
from segbench.report.phrases import count, percent
from segbench.stats.intervals import LEVEL
from segbench.stats.verdict import ALPHA, alpha_at_a_look
from segbench.store.history import HistoryRow, describe

MISSING = (State.WAITING.value, State.RUNNING.value, State.INTERRUPTED.value)
"""States that another `sweep` would go on from; a failed trial is an outcome to report."""


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
    return f"{number}, after {seen} of at most {count(looks[-1], 'seed')}, at alpha {alpha:.3g}"


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
    trials = f"{count(num_later, 'trial')} of further seeds {'has' if num_later == 1 else 'have'} ended"
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
