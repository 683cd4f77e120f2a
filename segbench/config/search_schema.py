"""The blocks `search` and `tune` of an experiment file, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, Tag

from segbench.config.schema_types import Count, Finite, Label, Labels, Levels, Model, one_of


class Parameter(Model):
    """One dimension of a search space."""

    path: str | None = Field(None, description="What it sets; default: the field of its name.")
    low: Finite | None = Field(None, description="Smallest value.")
    high: Finite | None = Field(None, description="Largest value.")
    log: bool = Field(False, description="Sample on a logarithmic scale.")
    step: Annotated[Finite, Field(gt=0)] | None = Field(None, description="Distance between values.")
    levels: Levels | None = Field(None, description="Values to choose from, instead of bounds.")


class RandomSampler(Model):
    """Draws from the whole space."""

    seed: Annotated[int, Field(ge=0)] = Field(0, description="Seed of the draws.")


class TpeSampler(RandomSampler):
    """Tree-structured Parzen estimator; settings as in Optuna."""

    n_startup_trials: Annotated[int, Field(ge=1)] = Field(10, description="Random proposals before it.")
    n_ei_candidates: Count = Field(24, description="Candidates that a proposal is the best of.")
    multivariate: bool | None = Field(
        None, description="Parameters jointly; null: jointly for one goal, one by one for several."
    )
    constant_liar: bool = Field(True, description="Keep away from proposals that have not ended.")


class QmcSampler(RandomSampler):
    """A low-discrepancy sequence over the space; settings as in Optuna."""

    qmc_type: Literal["sobol", "halton"] = Field("sobol", description="The sequence.")
    scramble: bool = Field(
        True, description="Whether the seed scrambles the sequence; else it begins at a corner."
    )


class CmaEsSampler(RandomSampler):
    """Covariance matrix adaptation over numbers; settings as in Optuna."""

    n_startup_trials: Annotated[int, Field(ge=1)] = Field(1, description="Random proposals before it.")
    popsize: Annotated[int, Field(ge=4)] | None = Field(
        None, description="Proposals of a generation; null: 4 + 3 ln(number of parameters)."
    )


class GpSampler(RandomSampler):
    """A Gaussian process with expected improvement; settings as in Optuna."""

    n_startup_trials: Annotated[int, Field(ge=1)] = Field(10, description="Random proposals before it.")


class Nsga2Sampler(RandomSampler):
    """The genetic algorithm NSGA-II; settings as in Optuna."""

    population_size: Annotated[int, Field(ge=2)] = Field(50, description="Proposals of a generation.")
    mutation_prob: Annotated[Finite, Field(ge=0, le=1)] | None = Field(
        None, description="Chance that a parameter is drawn afresh; null: 1 / number of parameters."
    )
    crossover_prob: Annotated[Finite, Field(ge=0, le=1)] = Field(
        0.9, description="Chance that a child has two parents."
    )
    swapping_prob: Annotated[Finite, Field(ge=0, le=1)] = Field(
        0.5, description="Chance that a parameter comes from the second parent."
    )


class NoPruner(Model):
    """No proposal is stopped early."""


class WarmedPruner(Model):
    warmup_epochs: Annotated[int, Field(ge=0)] = Field(
        0, description="Epochs that no proposal is stopped in."
    )


class MedianPruner(WarmedPruner):
    """Stop a proposal that is worse than the median of the others at the same epoch."""

    n_startup_trials: Annotated[int, Field(ge=0)] = Field(5, description="Complete proposals before it.")
    interval_steps: Count = Field(1, description="Epochs between two looks.")
    n_min_trials: Count = Field(1, description="Values at an epoch that it needs.")


class PercentilePruner(MedianPruner):
    """Keep the proposals in the best percentile at the same epoch."""

    percentile: Annotated[Finite, Field(gt=0, lt=100)] = Field(
        25.0, description="Best share that goes on, in %."
    )


class HyperbandPruner(WarmedPruner):
    """Hyperband; `warmup_epochs` is its smallest budget."""

    reduction_factor: Annotated[int, Field(ge=2)] = Field(3, description="Of so many, one goes on.")
    bootstrap_count: Annotated[int, Field(ge=0)] = Field(0, description="Values at a rung before it.")


class TuneSampler(Model):
    """A sampler without generations, with its settings."""

    tpe: TpeSampler | None = None
    random: RandomSampler | None = None
    qmc: QmcSampler | None = None
    gp: GpSampler | None = None


class Sampler(TuneSampler):
    """A sampler with its settings."""

    cmaes: CmaEsSampler | None = None
    nsga2: Nsga2Sampler | None = None


class Pruner(Model):
    """A pruner with its settings."""

    none: NoPruner | None = None
    median: MedianPruner | None = None
    percentile: PercentilePruner | None = None
    hyperband: HyperbandPruner | None = None


SAMPLERS: Final[dict[str, type[RandomSampler]]] = {
    "tpe": TpeSampler,
    "random": RandomSampler,
    "qmc": QmcSampler,
    "gp": GpSampler,
    "cmaes": CmaEsSampler,
    "nsga2": Nsga2Sampler,
}
PRUNERS: Final[dict[str, type[Model]]] = {
    "none": NoPruner,
    "median": MedianPruner,
    "percentile": PercentilePruner,
    "hyperband": HyperbandPruner,
}


_MEASURE: Final = "A validation metric, or a cost: epoch_time_s, peak_memory_mib, parameters, flops."


class GoalBody(Model):
    """One of several goals."""

    metric: str = Field(description=_MEASURE)
    direction: Literal["maximize", "minimize"] | None = Field(None, description="Follows from the metric.")


class ConstraintBody(Model):
    """A bound that proposals are to keep."""

    metric: str = Field(description=_MEASURE)
    low: Finite | None = Field(None, description="Smallest value.")
    high: Finite | None = Field(None, description="Largest value.")


class SpaceBody(Model):
    """What a search and a tuning have in common."""

    pruner: Annotated[
        Annotated[Literal["none", "median", "percentile", "hyperband"], Tag("text")]
        | Annotated[Pruner, Tag("mapping")],
        one_of("a pruner's name or {name: {settings}}"),
    ] = "none"
    trials: Count = Field(description="How many proposals are trained.")


class SearchBody(SpaceBody):
    """A space handed to an Optuna sampler."""

    space: Annotated[
        dict[
            str,
            Annotated[
                Annotated[list[Any], Field(min_length=1), Tag("list")] | Annotated[Parameter, Tag("mapping")],
                one_of("a list of values or a mapping with `path`, `low` and `high`"),
            ],
        ],
        Field(min_length=1),
    ]
    sampler: Annotated[
        Annotated[Literal["tpe", "random", "qmc", "gp", "cmaes", "nsga2"], Tag("text")]
        | Annotated[Sampler, Tag("mapping")],
        one_of("a sampler's name or {name: {settings}}"),
    ] = "tpe"
    goals: (
        Annotated[
            list[
                Annotated[
                    Annotated[str, Tag("text")] | Annotated[GoalBody, Tag("mapping")],
                    one_of("a metric's name or {metric: ..., direction: ...}"),
                ]
            ],
            Field(min_length=2),
        ]
        | None
    ) = Field(None, description="Several goals, instead of the objective alone.")
    replicate: Annotated[int, Field(ge=0)] | None = Field(
        None, description="With several goals: Pareto points that are trained with the other seeds (3)."
    )
    constraints: list[ConstraintBody] = Field([], description="Bounds that the best proposal keeps.")
    enqueue: list[dict[str, Label]] = Field([], description="Complete proposals that come first.")
    warm_start: list[str] = Field(
        [], description="Searches whose finished proposals the sampler knows before it proposes."
    )


class TunedParameter(Parameter):
    """One nuisance knob."""

    when: dict[str, Labels] | None = Field(
        None, description="Axis -> its levels: cells with another level are tuned without this parameter."
    )


class TuneBody(SpaceBody):
    """A study of its own for every cell."""

    space: Annotated[
        dict[
            str,
            Annotated[
                Annotated[list[Any], Field(min_length=1), Tag("list")]
                | Annotated[TunedParameter, Tag("mapping")],
                one_of("a list of values or a mapping with `path`, `low` and `high`"),
            ],
        ],
        Field(min_length=1),
    ] = Field(description="Nuisance knobs, none of which is an axis.")
    sampler: Annotated[
        Annotated[Literal["tpe", "random", "qmc", "gp"], Tag("text")]
        | Annotated[TuneSampler, Tag("mapping")],
        one_of("a sampler's name or {name: {settings}}"),
    ] = "tpe"
    trials: Count = Field(description="How many tuning trials each cell gets.")
    seed: Annotated[int, Field(ge=0)] = Field(
        1000, description="Seed of the tuning trials, 1 more for each further repeat; none may be in `seeds`."
    )
    repeats: Count = Field(
        1, description="How often every cell is tuned afresh; the seeds take the winners in turn."
    )
