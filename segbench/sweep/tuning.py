"""The tuning of a design's cells as a sweep plans it: checked against the data, winners made trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from segbench.config.expand import search_space, tuned_cell
from segbench.config.experiment import Cell, Experiment, PlannedTrial
from segbench.records import TUNED, TUNING, State, TrialRecord
from segbench.store.queue import QueuedTrial
from segbench.store.tuning import CellTuning, TuningTrial, read_tunings

if TYPE_CHECKING:
    from segbench.sweep.plan import Plan, Planner


def tunings_of(
    experiment: Experiment, found: Iterable[TuningTrial], planner: Planner
) -> tuple[CellTuning, ...]:
    """Return how far the tuning of each cell is; trials of other data or other code belong to none.

    Raises:
        DataError: The data set is missing.
    """
    assert experiment.tune is not None
    tune = experiment.tune

    def is_current(trial: TuningTrial, cell: Cell) -> bool:
        tuned = tuned_cell(tune, cell, trial.parameters, where=experiment.name)
        return planner.trial(tuned, trial.seed).hash == trial.hash

    return read_tunings(experiment, found, is_current=is_current)


def tuned_trials(
    experiment: Experiment, tunings: Sequence[CellTuning], planner: Planner
) -> tuple[tuple[PlannedTrial, ...], dict[str, dict[str, Any]]]:
    """Return the replicates of the winners that are known, seeds slowest, and hash -> `search` block."""
    order = {seed: number for number, seed in enumerate(experiment.seeds)}
    found = [
        (order[trial.seed], trial, block)
        for tuning in tunings
        for trial, block in replicates(experiment, tuning, planner)
    ]
    found.sort(key=lambda item: item[0])
    return tuple(trial for _, trial, _ in found), {trial.hash: block for _, trial, block in found}


def replicates(
    experiment: Experiment, tuning: CellTuning, planner: Planner
) -> list[tuple[PlannedTrial, dict[str, Any]]]:
    """Return the trials of a cell's winner, each with its `search` block; none before there is a winner."""
    winner = tuning.winner
    if winner is None:
        return []
    assert experiment.tune is not None
    cell = tuned_cell(experiment.tune, tuning.cell, winner.parameters, where=experiment.name)
    block = {
        "role": TUNED,
        "cell": tuning.cell.config_hash,
        "repeat": tuning.repeat,
        "parameters": dict(winner.parameters),
        "space": search_space(experiment.tune.search_of(tuning.cell)),
        "winner": winner.hash,
    }
    return [(planner.trial(cell, seed), block) for seed in tuning.seeds]


def tuning_trial(
    experiment: Experiment,
    tuning: CellTuning,
    planner: Planner,
    number: int,
    parameters: Mapping[str, Any],
) -> QueuedTrial:
    """Return one proposal of a cell's tuning as workers take it: without the test images."""
    assert experiment.tune is not None
    cell = tuned_cell(experiment.tune, tuning.cell, parameters, where=experiment.name)
    block = {
        "role": TUNING,
        "cell": tuning.cell.config_hash,
        "repeat": tuning.repeat,
        "number": number,
        "parameters": dict(parameters),
        "space": search_space(experiment.tune.search_of(tuning.cell)),
    }
    return QueuedTrial.of(planner.trial(cell, tuning.seed), search=block, is_tested=False)


def superseded(plan: Plan) -> tuple[TrialRecord, ...]:
    """Return the replicates that no winner asks for now, as after more tuning trials: they are kept."""
    cells = {tuning.cell.config_hash for tuning in plan.tunings}
    return tuple(
        record
        for record in plan.orphans
        if record.role == TUNED and record.search is not None and record.search.get("cell") in cells
    )


def tuning_size(plan: Plan) -> str:
    """Say what a tuned design asks for and how much of it is done, in one line."""
    tune = plan.experiment.tune
    assert tune is not None
    names = ", ".join(parameter.name for parameter in tune.search.parameters)
    cells = len({tuning.cell.config_hash for tuning in plan.tunings})
    repeats = len({tuning.repeat for tuning in plan.tunings})
    seeds = sum(len(tuning.seeds) for tuning in plan.tunings)
    each = f"{tune.search.num_trials} trials each" + (f", {repeats} times" if repeats > 1 else "")
    ended = sum(tuning.num_ended for tuning in plan.tunings)
    asked = sum(tuning.num_trials for tuning in plan.tunings)
    done = len({e.trial.hash for e in plan.entries if e.state.is_finished})
    return (
        f"{cells} {'cell' if cells == 1 else 'cells'} tuned over {names} by {tune.search.sampler}, {each}; "
        f"tuning {ended}/{asked}, replicates of winners {done}/{seeds}"
    )


def tuning_lines(plan: Plan) -> list[str]:
    """Say how far the tuning of each cell is, or what won; a line a cell and repeat, aligned."""
    rows = [["cell", "tuning", plan.experiment.baseline.objective.metric, "tuned settings"]]
    num_repeats = len({tuning.repeat for tuning in plan.tunings})
    for tuning in plan.tunings:
        name = tuning.cell.label if num_repeats == 1 else f"{tuning.cell.label}, repeat {tuning.repeat}"
        winner = tuning.winner
        if winner is not None:
            assert winner.objective is not None
            value, settings = f"{winner.objective:.4f}", settings_text(winner.parameters)
        else:
            value, settings = "-", tuning.failure_text() if tuning.is_hopeless else ""
        counts = [
            f"{n} {state}"
            for state in (State.DIVERGED, State.PRUNED, State.FAILED)
            if (n := tuning.count(state)) and not tuning.is_hopeless
        ]
        done = ", ".join([f"{tuning.num_ended}/{tuning.num_trials}", *counts])
        rows.append([name, done, value, settings])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    old = superseded(plan)
    if old:
        what = "1 replicate" if len(old) == 1 else f"{len(old)} replicates"
        lines.append(f"{what} of an earlier winner, or of seeds no longer asked for: kept, not reported.")
    return lines


def tuning_content(plan: Plan) -> list[dict[str, Any]]:
    """Return how far the tuning of each cell is, in plain types."""
    return [
        {
            "cell": tuning.cell.label,
            "repeat": tuning.repeat,
            "trials": tuning.num_trials,
            "ended": tuning.num_ended,
            "failed": tuning.count(State.FAILED),
            "diverged": tuning.count(State.DIVERGED),
            "winner": None if tuning.winner is None else dict(tuning.winner.parameters),
            "seeds": list(tuning.seeds),
        }
        for tuning in plan.tunings
    ]


def settings_text(parameters: Mapping[str, Any]) -> str:
    """Write parameters as `lr 0.00316, momentum 0.9`."""
    return ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in parameters.items())
