"""Types and shapes that the models of an experiment file share."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
    create_model,
)
from pydantic_core import PydanticCustomError

from segbench.config.slurm import SlurmBlock
from segbench.config.trial import EarlyStopping, Objective, TrialConfig, declared
from segbench.quantities import LIMITS
from segbench.registry import REQUIRED

SHAPES: Final = {dict: "mapping", list: "list", str: "text", bool: "bool", int: "number", float: "number"}


def _shape(value: Any) -> str:
    return SHAPES.get(type(value), "nothing")


def one_of(wanted: str) -> Discriminator:
    """Choose the arm of a union by the value's shape alone, so that one error is about one arm."""
    return Discriminator(
        _shape,
        custom_error_type="shape",
        custom_error_message=wanted,
    )


Count = Annotated[int, Field(gt=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


def _label(value: Any) -> Any:
    if isinstance(value, dict | list):
        raise PydanticCustomError("shape", "a level's label")
    return value


_SCALAR: Final = {"type": ["string", "number", "boolean", "null"]}
Label = Annotated[Any, PlainValidator(_label), WithJsonSchema(_SCALAR)]
Labels = Annotated[
    Annotated[Label, Tag("text")] | Annotated[Annotated[list[Label], Field(min_length=1)], Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list) else "text"),
]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


Levels = Annotated[
    Annotated[list[Any], Field(min_length=1), Tag("list")]
    | Annotated[dict[str, Any], Field(min_length=1), Tag("mapping")],
    one_of("a list of values or a mapping of labels"),
]


# The blocks `search` and `tune` of an experiment file, as pydantic models.


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


_MEASURE: Final = f"A validation metric, or a cost: {', '.join(LIMITS)}."


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


# The keys of an experiment file, their types and defaults, as pydantic models.
#
# Names of variants, knobs, levels and metrics are checked later (`resolve`, `levels`, `claims`): they need
# the
# registry and the rest of the file.


def _model_of(name: str, declaring: type, doc: str | None, **types: Any) -> type[Model]:
    """Make the model of a class whose fields are declared in `segbench.config.trial`.

    Args:
        name: What the schema calls it.
        declaring: The class.
        doc: What the model is.
        types: Field -> type that a file writes, where it is another one. Variants are checked later, so that
            a file may write anything for them.
    """
    types = {**get_type_hints(declaring), **types}
    made: dict[str, Any] = {}
    for field, about in declared(declaring).items():
        if about.is_in_baseline:
            default = ... if about.default is REQUIRED else about.default
            info = Field(default, description=about.text, **about.bounds)
            made[field] = (Any if about.is_axis else types[field], info)
    return create_model(name, __base__=Model, __doc__=doc, **made)


Stopping = _model_of("Stopping", EarlyStopping, EarlyStopping.__doc__)
Baseline = _model_of(
    "Baseline",
    TrialConfig,
    "The complete configuration that the levels change.",
    early_stopping=Stopping | None,
)


class AxisBody(Model):
    """Levels of an axis, and what they set."""

    levels: Levels = Field(
        description="A list of values, or a mapping from label to value (or to the fields it sets)."
    )
    path: str | None = Field(None, description="What the values set, such as `optimizer.lr`.")
    baseline: Label = Field(None, description="The level that the others are compared with.")
    when: Annotated[dict[str, Labels], Field(min_length=1)] | None = Field(
        None,
        description="Levels of other axes at which this one varies, such as {optimizer: sgd}; a list is or. "
        "Other cells do not have the axis.",
    )


class FractionalBody(Model):
    """A balanced part of the factorial of axes of two levels."""

    resolution: Annotated[int, Field(ge=3)] = Field(
        4,
        description="4: no effect of one axis is mixed with an interaction of two; 5: nor are these with "
        "each other; 3: effects of axes and interactions of two are mixed, and get no verdict then.",
    )


AxisNames = Annotated[list[Label], Field(min_length=1)]


class DesignBody(Model):
    """One design: the only key says which."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    cells: Annotated[list[dict[str, Label]], Field(min_length=1)] | None = Field(
        None, description="Chosen combinations; an axis that is not named stands at its baseline."
    )
    factorial: AxisNames | None = Field(
        None, description="All combinations of these axes; the others stand at their baselines."
    )
    fractional: FractionalBody | None = Field(
        None, description="A balanced part of the factorial of axes of two levels."
    )
    zip: Annotated[list[Labels], Field(min_length=1)] | None = Field(
        None,
        description="Axes that change together, level by level, crossed with the others; [[a, b], [c, d]] "
        "are two groups.",
    )
    union: Annotated[list[Design], Field(min_length=1)] | None = Field(
        None, description="Designs one after another; cells that several have count once."
    )


Design = Annotated[
    Annotated[
        Literal["factorial", "one_at_a_time", "leave_one_out", "fractional"],
        Tag("text"),
    ]
    | Annotated[DesignBody, Tag("mapping")],
    one_of("factorial, one_at_a_time, leave_one_out, fractional or a mapping such as {cells: [...]}"),
]
DesignBody.model_rebuild()


class ObjectiveBody(Model):
    """The validation metric that selects weights."""

    metric: str = Objective().metric
    direction: Literal["maximize", "minimize"] | None = None


class SeedsBody(Model):
    """Seeds that grow from look to look, until everything that is claimed is resolved."""

    start: Annotated[int, Field(ge=2)] = Field(description="Seeds of the first look.")
    max: Count = Field(description="Seeds of the last look.")
    looks: Annotated[list[Count], Field(min_length=1)] | None = Field(
        None, description="Numbers of seeds at which is judged, from `start` to `max`; null: these two."
    )


class Scale(Model):
    """Another size of the same question: `--scale NAME` lays it over the file."""

    baseline: dict[str, Any] = Field({}, description="Fields that replace those of the baseline.")
    axes: dict[str, Any] = Field({}, description="Axes that replace those of the same name.")
    design: Any = None
    only: Any = None
    exclude: Any = None
    seeds: Any = None
    margin: Any = None
    expected_seed_sd: Any = None
    claims: Any = None
    subgroups: Any = None
    search: Any = None
    tune: Any = None
    objective: Any = None
    outcome: Any = None
    slurm: Any = None


class ExperimentFile(Model):
    """One experiment: one question."""

    question: Annotated[str, Field(min_length=1)] = Field(description="What the experiment asks.")
    baseline: Baseline  # type: ignore[valid-type]
    axes: dict[
        str,
        Annotated[
            Annotated[list[Any], Field(min_length=1), Tag("list")] | Annotated[AxisBody, Tag("mapping")],
            one_of("a list of levels or a mapping with `levels`"),
        ],
    ] = Field({}, description="What varies.")
    design: Design = Field(
        "factorial",
        description="Which combinations of levels are trained: factorial (all); one_at_a_time (the baseline, "
        "then each other level alone); leave_one_out (the baseline has everything on, then each axis "
        "switched alone); fractional (a balanced part); or a mapping.",
    )
    only: list[dict[str, Labels]] = Field([], description="Combinations kept; a list of labels is or.")
    exclude: list[dict[str, Labels]] = Field([], description="Combinations left out; a list of labels is or.")
    seeds: Annotated[
        Annotated[Count, Tag("number")]
        | Annotated[Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)], Tag("list")]
        | Annotated[SeedsBody, Tag("mapping")],
        one_of("a count, a list of whole numbers or {start: ..., max: ...}"),
    ] = Field(3, description="A count (5 is 0, 1, 2, 3, 4), a list, or looks: {start: 3, max: 10}.")
    objective: ObjectiveBody = Field(
        ObjectiveBody(), description="Validation metric that selects weights and drives a search."
    )
    outcome: str = Field("test_dice", description="Test metric that verdicts are about.")
    margin: Annotated[Finite, Field(gt=0)] | None = Field(
        None, description="Differences of the outcome below it do not matter; needed for `==`."
    )
    expected_seed_sd: Annotated[Finite, Field(gt=0)] | None = Field(
        None,
        description="What the outcome's standard deviation over the seeds of a cell is expected to be; "
        "`plan` reckons with it until there are records.",
    )
    claims: list[dict[str, Any]] = Field([], description="Expectations that the report judges.")
    subgroups: list[Annotated[str, Field(min_length=1)]] = Field(
        [],
        description="What the report divides the test images by: attributes of the data set (species), or "
        "thirds of foreground_share, tone_likeness, irregularity.",
    )
    allow_flawed: bool = Field(
        False, description="Whether variants run that make a known mistake on purpose; reports name them."
    )
    search: SearchBody | None = Field(None, description="A sampler's space, instead of axes and a design.")
    slurm: SlurmBlock | None = Field(None, description="What a worker asks of Slurm.")
    tune: TuneBody | None = Field(
        None,
        description="Knobs that every cell is tuned over, on validation images, with an equal budget.",
    )
    scales: dict[str, Scale] = Field({}, description="Other sizes of the same question.")
    extends: str | None = Field(None, description="Another experiment file that this one adds to.")
