"""Optuna's samplers and pruners in a search: what proposes configurations and says which trials to prune.

A proposal depends on nothing but what a record holds. Random, TPE and GP draw from the proposals told before;
a new sampler draws each proposal, so it has no state. QMC counts its points, and draws those again that it
gave. NSGA-II and CMA-ES go by generations: the generation of a proposal, and the proposals that it descends
from, are handed out with the proposal, kept in its record, and put back when a search goes on.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from itertools import product
from types import SimpleNamespace
from typing import Any, Final, TypeAlias

import optuna
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, HyperbandPruner
from optuna.samplers import (
    BaseGASampler,
    BaseSampler,
    BruteForceSampler,
    CmaEsSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from segbench.config.expand import search_space
from segbench.config.experiment import Search
from segbench.config.searches import optuna_classes
from segbench.dashboard.study import STATES, freeze, is_number, to_distribution
from segbench.errors import ExperimentError, message
from segbench.records import DECIMALS, Origin, State
from segbench.sweep.search import Proposal


class ProposalStudy:
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
        self._sampler = optuna_classes("sampler")[search.sampler]
        self._kind: type[BaseSampler] = getattr(optuna.samplers, self._sampler.name)
        self._generation_key = _generation_key(self._kind, search.sampler_settings)
        self._space = {name: to_distribution(d) for name, d in search_space(search).items()}
        self._storage = _Memory()
        self._known = [self._frozen(p, generation=0) for p in known]
        # CMA-ES takes its first distribution from them; their values would enter its generations.
        in_study = [] if search.sampler == "cmaes" else self._known
        self._num_known = len(in_study)
        directions = [
            StudyDirection[each.upper()] for each in [goal.direction for goal in search.goals] or [direction]
        ]
        with _quiet():
            self._pruner = _checked(
                name, "pruner", lambda: make_pruner(search, epochs=epochs, num_known=self._num_known)
            )
            self._study = optuna.create_study(
                storage=self._storage, study_name=name, directions=directions, pruner=self._pruner.pruner
            )
        self._study_id = self._storage.get_study_id_from_name(name)
        self._ids: list[int] = []
        """Optuna's trial of each proposal. Its `Trial` objects would ask the sampler on being made."""
        self._taken: set[tuple[Any, ...]] = set()
        self._num_enqueued = 0
        self._generations = Generations()
        self._announced: set[int] = set()
        """Generations whose parents stand with a proposal."""
        with _quiet():
            _checked(name, "sampler", lambda: self._make_sampler(0, 0))
        for trial in in_study:
            self._storage.create_new_trial(self._study_id, trial)
        for proposal in sorted(proposals, key=lambda p: p.number):
            while len(self._ids) < proposal.number:
                self._add(freeze(TrialState.FAIL))  # its record is gone; later ones keep their numbers
            self._replay(proposal)
        if issubclass(self._kind, QMCSampler):
            self._go_on_with_sequence()

    @property
    def num_proposals(self) -> int:
        """How many configurations were proposed, gaps included."""
        return len(self._ids)

    def ask(self) -> Proposal:
        """Propose the next configuration."""
        number = self.num_proposals
        waiting = self._next_enqueued()
        # a point of the sequence would be lost on what the file gives
        first = int(waiting is not None and issubclass(self._kind, QMCSampler))
        with _quiet():
            self._study.sampler = Proposer(
                lambda draw: self._make_sampler(number, first + draw),
                self._jointly,
                self._space,
                self._taken,
                seed=stream(self._search.sampler_seed, number, MOST_DRAWS),
            )
            if waiting is not None:
                self._study.enqueue_trial(dict(waiting))
            trial = self._study.ask(self._space)
        self._ids.append(self._storage.get_trial_id_from_study_id_trial_number(self._study_id, trial.number))
        self._note(trial.params, is_enqueued=waiting is not None)
        return Proposal(
            number=number,
            parameters=dict(trial.params),
            origin=Origin(is_enqueued=waiting is not None, place=self._place()),
        )

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Take the objective after an epoch and return whether the trial should stop."""
        if self._search.pruner == "none":
            return False
        trial = self._trial(number)
        if trial.state.is_finished():
            return False
        if epoch not in trial.intermediate_values:
            self._storage.set_trial_intermediate_value(self._ids[number], epoch, _rounded(value))
        return bool(self._pruner.pruner.prune(self._study, self._trial(number)))

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

    def _make_sampler(self, number: int, draw: int) -> BaseSampler:
        """Return the sampler of a proposal.

        Args:
            number: The proposal's.
            draw: From 0; more if the draws before it gave what was proposed already.
        """
        search = self._search
        settings, seed = search.sampler_settings, stream(search.sampler_seed, number, draw)
        if issubclass(self._kind, CmaEsSampler):
            source = list(self._known) or None
            return CmaEs(
                self._generations, self._space, self._study, seed=seed, source_trials=source, **settings
            )
        if issubclass(self._kind, QMCSampler):
            if draw:
                return RandomSampler(seed=seed)
            return self._kind(seed=search.sampler_seed, warn_independent_sampling=False, **settings)
        return self._kind(seed=seed, **settings)  # type: ignore[call-arg]

    def _jointly(self, sampler: BaseSampler, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that a sampler draws together.

        Optuna infers them from every trial; here the space is known. Only a TPE that groups its parameters
        needs the trials for it.
        """
        if isinstance(sampler, CmaEsSampler):
            return _numbers(self._space)
        if isinstance(sampler, TPESampler):
            settings = self._search.sampler_settings
            if settings.get("group"):
                return sampler.infer_relative_search_space(self._study, trial)
            is_joint = settings.get("multivariate")
            if not (is_joint if is_joint is not None else not self._search.goals):
                return {}
        elif isinstance(sampler, RandomSampler | BruteForceSampler):
            return {}
        return {name: each for name, each in sorted(self._space.items()) if not each.single()}

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
        constraints = known if self._sampler.knows_constraints else {}
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
        key = self._generation_key
        generation = None if key is None else self._trial(len(self._ids) - 1).system_attrs.get(key)
        if generation is None:
            return None
        place: dict[str, Any] = {"generation": generation}
        parents = self._generations.parents
        if issubclass(self._kind, BaseGASampler) and generation and generation not in parents:
            attributes = self._storage.get_study_system_attrs(self._study_id)
            kept = attributes[_parents_key(self._kind, generation)]
            parents[generation] = [_number_of(trial_id, self._num_known) for trial_id in kept]
        if generation in parents and generation not in self._announced:
            self._announced.add(generation)
            place["parents"] = parents[generation]
        return place

    def _add(self, trial: FrozenTrial) -> None:
        self._ids.append(self._storage.create_new_trial(self._study_id, trial))

    def _replay(self, proposal: Proposal) -> None:
        place = proposal.origin.place or {}
        frozen = self._frozen(proposal, generation=place.get("generation"))
        number = self._num_known + proposal.number
        frozen.system_attrs.update(self._pruner.rungs(self._study, number, frozen.intermediate_values))
        self._add(frozen)
        self._note(frozen.params, is_enqueued=proposal.origin.is_enqueued)
        if "parents" in place:
            generation, parents = int(place["generation"]), list(place["parents"])
            self._generations.parents[generation] = parents
            self._announced.add(generation)
            if issubclass(self._kind, BaseGASampler):
                kept = [_id_of(number, self._num_known) for number in parents]
                key = _parents_key(self._kind, generation)
                self._storage.set_study_system_attr(self._study_id, key, kept)

    def _go_on_with_sequence(self) -> None:
        """Draw the points again that earlier proposals were made of: Optuna counts them in its storage."""
        with _quiet():
            sampler, trial = self._make_sampler(0, 0), freeze(TrialState.RUNNING)
        for _ in range(self.num_proposals - self._num_enqueued):
            sampler.sample_relative(self._study, trial, dict(self._jointly(sampler, trial)))

    def _frozen(self, proposal: Proposal, *, generation: int | None) -> FrozenTrial:
        told, values, constraints = self._outcome(proposal.state, proposal.objective, proposal.measured)
        if told is TrialState.WAITING:
            told = TrialState.RUNNING  # a WAITING trial would be handed out by the next `ask`
        key = self._generation_key
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


def _checked(name: str, what: str, make: Callable[[], Any]) -> Any:
    """Make a sampler or a pruner, whose class says which values of its settings it takes.

    Raises:
        ExperimentError: It refuses its settings.
    """
    try:
        return make()
    except (ValueError, TypeError, NotImplementedError) as error:
        told = " ".join(str(error).split()).rstrip(".")
        rule = f"Optuna's {what} refuses these settings ({told})"
        raise ExperimentError(message(f"{name}: search.{what}", rule)) from None


def _generation_key(kind: type[BaseSampler], settings: Mapping[str, Any]) -> str | None:
    """Return where Optuna keeps the generation of a trial; None for a sampler without generations."""
    if issubclass(kind, BaseGASampler):
        return kind._get_generation_key()
    if not issubclass(kind, CmaEsSampler):
        return None
    return "sepcma:generation" if settings.get("use_separable_cma") else "cma:generation"


def _parents_key(kind: type[BaseGASampler], generation: int) -> str:
    return f"{kind._get_parent_cache_key_prefix()}{generation}"


def _rounded(value: float | None) -> float:
    """Round as records do, so that a search told from files equals one told live."""
    return float(f"{value:.{DECIMALS}g}")


Space: TypeAlias = Mapping[str, BaseDistribution]
Key: TypeAlias = tuple[Any, ...]

MOST_DRAWS: Final = 5
"""How often a sampler may draw until a proposal is new; then one is drawn from the points that are left."""

MOST_POINTS: Final = 100_000
"""A space of more points is not listed to find those that are left."""


class Proposer(BaseSampler):
    """Draws all parameters of a proposal together, and draws again where an earlier proposal equals it.

    Args:
        make: Draw, from 0 -> the sampler.
        jointly: Sampler and trial -> the parameters that it draws together.
        space: Every parameter.
        taken: The proposals so far.
        seed: Chooses among the points that are left.
    """

    def __init__(
        self,
        make: Callable[[int], BaseSampler],
        jointly: Callable[[BaseSampler, FrozenTrial], Space],
        space: Space,
        taken: set[Key],
        *,
        seed: int,
    ) -> None:
        self._make, self._jointly, self._space, self._taken = make, jointly, space, taken
        self._seed = seed

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return dict(self._space)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        size = num_points(self._space)
        is_used_up = size is not None and len(self._taken) >= size
        values: dict[str, Any] = {}
        for draw in range(1 if is_used_up else MOST_DRAWS):
            sampler = self._make(draw)
            values = sampler.sample_relative(study, trial, dict(self._jointly(sampler, trial)))
            seen = copy(trial)
            for name, distribution in self._space.items():
                if name not in values:
                    values[name] = sampler.sample_independent(study, seen, name, distribution)
                if isinstance(sampler, BruteForceSampler):  # goes down a tree of values, one level per draw
                    seen.params = dict(values)
            if key_of(values, self._space) not in self._taken:
                return values
        if is_used_up or size is None or size > MOST_POINTS:
            return values
        left = [key for key in product(*map(_points, self._space.values())) if key not in self._taken]
        return dict(zip(self._space, left[self._seed % len(left)], strict=True))

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise AssertionError(f"{param_name} is drawn with the others")


class Generations:
    """The distribution of CMA-ES, from generation to generation.

    Optuna pickles it into its storage. Here it is worked out from the proposals that made each generation.
    """

    def __init__(self) -> None:
        self.parents: dict[int, list[int]] = {}
        """Generation, from 1 -> the numbers of the proposals that made it."""
        self._optimizer: Any = None


class CmaEs(CmaEsSampler):
    """CMA-ES that goes on from proposals instead of from a pickle."""

    def __init__(
        self, generations: Generations, space: Space, study: optuna.Study, *, seed: int, **settings: Any
    ) -> None:
        super().__init__(warn_independent_sampling=False, seed=seed, **settings)
        self._seed = seed
        self._generations, self._study, self._space = generations, study, space

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        memory = self._generations
        if memory._optimizer is None:
            transform = _SearchSpaceTransform(_numbers(self._space), transform_step=True, transform_0_1=True)
            optimizer = self._init_optimizer(transform, self._study.direction)
            by_number = {trial.number: trial for trial in completed_trials}
            for generation in range(max(memory.parents, default=0)):
                parents = [by_number[n] for n in memory.parents.get(generation + 1, ()) if n in by_number]
                if (
                    len(parents) < optimizer.population_size
                ):  # a record is gone: others of its generation serve
                    parents = super()._get_solution_trials(completed_trials, generation)
                if len(parents) < optimizer.population_size:
                    break
                is_less_better = self._study.direction == StudyDirection.MINIMIZE
                told = parents[: optimizer.population_size]
                values = [float(t.value) if is_less_better else -float(t.value) for t in told]  # type: ignore[arg-type]
                optimizer.tell(
                    [(transform.transform(t.params), v) for t, v in zip(told, values, strict=True)]
                )
            memory._optimizer = optimizer
            self._cma_rng = LazyRandomState(self._seed)  # beginning afresh has drawn from it
        return memory._optimizer

    def _get_solution_trials(self, trials: list[FrozenTrial], generation: int) -> list[FrozenTrial]:
        found = super()._get_solution_trials(trials, generation)
        optimizer = self._generations._optimizer
        if len(found) >= optimizer.population_size:  # Optuna tells them to the optimiser next
            parents = found[: optimizer.population_size]
            self._generations.parents[generation + 1] = [trial.number for trial in parents]
        return found


def stream(seed: int, number: int, draw: int = 0) -> int:
    """Return the seed that a proposal is drawn from."""
    text = f"{seed}/{number}" if draw == 0 else f"{seed}/{number}/{draw}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def key_of(values: Mapping[str, Any], space: Space) -> Key:
    """Return what tells proposals apart."""
    return tuple(values[name] for name in space)


def num_points(space: Space) -> int | None:
    """Return how many proposals differ; None where there is no end to them."""
    counts = [_num_points(distribution) for distribution in space.values()]
    known = [count for count in counts if count is not None]
    return math.prod(known) if len(known) == len(counts) else None


def _num_points(distribution: BaseDistribution) -> int | None:
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if distribution.step is None:
        return None
    return round((distribution.high - distribution.low) / distribution.step) + 1


def _points(distribution: BaseDistribution) -> list[Any]:
    """Return every value of a distribution that has an end of them, as samplers give them."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    count = _num_points(distribution) or 0
    low, step = distribution.low, distribution.step  # type: ignore[attr-defined]
    return [distribution.to_external_repr(low + k * step) for k in range(count)]


def _numbers(space: Space) -> dict[str, BaseDistribution]:
    return {
        name: space[name]
        for name in sorted(space)
        if not space[name].single() and not isinstance(space[name], CategoricalDistribution)
    }


class Hyperband(HyperbandPruner):
    """Hyperband whose brackets go by a proposal's own number.

    Args:
        num_known: Trials that stand before the first proposal in the study.
    """

    def __init__(self, *, num_known: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._num_known = num_known

    def bracket_of(self, study: optuna.Study, trial_number: int) -> int:
        if not self._pruners:
            self._try_initialization(study)
        return self._get_bracket_id(study, SimpleNamespace(number=trial_number))

    def _get_bracket_id(self, study: optuna.Study, trial: Any) -> int:
        return super()._get_bracket_id(study, SimpleNamespace(number=trial.number - self._num_known))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Pruning:
    """A pruner that goes on with the comparisons that it had."""

    pruner: BasePruner
    settings: Mapping[str, Any]

    def rungs(
        self, study: optuna.Study, trial_number: int, intermediate: Mapping[int, float]
    ) -> dict[str, float]:
        """Return the values that a trial was compared by, as Optuna keeps them in it: one per rung reached.

        Only pruners by successive halving have rungs.
        """
        if "reduction_factor" not in self.settings:
            return {}
        rate = self.settings.get("min_early_stopping_rate", 0)
        if isinstance(self.pruner, Hyperband):
            rate = self.pruner.bracket_of(study, trial_number)
        factor = self.settings["reduction_factor"]
        epoch = self.settings["min_resource"] * factor**rate
        found: dict[str, float] = {}
        while epoch in intermediate:
            found[f"completed_rung_{len(found)}"] = intermediate[epoch]
            epoch *= factor
        return found


def make_pruner(search: Search, *, epochs: int, num_known: int) -> Pruning:
    """Return the pruner of a search.

    Args:
        search: Pruner and settings.
        epochs: Epochs of a whole trial.
        num_known: Proposals of other searches in the study; they have no values by epoch.
    """
    chosen = optuna_classes("pruner")[search.pruner]
    settings = {
        name: knob.default
        for name, knob in chosen.settings.items()
        if name != "warmup_epochs" and not knob.is_required
    }
    if "n_warmup_steps" in settings:
        settings["n_warmup_steps"] = search.pruner_warmup_epochs + 1  # epochs count from 1, steps from 0
    if "min_resource" in settings:
        settings["min_resource"] = max(1, min(search.pruner_warmup_epochs, epochs))
    if "max_resource" in settings:
        settings["max_resource"] = epochs
    settings |= search.pruner_settings
    if "n_startup_trials" in settings:
        settings["n_startup_trials"] += num_known
    kind = getattr(optuna.pruners, chosen.name)
    if issubclass(kind, HyperbandPruner):
        return Pruning(Hyperband(num_known=num_known, **settings), settings)
    return Pruning(kind(**settings), settings)
