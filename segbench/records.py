"""What an epoch and a trial leave behind: frozen, plain, without torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final

RESULTS_FORMAT = 1
"""Version of everything under `results/`; written in each `trial.json`."""

NUMERICS_VERSION = 1
"""Raised whenever a built-in variant or the engine changes a number; part of every trial's identity."""

DECIMALS = 9
"""Significant digits of every float written to a record."""

AXIS_SPACE: Final = "axis:"
PARAMETER_SPACE: Final = "search:"
"""What begins the columns that users name: in frames they are never called as one of ours."""


def axis_column(name: str) -> str:
    """Return the column of an axis in every frame: `axis:norm`."""
    return f"{AXIS_SPACE}{name}"


def parameter_column(name: str) -> str:
    """Return the column of a parameter of a search in every frame: `search:lr`."""
    return f"{PARAMETER_SPACE}{name}"


def written_columns(columns: Sequence[str], others: Iterable[str] = ()) -> list[str]:
    """Return what the columns of a frame are called in a file.

    Users' columns lose their prefix: `axis:norm` is written `norm`. One whose short name belongs to another
    column keeps it: an axis called `seed` is written `axis:seed`.

    Args:
        columns: Of the frame.
        others: Further names that the file gives its own columns, whether or not it has them.
    """
    short = [name.removeprefix(AXIS_SPACE).removeprefix(PARAMETER_SPACE) for name in columns]
    num_named = Counter([*short, *set(others)])
    return [s if num_named[s] == 1 else name for s, name in zip(short, columns, strict=True)]


@dataclass(frozen=True, kw_only=True)
class _Marks:
    """What follows from a state, for everything that asks."""

    has_ended: bool = False
    is_finished: bool = False
    is_outcome: bool = False
    has_reason: bool = False
    urgency: int = 0


class State(StrEnum):
    """Where a trial stands: the word in records and tables, and what follows from it.

    A further state is one line here and its counterpart in the words of Optuna (`STATES`). The order is that
    of every table that counts states.
    """

    marks: _Marks

    def __new__(cls, word: str, marks: _Marks | None = None) -> State:
        state = str.__new__(cls, word)
        state._value_ = word
        state.marks = marks or _Marks()
        return state

    WAITING = "waiting"
    RUNNING = "running", _Marks(urgency=3)
    COMPLETE = "complete", _Marks(has_ended=True, is_finished=True, is_outcome=True)
    DIVERGED = (
        "diverged",
        _Marks(has_ended=True, is_finished=True, is_outcome=True, has_reason=True, urgency=1),
    )
    PRUNED = "pruned", _Marks(has_ended=True, is_finished=True, has_reason=True)
    FAILED = "failed", _Marks(has_ended=True, has_reason=True, urgency=4)
    INTERRUPTED = "interrupted", _Marks(has_reason=True, urgency=2)

    @property
    def has_ended(self) -> bool:
        """Whether no worker takes the trial any more, unless a sweep resets it (`--retry failed`)."""
        return self.marks.has_ended

    @property
    def is_finished(self) -> bool:
        """Whether `sweep` has nothing left to do for the trial, on any later run either."""
        return self.marks.is_finished

    @property
    def is_outcome(self) -> bool:
        """Whether the state answers what a design asks of the trial; every outcome is reported."""
        return self.marks.is_outcome

    @property
    def has_reason(self) -> bool:
        """Whether the record says in one line why the trial did not reach its end."""
        return self.marks.has_reason

    @property
    def has_ended_short(self) -> bool:
        """Whether the trial has ended without completing."""
        return self.has_ended and self.has_reason

    @property
    def urgency(self) -> int:
        """How much the state asks for a look: logs are listed by it, the highest first; 0 is no concern."""
        return self.marks.urgency


class FailureKind(StrEnum):
    """Why a trial failed."""

    OOM = "oom"
    DATA = "data"
    CODE = "code"
    LOST = "lost"


class Role(StrEnum):
    """What a trial of a tuned design is for."""

    TUNING = "tuning"
    """It tries a configuration, and never sees the test images."""
    TUNED = "tuned"
    """It is a replicate of a cell at the settings that won."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """How a search came to one of its proposals."""

    is_enqueued: bool = False
    """Whether the file asked for it."""
    place: Mapping[str, Any] | None = None
    """Where it stands in the sampler's run: `generation`, and in the first of a generation `parents`, the
    numbers of the proposals that it descends from; None where the sampler has no generations."""

    @classmethod
    def from_json(cls, block: Mapping[str, Any]) -> Origin:
        return cls(is_enqueued=bool(block.get("enqueued")), place=block.get("place"))

    def to_json(self) -> dict[str, Any]:
        content: dict[str, Any] = {"enqueued": True} if self.is_enqueued else {}
        return content | ({} if self.place is None else {"place": self.place})


@dataclass(frozen=True, kw_only=True)
class SearchPlace:
    """Where a trial stands in a search or in the tuning of a cell: the block `search` of `trial.json`.

    A proposal has a `number`. A replicate of a search's best proposal has `replicate_of` instead, one of a
    tuned cell's winner has `winner`.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for: name -> value or label."""
    space: Mapping[str, Any] | None = None
    """The space that was searched; proposals of another space are no part of the search."""
    role: Role | None = None
    """In a tuned design; None in a search."""
    cell: str | None = None
    """In a tuned design: hash of the cell's configuration as designed."""
    repeat: int | None = None
    """In a tuned design: which of its tunings."""
    number: int | None = None
    """Counts the proposals from 0."""
    origin: Origin = Origin()
    repeats: tuple[int, ...] = ()
    """Later proposals that equal this one."""
    repeated: Mapping[int, Origin] = field(default_factory=dict)
    """Origins of `repeats`, as far as there is something to say of them."""
    replicate_of: str | None = None
    """Hash of the proposal that this trial repeats with another seed or fold."""
    winner: str | None = None
    """Hash of the tuning trial whose parameters these are."""
    limits: tuple[Mapping[str, Any], ...] = ()
    """Bounds that are checked before training: `metric`, `low`, `high`."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """The proposals that the trial stands for; none: it is a replicate."""
        return () if self.number is None else (self.number, *self.repeats)

    @property
    def origins(self) -> dict[int, Origin]:
        """Number -> origin of the proposals that the trial stands for."""
        return {
            number: self.origin if number == self.number else self.repeated.get(number, Origin())
            for number in self.numbers
        }

    def standing_for(self, origins: Mapping[int, Origin]) -> SearchPlace:
        """Return the place of a trial that stands for these proposals as well."""
        repeats = sorted({*self.numbers, *origins} - {self.number})
        own = {n: origins[n] for n in repeats if origins.get(n, Origin()) != Origin()}
        return replace(self, repeats=tuple(repeats), repeated={**self.repeated, **own})

    def to_json(self) -> dict[str, Any]:
        """Return the block: keys without a value are left out."""
        content = {
            "role": None if self.role is None else str(self.role),
            "cell": self.cell,
            "repeat": self.repeat,
            "number": self.number,
            **self.origin.to_json(),
            "replicate_of": self.replicate_of,
            "parameters": dict(self.parameters),
            "space": self.space,
            "winner": self.winner,
            "limits": list(self.limits) or None,
            "repeats": list(self.repeats) or None,
            "repeated": {str(n): origin.to_json() for n, origin in self.repeated.items()} or None,
        }
        return {key: value for key, value in content.items() if value is not None}

    @classmethod
    def from_json(cls, block: Mapping[str, Any]) -> SearchPlace:
        """Read the block; keys that this version does not know are passed over.

        Raises:
            AttributeError, TypeError, ValueError: It is none.
        """
        role, number, repeat = block.get("role"), block.get("number"), block.get("repeat")
        return cls(
            parameters=block.get("parameters", {}),
            space=block.get("space"),
            role=None if role is None else Role(role),
            cell=block.get("cell"),
            repeat=None if repeat is None else int(repeat),
            number=None if number is None else int(number),
            origin=Origin.from_json(block),
            repeats=tuple(int(n) for n in block.get("repeats", ())),
            repeated={int(n): Origin.from_json(each) for n, each in block.get("repeated", {}).items()},
            replicate_of=block.get("replicate_of"),
            winner=block.get("winner"),
            limits=tuple(block.get("limits", ())),
        )


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One row of `epochs.csv`.

    `train_loss` and `train_dice` are running means over the epoch's augmented and mixed batches in training
    mode, each batch before its step; where masks were blended, the dice is against target > 0.5. Every
    `val_*` is measured after the epoch in evaluation mode on unchanged images, with the running average of
    the weights where the configuration keeps one.
    """

    epoch: int
    """Counts from 1."""
    lr: float
    """Learning rate of the epoch's last step."""
    train_loss: float
    train_dice: float
    val: Mapping[str, float]
    """Metric name without prefix (`loss`, `dice`, `iou`, ...) -> value on the validation images."""
    epoch_time_s: float
    """Wall time of training and validation together."""
    images_per_s: float
    """Training images per second of training time."""
    peak_memory_mib: float
    """CUDA: peak allocated, and what a recorded step keeps; CPU: peak resident set of the process."""
    data_wait_s: float = math.nan
    """Of the epoch's time, what training waited for its next batch; NaN where it was not measured."""

    def row(self) -> dict[str, float]:
        """Return the columns of `epochs.csv` in their order."""
        columns: dict[str, float] = {}
        for name in _EPOCH_FIELDS:
            if name == "val":
                columns.update((f"val_{metric}", value) for metric, value in self.val.items())
            else:
                columns[name] = getattr(self, name)
        return columns


_EPOCH_FIELDS: Final = tuple(each.name for each in fields(EpochRecord))

TIMING_COLUMNS: Final = _EPOCH_FIELDS[_EPOCH_FIELDS.index("val") + 1 :]
"""Last columns of `epochs.csv`; everything before them is reproducible bit for bit."""


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """The content of `trial.json`; docs/results-format.md explains each key."""

    hash: str
    """Twelve hexadecimal digits of the trial's identity; also the folder's name."""
    identity: str
    """The whole identity: 64 hexadecimal digits of SHA-256."""
    experiment: str
    levels: Mapping[str, str]
    """Axis -> label at the time of the sweep; labels are not part of the identity."""
    config: Mapping[str, Any]
    """`TrialConfig.to_json()`: the resolved configuration with every default written out."""
    config_hash: str
    """Hash of `config` alone: what a report matches cells by, also where the data set is not at hand."""
    seed: int
    fold: int
    data_fingerprint: str
    numerics_version: int = NUMERICS_VERSION
    variant_digests: Mapping[str, str] = field(default_factory=dict)
    """Users' own variants: `axis/name` -> SHA-256 of the source."""
    state: State = State.WAITING
    failure: FailureKind | None = None
    reason: str | None = None
    """One line that says why, for every state but complete."""
    attempts: int = 0
    epochs_done: int = 0
    selected_epoch: int | None = None
    objective: float | None = None
    """Value of the objective at the selected epoch."""
    test: Mapping[str, float] = field(default_factory=dict)
    """Mean over the test images: `dice`, ... at the selected weights, `dice_last`, ... at the last."""
    parameters: int | None = None
    trainable_parameters: int | None = None
    flops: int | None = None
    """Floating-point operations (2 per multiply-add) of one forward pass of one image."""
    started: str | None = None
    finished: str | None = None
    train_time_s: float | None = None
    device: str | None = None
    device_name: str | None = None
    threads: int | None = None
    loader_workers: int | None = None
    micro_batch: int | None = None
    """Images that went through the network at a time where memory did not hold a batch; None: a batch."""
    fitting_batch_size: int | None = None
    """Of a trial that failed for memory: the largest batch that one step was seen to fit with."""
    path: Mapping[str, Any] | None = None
    """How it computed: layout, CUDA graph, compilation, where the data lay; None: an engine that does not
    say, or an older version."""
    notes: tuple[str, ...] = ()
    """What a reader should know of how it ran, a sentence each."""
    host: str | None = None
    """Hash of the host's name."""
    commit: str | None = None
    is_dirty: bool | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    reused_from: str | None = None
    """`experiment/hash` this record was copied from."""
    search: SearchPlace | None = None
    """Of a trial that a search or a tuning asked for."""
    format: int = RESULTS_FORMAT

    @property
    def role(self) -> Role | None:
        """What the trial of a tuned design is for; None in any other."""
        return None if self.search is None else self.search.role

    @property
    def is_tested(self) -> bool:
        """Whether it may stand for a trial of a design: a tuning trial never saw the test images."""
        return self.role is not Role.TUNING or bool(self.test)
