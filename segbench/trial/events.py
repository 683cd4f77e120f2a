"""What a running trial tells its supervisor: one JSON line per event.

Events carry what a progress display, the study and a pruner need. The record itself goes through files only,
so a lost line loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args

from segbench.records import SearchPlace, State

if TYPE_CHECKING:
    from segbench.store.queue import QueuedTrial


@dataclass(frozen=True, kw_only=True)
class TrialStarted:
    """A worker holds the trial's lease and is about to train."""

    hash: str
    label: str
    seed: int
    fold: int
    epochs: int
    epochs_done: int
    """More than 0 where the trial goes on from its last saved epoch."""
    started: str
    device: str

    @classmethod
    def of(cls, trial: QueuedTrial, *, epochs_done: int, started: str, device: str) -> TrialStarted:
        return cls(
            hash=trial.hash,
            label=label_trial(trial.levels, trial.search),
            seed=trial.seed,
            fold=trial.fold,
            epochs=int(trial.config["epochs"]),
            epochs_done=epochs_done,
            started=started,
            device=device,
        )


@dataclass(frozen=True, kw_only=True)
class EpochProgress:
    """How far the epoch in progress is; at most five a second."""

    hash: str
    fraction: float
    """0 to 1, by training batches."""


@dataclass(frozen=True, kw_only=True)
class EpochFinished:
    """An epoch is on disk."""

    hash: str
    epoch: int
    row: Mapping[str, float]
    """The columns of `epochs.csv`, as written there."""


@dataclass(frozen=True, kw_only=True)
class TrialFinished:
    """The trial's state is on disk and its lease is free again."""

    hash: str
    state: State
    failure: str | None = None
    reason: str | None = None
    objective: float | None = None
    test: Mapping[str, float] | None = None
    commit: str | None = None
    label: str | None = None
    """For a trial whose start was not heard of."""


@dataclass(frozen=True, kw_only=True)
class TrialRefused:
    """The trial's folder could not be used (another identity, a full disk); its record was left as it is."""

    hash: str
    reason: str


Event: TypeAlias = TrialStarted | EpochProgress | EpochFinished | TrialFinished | TrialRefused

_KINDS: Final[Mapping[str, type[Event]]] = {kind.__name__: kind for kind in get_args(Event)}


def label_trial(levels: Mapping[str, str], search: SearchPlace | None) -> str:
    """Name a trial for people: its levels, the parameters that a search or a tuning asked for, or both."""
    cell = ", ".join(levels.values()) or "baseline"
    if search is None:
        return cell
    settings = write_settings(search.parameters)
    if search.role is None:
        return settings
    what = "tuned" if search.number is None else f"tuning {search.number}"
    return f"{cell}, {what}: {settings}"


def write_settings(parameters: Mapping[str, Any]) -> str:
    """Return such as `lr 0.001, width 8`."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in parameters.items()
    )


def write_event(event: Event) -> str:
    """Return the event's line, without the newline."""
    return json.dumps({"event": type(event).__name__, **asdict(event)})


def read_event(line: str) -> Event | None:
    """Return the event of a line, or None where the line is none (a torn line of a killed worker)."""
    try:
        read: Any = json.loads(line)
        kind = _KINDS[read.pop("event")]
        known = {f.name for f in fields(kind)}
        content = {key: value for key, value in read.items() if key in known}
        return kind(**content | ({"state": State(content["state"])} if "state" in content else {}))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
