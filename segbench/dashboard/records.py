"""What the study is told, in plain records: only `study.py` imports Optuna."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segbench.config.expand import search_space as search_space
from segbench.records import State
from segbench.store.layout import TrialFolder


@dataclass(frozen=True, kw_only=True)
class ShownTrial:
    """A trial as the dashboard shows it."""

    hash: str
    seed: int
    fold: int
    state: State
    parameters: Mapping[str, Any]
    """Axis -> label, or a search's parameter -> value."""
    label: str = ""
    """The trial's name for people: its levels, or what a search asked for."""
    space: Mapping[str, Mapping[str, Any]]
    """Parameter -> its dimension (`level_dimension`, `search_space`)."""
    objective: float | None = None
    goals: tuple[float | None, ...] = ()
    """Of a search with several goals, their values; else the objective is the only one."""
    intermediate: Mapping[int, float] = field(default_factory=dict)
    """Epoch -> objective."""
    started: str | None = None
    finished: str | None = None
    commit: str | None = None
    reason: str | None = None
    test: Mapping[str, float] = field(default_factory=dict)
    number: int | None = None
    """The proposal's number in a search, or in a cell's tuning."""
    role: str | None = None
    """`tuning` or `tuned` in a tuned design."""
    repeat: int | None = None
    """Which tuning of the cell, where it is tuned."""
    note: str = ""
    """Markdown."""
    picture: TrialFolder | None = None
    """The trial's folder where it has a picture."""

    def attributes(self) -> dict[str, Any]:
        """Return the user attributes."""
        shown = {
            "hash": self.hash,
            "seed": self.seed,
            "fold": self.fold,
            "state": str(self.state),
            "commit": self.commit,
            "reason": self.reason,
            "proposal": self.number,
            "role": self.role,
            "repeat": self.repeat,
            **{f"test_{name}": value for name, value in self.test.items()},
        }
        return {key: value for key, value in shown.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One configuration that a search asks for, and what became of it."""

    number: int
    parameters: Mapping[str, Any]
    state: State = State.WAITING
    objective: float | None = None
    intermediate: Mapping[int, float] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    """Goals and constraints: metric -> value; what was not measured is missing."""
    is_enqueued: bool = False
    """Whether the file asked for it."""
    place: Mapping[str, Any] | None = None
    """Where it stands in the sampler's run: `generation`, and in the first of a generation `parents`, the
    numbers of the proposals that it descends from; None where the sampler has no generations."""


def level_dimension(labels: Sequence[str]) -> dict[str, Any]:
    """Return an axis as a dimension: its labels, without an order."""
    return {"levels": list(labels)}
