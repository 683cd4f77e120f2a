"""Optuna's samplers and pruners in a search: what proposes configurations and says which trials to prune.

A proposal depends on nothing but what a record holds. Random, TPE and GP draw from the proposals told before;
a new sampler draws each proposal, so it has no state. QMC counts, and is told the count. NSGA-II and CMA-ES
go by generations: the generation of a proposal, and the proposals that it descends from, are handed out with
the proposal, kept in its record, and put back when a search goes on.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from types import SimpleNamespace
from typing import Any, Final, TypeAlias

import optuna
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, PercentilePruner
from optuna.samplers import BaseSampler, CmaEsSampler, NSGAIISampler, QMCSampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from segbench.config.expand import search_space
from segbench.config.experiment import Search
from segbench.config.searches import KNOWS_CONSTRAINTS
from segbench.dashboard.study import STATES, freeze, is_number, to_distribution
from segbench.records import DECIMALS, Origin, State
from segbench.sweep.search_records import Proposal

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
        place = proposal.origin.place or {}
        frozen = self._frozen(proposal, generation=place.get("generation"))
        if isinstance(self._pruner, Hyperband):
            number = self._num_known + proposal.number
            rungs = self._pruner.rungs(self._study, number, frozen.intermediate_values)
            frozen.system_attrs.update(rungs)
        self._add(frozen)
        self._note(frozen.params, is_enqueued=proposal.origin.is_enqueued)
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
        space: Every parameter.
        taken: The proposals so far.
        seed: Chooses among the points that are left.
    """

    def __init__(
        self, make: Callable[[int], BaseSampler], space: Space, taken: set[Key], *, seed: int
    ) -> None:
        self._make, self._space, self._taken, self._seed = make, space, taken, seed

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
            values = sampler.sample_relative(study, trial, _jointly(sampler, study, self._space))
            for name, distribution in self._space.items():
                if name not in values:
                    values[name] = sampler.sample_independent(study, trial, name, distribution)
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


class Qmc(QMCSampler):
    """A point of the sequence by its number, which Optuna counts in the storage."""

    def __init__(self, *, sample: int, **settings: Any) -> None:
        super().__init__(warn_independent_sampling=False, **settings)
        self._sample = sample

    def _find_sample_id(self, study: optuna.Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._sample


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


def make_sampler(
    search: Search,
    number: int,
    draw: int,
    *,
    sample: int,
    study: optuna.Study,
    space: Space,
    generations: Generations,
    known: Sequence[FrozenTrial],
) -> BaseSampler:
    """Return the sampler of a proposal.

    Args:
        search: Sampler, seed and settings.
        number: The proposal's.
        draw: From 0; more where the draws before it gave what was proposed already.
        sample: Proposals before it that were sampled: its place in a sequence.
        study: The study that it draws for.
        space: Every parameter.
        generations: What CMA-ES has come to; one a search.
        known: Proposals of other searches; CMA-ES starts from them.
    """
    settings, seed = search.sampler_settings, stream(search.sampler_seed, number, draw)
    if search.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed, **settings)
    if search.sampler == "gp":
        return optuna.samplers.GPSampler(seed=seed, **settings)
    if search.sampler == "nsga2":
        return NSGAIISampler(seed=seed, **settings)
    if search.sampler == "cmaes":
        source = list(known) or None
        return CmaEs(generations, space, study, seed=seed, source_trials=source, **settings)
    if search.sampler == "qmc" and draw == 0:
        return Qmc(sample=sample, seed=search.sampler_seed, **settings)
    return optuna.samplers.RandomSampler(seed=seed)


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
    if distribution.step is None:  # type: ignore[attr-defined]
        return None
    width = distribution.high - distribution.low  # type: ignore[attr-defined]
    return round(width / distribution.step) + 1  # type: ignore[attr-defined]


def _points(distribution: BaseDistribution) -> list[Any]:
    """Return every value of a distribution that has an end of them, as samplers give them."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    count = _num_points(distribution) or 0
    low, step = distribution.low, distribution.step  # type: ignore[attr-defined]
    return [distribution.to_external_repr(low + k * step) for k in range(count)]


def _jointly(sampler: BaseSampler, study: optuna.Study, space: Space) -> dict[str, BaseDistribution]:
    """Return the parameters that a sampler draws together, which Optuna would infer from every trial."""
    if isinstance(sampler, optuna.samplers.RandomSampler):
        return {}
    if isinstance(sampler, optuna.samplers.TPESampler) and not sampler._is_multivariate(study):
        return {}
    if isinstance(sampler, CmaEsSampler):
        return _numbers(space)
    return {name: space[name] for name in sorted(space) if not space[name].single()}


def _numbers(space: Space) -> dict[str, BaseDistribution]:
    return {
        name: space[name]
        for name in sorted(space)
        if not space[name].single() and not isinstance(space[name], CategoricalDistribution)
    }


class Hyperband(HyperbandPruner):
    """Hyperband whose brackets go by a proposal's own number, and whose rungs can be put back.

    Args:
        num_known: Trials that stand before the first proposal in the study.
    """

    def __init__(self, *, num_known: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._num_known = num_known

    def _get_bracket_id(self, study: optuna.Study, trial: Any) -> int:
        return super()._get_bracket_id(study, SimpleNamespace(number=trial.number - self._num_known))  # type: ignore[arg-type]

    def rungs(
        self, study: optuna.Study, trial_number: int, intermediate: Mapping[int, float]
    ) -> dict[str, float]:
        """Return the values that a trial was compared by, as Optuna keeps them in it: one a rung reached."""
        if not self._pruners:
            self._try_initialization(study)
        bracket = self._get_bracket_id(study, SimpleNamespace(number=trial_number))
        found: dict[str, float] = {}
        epoch = self._min_resource * self._reduction_factor**bracket
        while epoch in intermediate:
            found[f"completed_rung_{len(found)}"] = intermediate[epoch]
            epoch *= self._reduction_factor
        return found


def make_pruner(search: Search, *, epochs: int, num_known: int) -> BasePruner:
    """Return the pruner of a search.

    Args:
        search: Pruner and settings.
        epochs: Epochs of a whole trial.
        num_known: Proposals of other searches in the study; they have no values by epoch.
    """
    settings = dict(search.pruner_settings)
    if search.pruner in ("median", "percentile"):
        settings["n_startup_trials"] = settings.get("n_startup_trials", 5) + num_known
        settings["n_warmup_steps"] = search.pruner_warmup_epochs + 1  # epochs count from 1, steps from 0
        if search.pruner == "median":
            return MedianPruner(**settings)
        return PercentilePruner(settings.pop("percentile", 25.0), **settings)
    if search.pruner == "hyperband":
        least = max(1, min(search.pruner_warmup_epochs, epochs))
        return Hyperband(min_resource=least, max_resource=epochs, num_known=num_known, **settings)
    return NopPruner()
