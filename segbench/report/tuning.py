"""What a report says of a tuned design: the winners, the budget, and how far the verdicts reach."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from segbench.config.experiment import Experiment, SearchParameter
from segbench.records import State
from segbench.report.phrases import count, listed
from segbench.store.tuning import CellTuning

TUNED_PROTOCOL = (
    "Every cell is trained at settings of its own: those that won its tuning on the validation images, with "
    "seeds that no tuning trial had. Tuning trials never saw the test images and enter no contrast; all else "
    "is one protocol."
)
AT_THESE_SETTINGS = (
    "The tuning was done once: verdicts hold at these tuned settings, and the intervals leave out that "
    "another tuning may choose others. `tune: {repeats: ...}` repeats it."
)


def tuning_frame(experiment: Experiment, tunings: Sequence[CellTuning]) -> pd.DataFrame:
    """Return `Analysis.tuning`: a row a cell and repeat."""
    axes = [axis.name for axis in experiment.axes]
    parameters = [p.name for p in experiment.tune.search.parameters] if experiment.tune else []
    rows = []
    for tuning in sorted(tunings, key=lambda t: experiment.cells.index(t.cell)):
        winner = tuning.winner
        chosen = dict(winner.parameters) if winner is not None else {}
        rows.append(
            {
                "cell": tuning.cell.label,
                **tuning.cell.levels,
                "repeat": tuning.repeat,
                "ended": tuning.num_ended,
                "diverged": tuning.count(State.DIVERGED),
                "failed": tuning.count(State.FAILED),
                "trial": winner.hash if winner is not None else "",
                "value": winner.objective if winner is not None else float("nan"),
                **{name: chosen.get(name) for name in parameters},
            }
        )
    names = ("repeat", "ended", "diverged", "failed", "trial", "value")
    return pd.DataFrame(rows, columns=["cell", *axes, *names, *parameters])


def without_hope(table: pd.DataFrame, tunings: Sequence[CellTuning]) -> pd.DataFrame:
    """Have the replicates of a cell that could not be tuned say so: they failed, none will be trained.

    Args:
        table: A row a planned trial, with `cell`, `seed`, `state`.
        tunings: Of the design.
    """
    hopeless = [tuning for tuning in tunings if tuning.is_hopeless]
    if not hopeless:
        return table
    table = table.assign(**{name: None for name in ("failure", "reason") if name not in table})
    table = table.astype({"failure": object, "reason": object, "trial": object})
    for tuning in hopeless:
        of_cell = (table["cell"] == tuning.cell.label) & table["seed"].isin(tuning.seeds)
        table.loc[of_cell, ["state", "reason", "trial"]] = [
            State.FAILED.value,
            tuning.failure_text(),
            "",
        ]
    return table


def unfinished_text(tunings: Sequence[CellTuning]) -> str | None:
    """Say how far an unfinished tuning is; None: every budget is spent."""
    if all(tuning.is_over for tuning in tunings):
        return None
    ended = sum(tuning.num_ended for tuning in tunings)
    return f"partial: {ended} of {sum(tuning.num_trials for tuning in tunings)} tuning trials"


def reach_text(experiment: Experiment) -> str:
    """Say what was tuned and whether the intervals include it, for the head of a report."""
    tune = experiment.tune
    assert tune is not None
    space = listed([_dimension_text(parameter) for parameter in tune.search.parameters])
    trials = f"{count(tune.search.num_trials, 'trial')} a cell by {tune.search.sampler} over {space}"
    metric = experiment.baseline.objective.metric
    num_seeds = len(experiment.seeds)
    repeats = min(tune.repeats, num_seeds)
    by = f"{trials}; best {metric}"
    if repeats == 1:
        seed = f"seed {tune.seed}"
        return f"at these tuned settings ({by}, {seed})"
    times = f"tuning repeated {repeats} times ({by}, seeds {tune.seed} to {tune.seed + repeats - 1})"
    if repeats == num_seeds:
        return f"{times}; intervals include it"
    return f"{times} for {num_seeds} seeds, which share winners; intervals include a part of its scatter"


def tuned_sentence(experiment: Experiment, *, partial: str | None) -> list[str]:
    """Close the answer with how far it reaches; nothing where nothing is tuned or judged."""
    if experiment.tune is None or partial is not None:
        return []
    if min(experiment.tune.repeats, len(experiment.seeds)) == 1:
        return ["Every cell was tuned, once: this holds at these tuned settings."]
    return [f"Every cell was tuned {min(experiment.tune.repeats, len(experiment.seeds))} times afresh."]


def tuning_notes(experiment: Experiment, tunings: Sequence[CellTuning]) -> list[str]:
    """Return the caveats of a tuned design."""
    notes = []
    if experiment.tune is not None and min(experiment.tune.repeats, len(experiment.seeds)) == 1:
        notes.append(AT_THESE_SETTINGS)
    failed = [(t, t.count(State.FAILED)) for t in tunings if t.is_over]
    if len({n for _, n in failed}) > 1:
        short = listed([f"{t.cell.label} ({n} of {t.num_trials})" for t, n in failed if n])
        notes.append(f"Budgets were not equal: tuning trials failed in {short}.")
    notes += [f"{t.cell.label} {t.failure_text()}." for t in tunings if t.is_hopeless]
    return notes


def _dimension_text(parameter: SearchParameter) -> str:
    if parameter.levels:
        return f"{parameter.name} ({', '.join(level.label for level in parameter.levels)})"
    log = ", log" if parameter.log else ""
    return f"{parameter.name} ({parameter.low:g} to {parameter.high:g}{log})"
