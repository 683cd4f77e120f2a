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
    accumulate: int = 1
    """Batches whose gradients make one step."""
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
    "accumulate": 1,
    "ema": None,
    "surface_tolerance_px": 2.0,
}
"""Fields added after the first release: the JSON value that is left out of the identity."""


def canonical_json(value: Any) -> str:
    """Write JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def variant_digests(config: TrialConfig) -> dict[str, str]:
    """Return `axis/name` -> SHA-256 of the source for every variant, and engine, that is the user's own."""
    names = [(axis, choice.name) for axis, choice in config.choices()]
    if config.engine != "segbench":
        names.append(("engine", config.engine))
    found = ((axis, name, registry.find(axis, name).digest) for axis, name in names)
    return {f"{axis}/{name}": digest for axis, name, digest in found if digest is not None}


def config_hash(config: TrialConfig) -> str:
    """Hash the configuration alone, places of files included: 64 hexadecimal digits."""
    return _digest(hashed_config(config, has_places=True))


def identity(config: TrialConfig, *, seed: int, fold: int, data_fingerprint: str) -> str:
    """Hash everything that can change a trial's numbers (docs/design.md, "Identity"): 64 hexadecimal digits.

    Names of levels, device, threads, workers, paths, commit and package versions are no part of it.
    """
    return _digest(
        {
            "config": hashed_config(config, has_places=False),
            "seed": seed,
            "fold": fold,
            "data": data_fingerprint,
            "numerics": NUMERICS_VERSION,
            "variants": variant_digests(config),
        }
    )


def hashed_config(config: TrialConfig, *, has_places: bool) -> dict[str, Any]:
    """Return what of a configuration is hashed: `to_json` less what stands for a field's or knob's absence.

    Configurations of records that were written before a knob existed give the same.
    """
    written = config.to_json()
    for name, absent in _ABSENT_FIELDS.items():
        if written.get(name) == absent:
            del written[name]
    for axis, choice in config.choices():
        if axis not in written:
            continue
        for knob in registry.find(axis, choice.name).knobs.values():
            knobs = written[axis][choice.name]
            is_absent = knob.absent != registry.REQUIRED and knobs.get(knob.name) == knob.absent
            if is_absent or (knob.is_place and not has_places):
                knobs.pop(knob.name, None)
    return written


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Choice):
        return value.to_json()
    if isinstance(value, tuple) and value and isinstance(value[0], Choice):
        return {term.name: dict(term.knobs) for term in value}
    if isinstance(value, EarlyStopping | Objective):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    return value
