"""What records say of the tuning of a design: how far each cell is, and which parameters won."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from segbench.config.expand import search_space, tuned_cell
from segbench.config.experiment import Cell, Experiment
from segbench.config.trial import Objective, identity
from segbench.errors import ExperimentError
from segbench.records import Role, SearchPlace, State, TrialRecord
from segbench.store.layout import HASH_DIGITS
from segbench.store.queue import QueuedTrial


@dataclass(frozen=True, kw_only=True)
class TuningTrial:
    """One configuration that a cell was tried with."""

    hash: str
    seed: int
    data_fingerprint: str
    state: State
    objective: float | None
    """At the selected epoch; None unless the trial has one."""
    search: SearchPlace

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self.search.parameters

    @property
    def numbers(self) -> tuple[int, ...]:
        """The proposals that it stands for."""
        return self.search.numbers

    @property
    def has_ended(self) -> bool:
        return self.state.has_ended

    @classmethod
    def of_record(cls, record: TrialRecord) -> TuningTrial:
        return cls(
            hash=record.hash,
            seed=record.seed,
            data_fingerprint=record.data_fingerprint,
            state=record.state,
            objective=record.objective,
            search=record.search or SearchPlace(),
        )

    @classmethod
    def of_queued(cls, trial: QueuedTrial) -> TuningTrial:
        """Take a proposal that no worker has begun."""
        return cls(
            hash=trial.hash,
            seed=trial.seed,
            data_fingerprint=trial.data_fingerprint,
            state=State.WAITING,
            objective=None,
            search=trial.search or SearchPlace(),
        )


@dataclass(frozen=True, kw_only=True)
class CellTuning:
    """The tuning of one cell in one repeat."""

    cell: Cell
    """As designed."""
    repeat: int
    seed: int
    """Of the tuning trials."""
    seeds: tuple[int, ...]
    """Of the replicates that take the winner."""
    num_trials: int
    """The budget."""
    objective: Objective
    trials: Mapping[int, TuningTrial] = field(default_factory=dict)
    """By number, without a gap; equal proposals share a trial."""

    @property
    def num_ended(self) -> int:
        return sum(trial.has_ended for trial in self.trials.values())

    def count(self, state: State) -> int:
        """Return how many proposals ended, or stand, in a state."""
        return sum(trial.state is state for trial in self.trials.values())

    @property
    def is_over(self) -> bool:
        """Whether the whole budget is spent."""
        return self.num_ended >= self.num_trials

    @property
    def num_unplanned(self) -> int:
        """How many trials are still to come: of the budget, and replicates while nothing has won."""
        return self.num_trials - self.num_ended + (0 if self.is_over else len(self.seeds))

    @property
    def winner(self) -> TuningTrial | None:
        """The complete trial with the best objective, the first of equals.

        None while the budget is not spent, and where no trial completed: the cell could not be tuned.
        """
        best: TuningTrial | None = None
        for _, trial in sorted(self.trials.items()):
            if trial.state is not State.COMPLETE or trial.objective is None:
                continue
            if self.objective.is_better(trial.objective, None if best is None else best.objective):
                best = trial
        return best if self.is_over else None

    @property
    def is_hopeless(self) -> bool:
        """Whether the budget is spent and no trial completed."""
        return self.is_over and self.winner is None

    def failure_text(self) -> str:
        """Say why the cell could not be tuned."""
        ends = (*(state for state in State if state.has_ended_short), State.COMPLETE)
        counts = ", ".join(f"{n} {state}" for state in ends if (n := self.count(state)))
        return f"could not be tuned: of {self.num_trials} tuning trials {counts}"


def read_tunings(
    experiment: Experiment,
    found: Iterable[TuningTrial],
    *,
    is_current: Callable[[TuningTrial, Cell], bool] = lambda trial, cell: True,
) -> tuple[CellTuning, ...]:
    """Return the tuning of every cell and repeat of a tuned design, repeats slowest.

    A trial belongs to a cell whose configuration as designed it names, or, where the files of its data set
    have moved, whose configuration with its parameters gives its identity. Trials over another space, of a
    repeat that is not asked for or beyond the budget belong to none.

    Args:
        experiment: One with `tune`.
        found: Tuning trials, in any order; one that has ended goes before one that has not.
        is_current: Whether a trial is of the data and code as they are now.
    """
    tune = experiment.tune
    assert tune is not None
    spaces = {cell.config_hash: search_space(tune.search_of(cell)) for cell in experiment.cells}
    by_key: dict[tuple[str, int], dict[int, TuningTrial]] = {}
    tuning = [trial for trial in found if trial.search.role is Role.TUNING]
    for trial in sorted(tuning, key=lambda t: (not t.has_ended, t.hash)):
        cell = _cell_of(trial, experiment)
        repeat = trial.search.repeat
        if cell is None or repeat is None or trial.search.space != spaces[cell.config_hash]:
            continue
        if trial.seed != tune.seed + repeat or not is_current(trial, cell):
            continue
        numbered = by_key.setdefault((cell.config_hash, repeat), {})
        for number in trial.numbers:
            numbered.setdefault(number, trial)
    return tuple(
        CellTuning(
            cell=cell,
            repeat=repeat,
            seed=tune.seed + repeat,
            seeds=tuple(s for i, s in enumerate(experiment.seeds) if i % tune.repeats == repeat),
            num_trials=tune.search.num_trials,
            objective=experiment.baseline.objective,
            trials=_without_gap(by_key.get((cell.config_hash, repeat), {}), tune.search.num_trials),
        )
        for repeat in range(min(tune.repeats, len(experiment.seeds)))
        for cell in experiment.cells
    )


def _without_gap(trials: Mapping[int, TuningTrial], num_trials: int) -> dict[int, TuningTrial]:
    """Keep the proposals up to the first one that is gone: those after it are asked for again, alike."""
    kept: dict[int, TuningTrial] = {}
    while len(kept) < num_trials and len(kept) in trials:
        kept[len(kept)] = trials[len(kept)]
    return kept


def _cell_of(trial: TuningTrial, experiment: Experiment) -> Cell | None:
    named = next((c for c in experiment.cells if c.config_hash == trial.search.cell), None)
    if named is not None:
        return named
    return next((cell for cell in experiment.cells if _is_trial_of(trial, cell, experiment)), None)


def _is_trial_of(trial: TuningTrial, cell: Cell, experiment: Experiment) -> bool:
    return _tuned_hash(experiment, cell, trial, trial.seed) == trial.hash


def winner_hash(experiment: Experiment, tuning: CellTuning, seed: int) -> str | None:
    """Return the hash of the winner's replicate with a seed, on the data it was tuned on; None: no winner."""
    winner = tuning.winner
    return None if winner is None else _tuned_hash(experiment, tuning.cell, winner, seed)


def _tuned_hash(experiment: Experiment, cell: Cell, trial: TuningTrial, seed: int) -> str | None:
    assert experiment.tune is not None
    try:
        tuned = tuned_cell(experiment.tune, cell, trial.parameters, where=experiment.name)
    except (ExperimentError, KeyError, TypeError, ValueError):
        return None
    found = identity(tuned.config, seed=seed, fold=0, data_fingerprint=trial.data_fingerprint)
    return found[:HASH_DIGITS]
