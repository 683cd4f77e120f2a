"""Optuna's samplers, made such that a proposal depends on nothing but what a record holds.

Random, TPE and GP draw from the proposals told before; a fresh one for every proposal has no state. QMC
counts: it is told the count. NSGA-II and CMA-ES go by generations: which one a proposal belongs to, and which
proposals made it, is handed out with the proposal, kept in its record, and put back when a search goes on.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, Final, TypeAlias

import optuna
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, NSGAIISampler, QMCSampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from segbench.config.experiment import Search

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
    steps: int = round(width / distribution.step)  # type: ignore[attr-defined]
    return steps + 1


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
