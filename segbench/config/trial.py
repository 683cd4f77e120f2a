"""The complete configuration of one trial: every field resolved, every default written out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from segbench import registry
from segbench.records import NUMERICS_VERSION

VARIANT_FIELDS: Final = (
    "dataset",
    "split",
    "input",
    "model",
    "norm",
    "init",
    "augment",
    "mix",
    "loss",
    "optimizer",
    "schedule",
)
"""Fields whose value names a variant of the axis of that name."""

PRECISIONS: Final = ("fp32", "tf32", "bf16")


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

    patience: int
    min_delta: float = 0.0


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
    """What a trial is, apart from its seed and fold. Field for field what stands under `baseline:`."""

    dataset: Choice
    split: Choice
    input: Choice
    model: Choice
    norm: Choice
    init: Choice
    augment: Choice
    loss: tuple[Choice, ...]
    """Terms of a weighted sum; each term's knobs hold its `weight`."""
    optimizer: Choice
    schedule: Choice
    grad_clip: float | None
    """Largest gradient norm; None: no clipping."""
    batch_size: int
    epochs: int
    precision: str
    early_stopping: EarlyStopping | None = None
    engine: str = "segbench"
    """`segbench`, or the import path of a user's `fit` that takes the loop's place."""
    max_images: int | None = None
    """At most this many images of each part of the split, evenly spaced over the part; None: all."""
    mix: Choice = Choice("none")
    """How the images of a training batch are mixed with each other, after each was augmented by itself."""
    augment_backend: str = "cpu"
    """`cpu`: each image by itself, by albumentations; `device`: whole batches where they are trained on. The
    draws are others, and so are the numbers of a trial."""
    accumulate: int = 1
    """Batches whose gradients make one step."""
    deterministic: bool = False
    """Whether the same trial gives the same record twice on a GPU, which costs speed. A CPU always does."""
    compile: bool = False
    """Whether the network is compiled for training (`torch.compile`), which changes rounding. Evaluations are
    not."""
    ema: float | None = None
    """Decay of the running average of weights that is evaluated and kept; None: the weights themselves."""
    surface_tolerance_px: float = 2.0
    """How far apart two outlines may lie and still agree, for `surface_dice`."""
    objective: Objective = Objective()

    def to_json(self) -> dict[str, Any]:
        """Return the canonical form: plain JSON types, one key a field."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrialConfig:
        """Rebuild from `to_json`."""
        read: dict[str, Any] = dict(value)
        for name in VARIANT_FIELDS:
            if name not in value:  # a field that came after the record
                continue
            if name == "loss":
                read[name] = tuple(Choice(term, dict(knobs)) for term, knobs in value[name].items())
            else:
                read[name] = Choice.from_json(value[name])
        stopping = value.get("early_stopping")
        read["early_stopping"] = EarlyStopping(**stopping) if stopping else None
        read["objective"] = Objective(**value["objective"])
        return cls(**read)

    def choices(self) -> list[tuple[str, Choice]]:
        """Return every (axis, choice), loss terms one by one."""
        pairs: list[tuple[str, Choice]] = []
        for name in VARIANT_FIELDS:
            value = getattr(self, name)
            pairs += [(name, term) for term in value] if name == "loss" else [(name, value)]
        return pairs


_ABSENT_FIELDS: Final[Mapping[str, Any]] = {
    "max_images": None,
    "mix": {"none": {}},
    "augment_backend": "cpu",
    "accumulate": 1,
    "deterministic": False,
    "compile": False,
    "ema": None,
    "surface_tolerance_px": 2.0,
}
"""Fields added after the first release: the JSON value that is left out of the identity."""


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
        self._written: dict[tuple[str, int, bool], tuple[Any, str]] = {}
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

    def _config(self, config: TrialConfig, *, has_places: bool) -> str:
        parts = []
        for name in _FIELD_NAMES:
            value = getattr(config, name)
            key = name, id(value), has_places
            if key not in self._written:
                hashed = _hashed(name, value, has_places)
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


_FIELD_NAMES: Final = tuple(sorted(f.name for f in fields(TrialConfig)))


def hashed_config(config: TrialConfig, *, has_places: bool) -> dict[str, Any]:
    """Return what of a configuration is hashed: `to_json` less what stands for a field's or knob's absence.

    Configurations of records that were written before a knob existed give the same.
    """
    found = {f.name: _hashed(f.name, getattr(config, f.name), has_places) for f in fields(config)}
    return {name: value for name, value in found.items() if value is not _ABSENT}


_ABSENT: Final = object()


def _hashed(name: str, value: Any, has_places: bool) -> Any:
    """Return a field as it is hashed, `_ABSENT` where its value stands for its absence."""
    written = _plain(value)
    if name in _ABSENT_FIELDS and written == _ABSENT_FIELDS[name]:
        return _ABSENT
    if name in VARIANT_FIELDS:
        for choice in value if name == "loss" else (value,):
            knobs = written[choice.name]
            for knob in registry.find(name, choice.name).knobs.values():
                is_absent = knob.absent != registry.REQUIRED and knobs.get(knob.name) == knob.absent
                if is_absent or (knob.is_place and not has_places):
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


def _plain(value: Any) -> Any:
    if isinstance(value, Choice):
        return value.to_json()
    if isinstance(value, tuple) and value and isinstance(value[0], Choice):
        return {term.name: dict(term.knobs) for term in value}
    if isinstance(value, EarlyStopping | Objective):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    return value
