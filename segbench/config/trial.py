"""What a trial is: every field of its configuration declared once, and the hash that is its identity.

A field's declaration holds its type, its default and its bounds as a file writes them, its text, the value
that stands for its absence in records made before it existed, and its marks: what of it decides the shapes of
tensors, the recorded step, the cost and the pixels, and whether a guard's probe sees it. The schema of
experiment files, the docs, the hash and every key that groups trials derive from it.
"""

# ruff: noqa: RUF009 (fields are declared by functions that return `dataclasses.field`)

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from segbench import registry
from segbench.records import NUMERICS_VERSION
from segbench.registry import REQUIRED

NEVER: Final = REQUIRED
"""Stands as `Field.absent` where nothing stands for a field's absence."""

Part: TypeAlias = Callable[[Any], Any]
"""Takes from a field's JSON value the part that counts for a mark."""


def whole(value: Any) -> Any:
    """Return all of a value."""
    return value


def names(value: Mapping[str, Any]) -> list[str]:
    """Return the variants of a value without their knobs."""
    return sorted(value)


def form(value: Any) -> Any:
    """Return a value in which every float is replaced by whether it is other than zero.

    An optimiser keeps a buffer for a momentum of 0.9 and none for 0; it keeps the same one for 0.8.
    """
    if isinstance(value, Mapping):
        return {key: form(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [form(inner) for inner in value]
    return value != 0 if isinstance(value, float) else value


def all_but(knob: str) -> Part:
    """Return the part of a variant that leaves out one of its knobs."""

    def part(value: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        return {name: {k: v for k, v in knobs.items() if k != knob} for name, knobs in value.items()}

    return part


@dataclass(frozen=True)
class Marks:
    """What part of a field decides what; None: no part of it. Every declaration gives all five."""

    shapes: Part | None
    """Which tensors a trial needs, and so its memory: trials alike in it share measured memory and what is
    warm."""
    step: Part | None
    """What is recorded as a CUDA graph: trials alike in it replay one record. What stands in tensors, such as
    weights, batches and learning rates, may differ."""
    cost: Part | None
    """Seconds and operations of an epoch. Trials alike in it are timed once."""
    pixels: Part | None
    """The decoded images. Configurations alike in it share a cache."""
    is_probed: bool
    """Whether a guard that runs networks side by side sees the field."""


Mark: TypeAlias = Literal["shapes", "step", "cost", "pixels"]


@dataclass(frozen=True, kw_only=True)
class Member:
    """What a file may write for a field, apart from its name and type."""

    text: str
    """One sentence for the schema and the docs."""
    default: Any
    """As a file writes it; REQUIRED: a file must give it."""
    bounds: Mapping[str, float]
    """`gt`, `ge`, `lt` or `min_length`, as pydantic names them."""
    is_axis: bool = False
    """Whether its value names a variant of the axis of its name."""
    is_in_baseline: bool = True
    """Whether it stands under `baseline:`, not at the top of a file."""


@dataclass(frozen=True, kw_only=True)
class Field(Member):
    """What is known of a field of a trial's configuration."""

    absent: Any
    """The JSON value that stands for its absence in records and is left out of the identity, so that what was
    hashed before the field existed keeps its hash; NEVER: every record has it."""
    marks: Marks


def _axis(text: str, default: Any, marks: Marks, *, absent: Any = NEVER) -> Any:
    """Declare a field that names a variant; the constructor may do without it if old records do."""
    about = Field(text=text, default=default, bounds={}, absent=absent, marks=marks, is_axis=True)
    made = MISSING if absent is NEVER else Choice.from_json(absent)
    return field(default=made, metadata={"declared": about})


def _value(
    text: str,
    default: Any,
    marks: Marks,
    *,
    absent: Any = NEVER,
    is_in_baseline: bool = True,
    **bounds: float,
) -> Any:
    """Declare a field of a plain type."""
    known = {"absent": absent, "marks": marks, "is_in_baseline": is_in_baseline}
    return field(
        default=default,
        metadata={"declared": Field(text=text, default=default, bounds=bounds, **known)},
    )


def _member(text: str, default: Any = REQUIRED, **bounds: float) -> Any:
    """Declare a part of a field."""
    made = MISSING if default is REQUIRED else default
    return field(default=made, metadata={"declared": Member(text=text, default=default, bounds=bounds)})


def declared(model: type) -> dict[str, Any]:
    """Return the declarations of a class's fields, by name and in order."""
    return {f.name: f.metadata["declared"] for f in fields(model)}


@dataclass(frozen=True)
class Choice:
    """A variant chosen, with all of its knobs."""

    name: str
    knobs: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {self.name: dict(self.knobs)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Choice:
        ((name, knobs),) = value.items()
        return cls(name, dict(knobs))

    @classmethod
    def of(cls, axis: str, name: str, **knobs: Any) -> Choice:
        """Return a choice with the axis's defaults under the given knobs (for tests and scripts).

        A preset's name gives the variant that it stands for.
        """
        found = registry.find(axis, name)
        defaults = {k.name: k.default for k in found.knobs.values() if not k.is_required}
        return cls(found.preset_of or name, {**defaults, **knobs})


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the objective has not improved by more than `min_delta` for `patience` epochs."""

    patience: int = _member("Epochs without improvement after which a trial stops.", gt=0)
    min_delta: float = _member("An improvement is larger than this difference of the objective.", 0.0, ge=0)


@dataclass(frozen=True)
class Objective:
    """The validation metric that selects weights and drives a search."""

    metric: str = "val_dice"
    direction: str = "maximize"

    def is_better(self, value: float, best: float | None) -> bool:
        """Whether `value` is strictly better than `best` (None: nothing yet). NaN is never better."""
        if value != value:
            return False
        if best is None:
            return True
        return value > best if self.direction == "maximize" else value < best


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """What a trial is, apart from its seed and fold. Its fields but the last one stand under `baseline:`.

    The order of the fields is that of a record's JSON: new ones are added before the last.
    """

    # Marks: shapes, step, cost, pixels, is_probed.

    # `group` names what images have in common, which splits and intervals use.
    dataset: Choice = _axis("Images and masks.", REQUIRED, Marks(whole, None, whole, all_but("group"), False))
    split: Choice = _axis(
        "Which images train, validate and test; fixed across seeds.",
        "course",
        Marks(whole, None, whole, None, False),
    )
    input: Choice = _axis(
        "How pixels are scaled before the network.", "imagenet", Marks(whole, None, None, None, True)
    )
    model: Choice = _axis("The network.", "unet", Marks(whole, whole, whole, None, True))
    norm: Choice = _axis(
        "The normalisation layers of the network.", "batch", Marks(whole, whole, whole, None, True)
    )
    init: Choice = _axis("How weights start.", "default", Marks(None, None, None, None, True))
    # On the device a recipe needs copies of a few batches, and before the network needs its memory.
    augment: Choice = _axis(
        "A recipe's name, or a list of albumentations transforms.",
        "none",
        Marks(None, None, whole, None, True),
    )
    # A term needs a few maps of one channel, where the network keeps hundreds.
    loss: tuple[Choice, ...] = _axis(
        "Weighted sum of terms: name -> weight or knobs.",
        {"bce": 1, "dice": 1},
        Marks(None, whole, whole, None, True),
    )
    """Each term's knobs hold its `weight`."""
    # Buffers beside each weight depend on the optimiser and on which knobs are zero. The recorded step holds
    # every knob as a number but the learning rate, which is a tensor.
    optimizer: Choice = _axis("The optimiser.", "adam", Marks(form, all_but("lr"), names, None, True))
    schedule: Choice = _axis(
        "The learning rate over the epochs.", "constant", Marks(None, None, None, None, True)
    )
    grad_clip: float | None = _value(
        "Largest norm of the gradient; null: no clipping.", None, Marks(None, whole, None, None, True), gt=0
    )
    batch_size: int = _value(
        "Images in a batch; `accumulate` batches make a step.",
        8,
        Marks(whole, whole, whole, None, False),
        gt=0,
    )
    epochs: int = _value("Passes over the training images.", 100, Marks(None, None, None, None, False), gt=0)
    precision: Literal["fp32", "tf32", "bf16"] = _value(
        "Arithmetic of the network: fp32 (TF32 off), tf32 or bf16 autocast.",
        "fp32",
        Marks(whole, whole, whole, None, False),
    )
    early_stopping: EarlyStopping | None = _value(
        "When to stop early; null: never.", None, Marks(None, None, None, None, False)
    )
    engine: str = _value(
        "`segbench`, or the import path of a function that takes the loop's place.",
        "segbench",
        Marks(whole, whole, whole, None, False),
        min_length=1,
    )
    # A GPU holds the pixels of all images.
    max_images: int | None = _value(
        "At most this many images of each part of the split, evenly spaced; null: all.",
        None,
        Marks(whole, None, whole, None, False),
        absent=None,
        gt=0,
    )
    mix: Choice = _axis(
        "How the images of a training batch are mixed with each other.",
        "none",
        Marks(None, None, whole, None, True),
        absent={"none": {}},
    )
    """Images are mixed after each was augmented by itself."""
    # The device augments several batches at a time, as floats.
    augment_backend: Literal["cpu", "device"] = _value(
        "Where images are augmented: one by one on the CPU, or in batches on the device.",
        "cpu",
        Marks(whole, None, whole, None, False),
        absent="cpu",
    )
    """The draws are others there, and so are a trial's numbers."""
    # From two on, gradients are kept while the next batch goes through the network.
    accumulate: int = _value(
        "Batches whose gradients make one step.", 1, Marks(whole, whole, whole, None, False), absent=1, gt=0
    )
    # Deterministic kernels have workspaces of their own.
    deterministic: bool = _value(
        "Whether a trial gives the same record twice on a GPU, at the price of speed; a CPU always does.",
        False,
        Marks(whole, whole, whole, None, False),
        absent=False,
    )
    # Compiled code keeps other activations for the backward pass.
    compile: bool = _value(
        "Whether torch.compile compiles the network for training; `segbench bench` says after how many steps "
        "that pays.",
        False,
        Marks(whole, whole, whole, None, False),
        absent=False,
    )
    """Compiling changes rounding. Evaluations are not compiled."""
    # The average is a second copy of the weights, whatever its decay. It is updated beside the step.
    ema: float | None = _value(
        "Decay of the running average of weights that is evaluated and kept; null: the weights.",
        None,
        Marks(form, None, whole, None, False),
        absent=None,
        gt=0,
        lt=1,
    )
    surface_tolerance_px: float = _value(
        "How far apart two outlines may lie and still agree, for surface_dice.",
        2.0,
        Marks(None, None, None, None, False),
        absent=2.0,
        ge=0,
    )
    objective: Objective = _value(
        "Validation metric that selects weights and drives a search.",
        Objective(),
        Marks(None, None, None, None, False),
        is_in_baseline=False,
    )

    def to_json(self) -> dict[str, Any]:
        """Return the canonical form: plain JSON types, one key per field."""
        return {name: plain(getattr(self, name)) for name in DECLARED}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrialConfig:
        """Rebuild from `to_json`; a record may lack fields that were declared after it was written.

        Raises:
            KeyError: It lacks another one.
            TypeError: It has a field that is unknown here.
        """
        for name, about in DECLARED.items():
            if about.absent is NEVER and name not in value:
                raise KeyError(name)
        read: dict[str, Any] = dict(value)
        for name in VARIANT_FIELDS:
            if name == "loss":
                read[name] = tuple(Choice(term, dict(knobs)) for term, knobs in value[name].items())
            elif name in value:
                read[name] = Choice.from_json(value[name])
        stopping = value["early_stopping"]
        read["early_stopping"] = EarlyStopping(**stopping) if stopping else None
        read["objective"] = Objective(**value["objective"])
        return cls(**read)

    def at(self, target: str) -> Any:
        """Return what stands at a target (`norm`, `optimizer.lr`, `loss.dice.weight`), as a file writes it.

        Raises:
            KeyError: The configuration has no such field or knob.
        """
        return value_at(vars(self), target)

    def choices(self) -> list[tuple[str, Choice]]:
        """Return every (axis, choice), loss terms one by one."""
        pairs: list[tuple[str, Choice]] = []
        for name in VARIANT_FIELDS:
            value = getattr(self, name)
            pairs += [(name, term) for term in value] if name == "loss" else [(name, value)]
        return pairs


DECLARED: Final[Mapping[str, Field]] = declared(TrialConfig)
"""Every field of a configuration, by name and in order."""

FIELDS: Final = tuple(name for name, about in DECLARED.items() if about.is_in_baseline)
"""Fields that stand under `baseline:`, which levels and `--set` may change."""

VARIANT_FIELDS: Final = tuple(name for name, about in DECLARED.items() if about.is_axis)
"""Fields whose value names a variant of the axis of that name."""


def parts(written: Mapping[str, Any], mark: Mark) -> dict[str, Any]:
    """Return what of a configuration counts for a mark: configurations with equal parts are alike in it.

    Args:
        written: `TrialConfig.to_json()`, of this version or of an older one.
        mark: Which.
    """
    found = {}
    for name, about in DECLARED.items():
        part = getattr(about.marks, mark)
        if part is not None and name in written and not is_absent(about, written[name]):
            found[name] = part(written[name])
    return found


def is_absent(about: Field, written: Any) -> bool:
    """Whether a field's JSON value stands for its absence."""
    return about.absent is not NEVER and bool(written == about.absent)


class Target(NamedTuple):
    """What a level, a parameter or `--set` changes: `norm`, `optimizer.lr`, `loss.dice.weight`."""

    field: str
    term: str
    """Of the loss; else empty."""
    knob: str
    """Empty: the whole field."""

    @classmethod
    def of(cls, text: str) -> Target:
        name, _, inner = text.partition(".")
        term, _, knob = inner.rpartition(".") if name == "loss" else ("", "", inner)
        return cls(name, term, knob)


def value_at(values: Mapping[str, Any], target: str) -> Any:
    """Return what stands at a target, as a file writes it.

    Args:
        values: Field -> its value, as in a `TrialConfig`.
        target: The field, or the knob's path.

    Raises:
        KeyError: There is no such field or knob.
    """
    name, term, knob = Target.of(target)
    value = plain(values[name])
    if "." not in target:
        return value
    if name in VARIANT_FIELDS and value is not None:
        value = value[term] if name == "loss" else next(iter(value.values()))
    if not isinstance(value, Mapping):
        raise KeyError(target)
    return value[knob]


def canonical_json(value: Any) -> str:
    """Write JSON with sorted keys and no spaces: equal values give equal text."""
    return _ENCODER.encode(value)


_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def variant_digests(config: TrialConfig) -> dict[str, str]:
    """Return `axis/name` -> SHA-256 of the source for every variant, and engine, that is the user's own."""
    found = (_digests(name, getattr(config, name)) for name in (*VARIANT_FIELDS, "engine"))
    return {name: digest for each in found for name, digest in each.items()}


def config_hash(config: TrialConfig) -> str:
    """Hash the configuration alone, places of files included: 64 hexadecimal digits."""
    return Hasher().config_hash(config)


def identity(config: TrialConfig, *, seed: int, fold: int, data_fingerprint: str) -> str:
    """Hash everything that can change a trial's numbers (docs/design.md, "Identity"): 64 hexadecimal digits.

    Names of levels, device, threads, workers, paths, commit and package versions are no part of it.
    """
    return Hasher().identity(config, seed=seed, fold=fold, data_fingerprint=data_fingerprint)


class Hasher:
    """Hashes many configurations that have fields in common: what a field adds is written once.

    The text that is hashed is `canonical_json` of the whole. A field's value is told by its identity (`id`),
    which stays its own as long as it is kept here; configurations do not change.
    """

    def __init__(self) -> None:
        self._written: dict[tuple[str, int, bool | Mark], tuple[Any, str]] = {}
        self._digests: dict[tuple[str, int], tuple[Any, dict[str, str]]] = {}
        self._ends: dict[int, tuple[TrialConfig, str, str]] = {}

    def config_hash(self, config: TrialConfig) -> str:
        """Hash as `config_hash` does."""
        return _digest(self._config(config, has_places=True))

    def identity(self, config: TrialConfig, *, seed: int, fold: int, data_fingerprint: str) -> str:
        """Hash as `identity` does."""
        if id(config) not in self._ends:
            variants = {name: digest for each in self._variants(config) for name, digest in each.items()}
            start = f'{{"config":{self._config(config, has_places=False)}'
            self._ends[id(config)] = config, start, f'"variants":{canonical_json(variants)}}}'
        _, start, end = self._ends[id(config)]
        middle = f'"fold":{fold},"numerics":{canonical_json(NUMERICS_VERSION)},"seed":{seed}'
        return _digest(f'{start},"data":{canonical_json(data_fingerprint)},{middle},{end}')

    def key(self, config: TrialConfig, mark: Mark) -> str:
        """Return `canonical_json` of the configuration's `parts` for a mark, places of files left out."""

        def write(name: str, value: Any) -> Any:
            hashed = _hashed(name, value, False)
            return _ABSENT if hashed is _ABSENT else parts({name: hashed}, mark).get(name, _ABSENT)

        return self._text(config, mark, write)

    def _config(self, config: TrialConfig, *, has_places: bool) -> str:
        return self._text(config, has_places, lambda name, value: _hashed(name, value, has_places))

    def _text(self, config: TrialConfig, what: bool | Mark, write: Callable[[str, Any], Any]) -> str:
        parts = []
        for name in sorted(DECLARED):
            value = getattr(config, name)
            key = name, id(value), what
            if key not in self._written:
                hashed = write(name, value)
                text = "" if hashed is _ABSENT else f"{canonical_json(name)}:{canonical_json(hashed)}"
                self._written[key] = value, text
            parts.append(self._written[key][1])
        return f"{{{','.join(part for part in parts if part)}}}"

    def _variants(self, config: TrialConfig) -> list[dict[str, str]]:
        found = []
        for name in (*VARIANT_FIELDS, "engine"):
            value = getattr(config, name)
            key = name, id(value)
            if key not in self._digests:
                self._digests[key] = value, _digests(name, value)
            found.append(self._digests[key][1])
        return found


class Keys:
    """Tells configurations apart by some of their values: equal values give equal keys.

    The text of a value is worked out once per object, which is kept: large designs share a few objects.
    """

    def __init__(self) -> None:
        self.written: dict[int, tuple[Any, str]] = {}
        """`id` -> the object and its text."""

    def of(self, *values: Any) -> tuple[str, ...]:
        """Return a key of fields of configurations and plain values."""
        return tuple(map(self._text, values))

    def _text(self, value: Any) -> str:
        if value is None or isinstance(value, str | int | float):
            return repr(value)
        if id(value) not in self.written:
            self.written[id(value)] = value, canonical_json(plain(value))
        return self.written[id(value)][1]


def hashed_config(config: TrialConfig, *, has_places: bool) -> dict[str, Any]:
    """Return what of a configuration is hashed: `to_json` less what stands for a field's or knob's absence.

    Configurations of records that were written before a knob existed give the same.
    """
    found = {name: _hashed(name, getattr(config, name), has_places) for name in DECLARED}
    return {name: value for name, value in found.items() if value is not _ABSENT}


_ABSENT: Final = object()


def _hashed(name: str, value: Any, has_places: bool) -> Any:
    """Return a field as it is hashed, `_ABSENT` where its value stands for its absence."""
    written = plain(value)
    if is_absent(DECLARED[name], written):
        return _ABSENT
    if name in VARIANT_FIELDS:
        for choice in value if name == "loss" else (value,):
            knobs = written[choice.name]
            for knob in registry.find(name, choice.name).knobs.values():
                is_left_out = knob.absent != REQUIRED and knobs.get(knob.name) == knob.absent
                if is_left_out or (knob.is_place and not has_places):
                    knobs.pop(knob.name, None)
    return written


def _digests(name: str, value: Any) -> dict[str, str]:
    """Return `axis/name` -> digest for the users' own variants in a field."""
    if name == "engine":
        chosen = [] if value == "segbench" else [value]
    else:
        chosen = [choice.name for choice in (value if name == "loss" else (value,))]
    found = ((each, registry.find(name, each).digest) for each in chosen)
    return {f"{name}/{each}": digest for each, digest in found if digest is not None}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any) -> Any:
    """Return the JSON value of a field."""
    if isinstance(value, Choice):
        return value.to_json()
    if isinstance(value, tuple) and value and isinstance(value[0], Choice):
        return {term.name: dict(term.knobs) for term in value}
    if isinstance(value, EarlyStopping | Objective):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    return value
