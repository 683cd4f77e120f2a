"""What proposes the configurations of a search, and says which trials to prune."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import optuna
from optuna.samplers import NSGAIISampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from segbench.config.expand import search_space
from segbench.config.experiment import Search
from segbench.config.searches import KNOWS_CONSTRAINTS
from segbench.records import DECIMALS, State
from segbench.sweep.study.convert import STATES, freeze, is_number, to_distribution
from segbench.sweep.study.pruners import Hyperband, make_pruner
from segbench.sweep.study.records import Proposal
from segbench.sweep.study.samplers import (
    MOST_DRAWS,
    Generations,
    Proposer,
    key_of,
    make_sampler,
    stream,
)

_GENERATION: Final = {"nsga2": NSGAIISampler._get_generation_key(), "cmaes": "cma:generation"}
"""Sampler -> where Optuna keeps the generation of a trial."""


class SearchStudy:
    """Proposes configurations of a search space and says which trials to prune.

    What the file enqueues comes first. The sampler of proposal k draws from hash(sampler seed, k) and the
    proposals told before it, so a search that was killed and started again goes on with the proposals that
    it would have made.

    Args:
        name: The experiment's name; Hyperband assigns brackets by it.
        search: The space, sampler and pruner.
        direction: `maximize` or `minimize`: of the objective, where there are no goals.
        epochs: Epochs of a whole trial.
        proposals: What was proposed before, by number; numbers may have gaps.
        known: Complete proposals of other searches over this space, the same at every start.
    """

    def __init__(
        self,
        name: str,
        search: Search,
        *,
        direction: str,
        epochs: int,
        proposals: Sequence[Proposal] = (),
        known: Sequence[Proposal] = (),
    ) -> None:
        self._search = search
        self._space = {name: to_distribution(d) for name, d in search_space(search).items()}
        self._storage = _Memory()
        self._known = [self._frozen(p, generation=0) for p in known]
        # CMA-ES takes its first distribution from them; their values would enter its generations.
        in_study = [] if search.sampler == "cmaes" else self._known
        self._num_known = len(in_study)
        directions = [goal.direction for goal in search.goals] or [direction]
        with _quiet():
            self._pruner = make_pruner(search, epochs=epochs, num_known=self._num_known)
            self._study = optuna.create_study(
                storage=self._storage, study_name=name, directions=directions, pruner=self._pruner
            )
        self._ids: list[int] = []
        """Optuna's trial of each proposal. Its `Trial` objects would ask the sampler on being made."""
        self._taken: set[tuple[Any, ...]] = set()
        self._num_enqueued = 0
        self._generations = Generations()
        self._announced: set[int] = set()
        """Generations whose parents stand with a proposal."""
        for trial in in_study:
            self._storage.create_new_trial(self._study._study_id, trial)
        for proposal in sorted(proposals, key=lambda p: p.number):
            while len(self._ids) < proposal.number:
                self._add(freeze(TrialState.FAIL))  # its record is gone; later ones keep their numbers
            self._replay(proposal)

    @property
    def num_proposals(self) -> int:
        """How many configurations were proposed, gaps included."""
        return len(self._ids)

    def ask(self) -> Proposal:
        """Propose the next configuration."""
        number = self.num_proposals
        waiting = self._next_enqueued()
        with _quiet():
            self._study.sampler = Proposer(
                lambda draw: make_sampler(
                    self._search,
                    number,
                    draw,
                    sample=number - self._num_enqueued,
                    study=self._study,
                    space=self._space,
                    generations=self._generations,
                    known=self._known,
                ),
                self._space,
                self._taken,
                seed=stream(self._search.sampler_seed, number, MOST_DRAWS),
            )
            if waiting is not None:
                self._study.enqueue_trial(dict(waiting))
            trial = self._study.ask(self._space)
        self._ids.append(trial._trial_id)
        self._note(trial.params, is_enqueued=waiting is not None)
        return Proposal(
            number=number,
            parameters=dict(trial.params),
            is_enqueued=waiting is not None,
            place=self._place(),
        )

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Take the objective after an epoch and return whether the trial should stop."""
        if self._search.pruner == "none":
            return False
        trial = self._trial(number)
        if trial.state.is_finished():
            return False
        if epoch not in trial.intermediate_values:
            self._storage.set_trial_intermediate_value(trial._trial_id, epoch, _rounded(value))
        return bool(self._pruner.prune(self._study, self._trial(number)))

    def tell(
        self, number: int, state: State, objective: float | None, measured: Mapping[str, float] | None = None
    ) -> None:
        """Take a trial's end; a second telling changes nothing.

        Args:
            number: The proposal's.
            state: How it ended.
            objective: Its value at the selected epoch.
            measured: Goals and constraints: metric -> value.
        """
        if self._trial(number).state.is_finished():
            return
        told, values, constraints = self._outcome(state, objective, measured or {})
        for key, value in constraints.items():
            self._storage.set_trial_system_attr(self._ids[number], key, value)
        with _quiet():  # a pruned trial without a value is no surprise
            self._study.tell(self._num_known + number, values, told)

    def _trial(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._ids[number])

    def _next_enqueued(self) -> Mapping[str, Any] | None:
        points = self._search.enqueue
        return next((p for p in points if key_of(p, self._space) not in self._taken), None)

    def _note(self, parameters: Mapping[str, Any], *, is_enqueued: bool) -> None:
        self._taken.add(key_of(parameters, self._space))
        self._num_enqueued += is_enqueued

    def _outcome(
        self, state: State, objective: float | None, measured: Mapping[str, float]
    ) -> tuple[TrialState, list[float] | None, dict[str, float]]:
        """Return a trial's end in Optuna's words: state, values, and constraints as it keeps them."""
        told, search = STATES[state], self._search
        violations = {c.metric: c.violation(measured.get(c.metric)) for c in search.constraints}
        known = {f"constraints:{metric}": v for metric, v in violations.items() if v < float("inf")}
        constraints = known if search.sampler in KNOWS_CONSTRAINTS else {}
        if told is TrialState.PRUNED and search.goals and all(v <= 0 for v in constraints.values()):
            return TrialState.FAIL, None, {}  # Optuna ranks pruned trials by the value of one goal
        if told is not TrialState.COMPLETE:
            return told, None, constraints if told is TrialState.PRUNED else {}
        found = [measured.get(goal.metric) for goal in search.goals] or [objective]
        values = [_rounded(value) for value in found if is_number(value)]
        if len(values) < len(found) or len(known) < len(violations):
            return TrialState.FAIL, None, {}
        return told, values, constraints

    def _place(self) -> dict[str, Any] | None:
        """Return where the newest proposal stands in the sampler's run."""
        key = _GENERATION.get(self._search.sampler)
        generation = None if key is None else self._trial(len(self._ids) - 1).system_attrs.get(key)
        if generation is None:
            return None
        place: dict[str, Any] = {"generation": generation}
        parents = self._generations.parents
        if self._search.sampler == "nsga2" and generation and generation not in parents:
            kept = self._storage.get_study_system_attrs(self._study._study_id)[_parents_key(generation)]
            parents[generation] = [_number_of(trial_id, self._num_known) for trial_id in kept]
        if generation in parents and generation not in self._announced:
            self._announced.add(generation)
            place["parents"] = parents[generation]
        return place

    def _add(self, trial: FrozenTrial) -> None:
        self._ids.append(self._storage.create_new_trial(self._study._study_id, trial))

    def _replay(self, proposal: Proposal) -> None:
        place = proposal.place or {}
        frozen = self._frozen(proposal, generation=place.get("generation"))
        if isinstance(self._pruner, Hyperband):
            number = self._num_known + proposal.number
            rungs = self._pruner.rungs(self._study, number, frozen.intermediate_values)
            frozen.system_attrs.update(rungs)
        self._add(frozen)
        self._note(frozen.params, is_enqueued=proposal.is_enqueued)
        if "parents" in place:
            generation, parents = int(place["generation"]), list(place["parents"])
            self._generations.parents[generation] = parents
            self._announced.add(generation)
            if self._search.sampler == "nsga2":
                kept = [_id_of(number, self._num_known) for number in parents]
                self._storage.set_study_system_attr(self._study._study_id, _parents_key(generation), kept)

    def _frozen(self, proposal: Proposal, *, generation: int | None) -> FrozenTrial:
        told, values, constraints = self._outcome(proposal.state, proposal.objective, proposal.measured)
        if told is TrialState.WAITING:
            told = TrialState.RUNNING  # a WAITING trial would be handed out by the next `ask`
        key = _GENERATION.get(self._search.sampler)
        place = {key: generation} if key is not None and generation is not None else {}
        return freeze(
            told,
            values=values,
            params=proposal.parameters,
            distributions=self._space,
            hidden={**constraints, **place},
            intermediate={e: _rounded(v) for e, v in proposal.intermediate.items()},
        )


def _number_of(trial_id: int, num_known: int) -> int:
    """Return a trial's number: from 0 a proposal's; below, -1 is the first of those known before the search.

    What is known may grow at its end, and numbers stay.
    """
    return trial_id - num_known if trial_id >= num_known else -1 - trial_id


def _id_of(number: int, num_known: int) -> int:
    return num_known + number if number >= 0 else -1 - number


class _Memory(InMemoryStorage):
    """Takes trials as they are; Optuna's copies them to the bottom, half the time of beginning again."""

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        trial_id = super().create_new_trial(study_id)
        if template_trial is not None:
            template_trial.number = self.get_trial_number_from_id(trial_id)
            template_trial._trial_id = trial_id
            self._set_trial(trial_id, template_trial)
            self._update_cache(trial_id, study_id)
        return trial_id


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's warnings about experimental parts and empty values to itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield


def _parents_key(generation: int) -> str:
    return f"{NSGAIISampler._get_parent_cache_key_prefix()}{generation}"


def _rounded(value: float | None) -> float:
    """Round as records do, so that a search told from files equals one told live."""
    return float(f"{value:.{DECIMALS}g}")
