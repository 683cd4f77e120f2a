"""What an epoch and a trial leave behind: frozen, plain, without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Final

RESULTS_FORMAT = 1
"""Version of everything under `results/`; written in each `trial.json`."""

NUMERICS_VERSION = 1
"""Raised whenever a built-in variant or the engine changes a number; part of every trial's identity."""

DECIMALS = 9
"""Significant digits of every float written to a record."""

TUNING, TUNED = "tuning", "tuned"
"""`search.role` of a trial that tunes a cell, and of a replicate of a tuned cell."""


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
    search: Mapping[str, Any] | None = None
    """Search trials: Optuna's trial number and the parameters it asked for."""
    format: int = RESULTS_FORMAT

    @property
    def role(self) -> str | None:
        """`tuning` or `tuned` in a tuned design (`segbench.store.tuning`), else None."""
        return (self.search or {}).get("role")

    @property
    def is_tested(self) -> bool:
        """Whether it may stand for a trial of a design: a tuning trial never saw the test images."""
        return self.role != TUNING or bool(self.test)
