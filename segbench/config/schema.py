"""The keys of an experiment file, their types and defaults, as pydantic models.

Names of variants, knobs, levels and metrics are checked later (`resolve`, `levels`, `claims`): they need the
registry and the rest of the file.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, Tag

from segbench.config.schema_types import Count, Finite, Label, Labels, Levels, Model, one_of
from segbench.config.search_schema import SearchBody, TuneBody
from segbench.config.slurm import SlurmBlock


class Stopping(Model):
    """Stop when the objective no longer improves."""

    patience: Count = Field(description="Epochs without improvement after which a trial stops.")
    min_delta: Annotated[Finite, Field(ge=0)] = Field(
        0.0, description="An improvement is larger than this difference of the objective."
    )


class Baseline(Model):
    """The complete configuration that the levels change."""

    dataset: Any = Field(description="Images and masks.")
    split: Any = Field("course", description="Which images train, validate and test; fixed across seeds.")
    input: Any = Field("imagenet", description="How pixels are scaled before the network.")
    model: Any = Field("unet", description="The network.")
    norm: Any = Field("batch", description="The normalisation layers of the network.")
    init: Any = Field("default", description="How weights start.")
    augment: Any = Field("none", description="A recipe's name, or a list of albumentations transforms.")
    augment_backend: Literal["cpu", "device"] = Field(
        "cpu",
        description="Where images are augmented: one by one on the CPU, or in batches on the device.",
    )
    mix: Any = Field("none", description="How the images of a training batch are mixed with each other.")
    loss: Any = Field({"bce": 1, "dice": 1}, description="Weighted sum of terms: name -> weight or knobs.")
    optimizer: Any = Field("adam", description="The optimiser.")
    schedule: Any = Field("constant", description="The learning rate over the epochs.")
    grad_clip: Annotated[Finite, Field(gt=0)] | None = Field(
        None, description="Largest norm of the gradient; null: no clipping."
    )
    batch_size: Count = Field(8, description="Images in a batch; `accumulate` batches make a step.")
    epochs: Count = Field(100, description="Passes over the training images.")
    precision: Literal["fp32", "tf32", "bf16"] = Field(
        "fp32", description="Arithmetic of the network: fp32 (TF32 off), tf32 or bf16 autocast."
    )
    deterministic: bool = Field(
        False,
        description="Whether a trial gives the same record twice on a GPU, at the price of speed; "
        "a CPU always does.",
    )
    compile: bool = Field(
        False,
        description="Whether torch.compile compiles the network for training; `segbench bench` says after "
        "how many steps that pays.",
    )
    early_stopping: Stopping | None = Field(None, description="When to stop early; null: never.")
    engine: Annotated[str, Field(min_length=1)] = Field(
        "segbench", description="`segbench`, or the import path of a function that takes the loop's place."
    )
    max_images: Count | None = Field(
        None, description="At most this many images of each part of the split, evenly spaced; null: all."
    )
    accumulate: Count = Field(1, description="Batches whose gradients make one step.")
    ema: Annotated[Finite, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Decay of the running average of weights that is evaluated and kept; null: the weights.",
    )
    surface_tolerance_px: Annotated[Finite, Field(ge=0)] = Field(
        2.0, description="How far apart two outlines may lie and still agree, for surface_dice."
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

    metric: str = "val_dice"
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
    baseline: Baseline
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


def default_of(field: str) -> Any:
    """Return the default of a field of the baseline."""
    return Baseline.model_fields[field].default
