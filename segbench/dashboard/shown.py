"""What the dashboard shows of a trial and of a study: plan and records in plain types, without Optuna."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Final, Protocol

from segbench.config.experiment import Experiment
from segbench.quantities import is_lower_better
from segbench.records import State, TrialRecord
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.trial.events import label_trial
from segbench.trial.record import measure_trial, read_column

_MOST_ROWS: Final = 10
"""Rows of the table in a study's note."""


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
    """The trial's name: its levels, or what a search asked for."""
    space: Mapping[str, Mapping[str, Any]]
    """Parameter -> its dimension, as `search_space` writes it."""
    objective: float | None = None
    goals: tuple[float | None, ...] = ()
    """The values of several goals; empty if the objective is the only goal."""
    intermediate: Mapping[int, float] = field(default_factory=dict)
    """Epoch -> objective."""
    started: str | None = None
    finished: str | None = None
    commit: str | None = None
    reason: str | None = None
    test: Mapping[str, float] = field(default_factory=dict)
    number: int | None = None
    """The proposal's number in a search or in a cell's tuning."""
    role: str | None = None
    """`tuning` or `tuned` in a tuned design."""
    repeat: int | None = None
    """Which tuning of the cell, if it is tuned."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Further attributes, from the record: configuration, device, folder and the like."""
    picture: TrialFolder | None = None
    """The trial's folder if it has a picture."""

    def attributes(self) -> dict[str, Any]:
        """Return the user attributes without `details`."""
        shown = {
            "hash": self.hash,
            "cell": self.label or None,
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


class Asked(Protocol):
    """What is known of a trial before it runs: a queued trial, a record or a line of the index."""

    @property
    def hash(self) -> str: ...
    @property
    def levels(self) -> Mapping[str, str]: ...
    @property
    def seed(self) -> int: ...
    @property
    def fold(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What all trials of a study have in common."""

    folder: ExperimentFolder
    question: str
    metrics: tuple[str, ...]
    """The objective, or the goals of a search."""
    directions: tuple[str, ...]
    axes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Axis -> labels; empty for a search."""
    outcome: str = "test_dice"

    @classmethod
    def of(cls, experiment: Experiment, folder: ExperimentFolder) -> Frame:
        objective = experiment.baseline.objective
        goals = experiment.search.goals if experiment.search is not None else ()
        return cls(
            folder=folder,
            question=experiment.question,
            metrics=tuple(goal.metric for goal in goals) or (objective.metric,),
            directions=tuple(goal.direction for goal in goals) or (objective.direction,),
            axes={axis.name: axis.labels for axis in experiment.axes},
            outcome=experiment.outcome,
        )

    @property
    def is_single(self) -> bool:
        """Whether there is one goal; Optuna shows values by epoch for one goal only."""
        return len(self.metrics) == 1

    def show(self, asked: Asked, record: TrialRecord | None) -> ShownTrial:
        """Return a trial as it is shown, without what `detail` adds."""
        search = getattr(asked, "search", None) or (record.search if record is not None else None)
        levels = {axis: asked.levels[axis] for axis in self.axes if axis in asked.levels}
        parameters: dict[str, Any] = dict(levels)
        space = {axis: {"levels": list(self.axes[axis])} for axis in levels}
        if search is not None:
            parameters.update(search.parameters)
            space.update(search.space or {})
        common: dict[str, Any] = {
            "hash": asked.hash,
            "seed": asked.seed,
            "fold": asked.fold,
            "label": label_trial(asked.levels, search),
            "parameters": parameters,
            "space": space,
            **{key: getattr(search, key, None) for key in ("number", "role", "repeat")},
        }
        if record is None:
            return ShownTrial(state=State.WAITING, **common)
        return ShownTrial(
            state=record.state,
            objective=record.objective,
            goals=() if self.is_single else self._goals(record),
            started=record.started,
            finished=record.finished,
            commit=record.commit,
            reason=record.reason,
            test=dict(record.test),
            **common,
        )

    def detail(self, trial: ShownTrial, record: TrialRecord | None) -> ShownTrial:
        """Add what takes time to find: the epochs, the details and the picture; nothing without a record."""
        if record is None:
            return trial
        folder = self.folder.trial(trial.hash)
        return replace(
            trial,
            intermediate=read_column(folder, self.metrics[0]) if self.is_single else {},
            details=describe_trial(record, folder),
            picture=folder if record.state.is_finished and folder.panels.is_file() else None,
        )

    def _goals(self, record: TrialRecord) -> tuple[float | None, ...]:
        """Return the values of the goals, as the search and its report measure them."""
        known = measure_trial(record, self.folder.trial(record.hash), self.metrics)
        return tuple(known.get(name) for name in self.metrics)


def describe_trial(record: TrialRecord, folder: TrialFolder) -> dict[str, Any]:
    """Return attributes of a trial that only its record tells: name -> value."""
    selected = record.selected_epoch
    found = {
        "selected_epoch": f"{selected} of {record.config.get('epochs', '?')}" if selected else None,
        "folder": f"results/{folder.experiment.name}/trials/{folder.hash}",
        "copied_from": record.reused_from,
        "is_changed": True if record.is_dirty else None,
        "device": record.device_name,
        "configuration": describe_config(record.config),
    }
    return {name: value for name, value in found.items() if value is not None}


def describe_config(config: Mapping[str, Any]) -> str:
    """Return a configuration on one line: `model unet (width 8, depth 4), norm none, ...`."""
    return ", ".join(f"{key} {_brief(value)}" for key, value in config.items() if value is not None)


def _brief(value: Any) -> str:
    if isinstance(value, Mapping):
        named = [f"{k} ({_knobs(v)})" if isinstance(v, Mapping) and v else str(k) for k, v in value.items()]
        return (
            " + ".join(named) if all(isinstance(v, Mapping) for v in value.values()) else f"({_knobs(value)})"
        )
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_brief(v) for v in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _knobs(knobs: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_brief(value)}" for key, value in knobs.items())


def write_headline(frame: Frame, shown: Mapping[str, ShownTrial], *, answer: str | None = None) -> str:
    """Return the note of a study as Markdown.

    Args:
        frame: Question, goals and axes.
        shown: Hash -> trial, every one.
        answer: What the report says, if there is one.
    """
    trials = list(shown.values())
    parts = [f"**{frame.question}**"] if frame.question else []
    parts.append(_size(frame, trials))
    if answer:
        parts.append(f"The report says: {answer}")
    table = _proposals(frame, trials) if not frame.axes else _cells(frame, trials)
    return "\n\n".join([*parts, *([table] if table else [])])


def read_answer(report: Path) -> str | None:
    """Return the answer in a `report.md`: its first paragraph under title and question; None without one."""
    try:
        with report.open(encoding="utf-8") as file:
            for line in file:
                text = line.strip()
                if text and not text.startswith("#") and not (text.startswith("**") and text.endswith("**")):
                    return text
    except (OSError, UnicodeDecodeError):
        return None
    return None


def _size(frame: Frame, trials: Iterable[ShownTrial]) -> str:
    trials = list(trials)
    states = Counter(trial.state for trial in trials)
    done = sum(count for state, count in states.items() if state.is_finished)
    counts = ", ".join(f"{states[state]} {state}" for state in State if states[state])
    cells, seeds = {trial.label for trial in trials}, {trial.seed for trial in trials}
    what = f"{len(cells)} cells, {len(seeds)} seeds, " if frame.axes else ""
    return f"{what}{len(trials)} trials, {done} done: {counts}" if trials else "no trials yet"


def _cells(frame: Frame, trials: Iterable[ShownTrial]) -> str:
    """Return the best cells by their mean outcome over complete trials, and that this is no verdict."""
    outcome = frame.outcome.removeprefix("test_")
    values: dict[str, list[float]] = {}
    for trial in trials:
        if trial.state is State.COMPLETE and outcome in trial.test:
            values.setdefault(trial.label, []).append(trial.test[outcome])
    if not values:
        return ""
    means = {label: fmean(found) for label, found in values.items()}
    best = sorted(means, key=means.__getitem__, reverse=not is_lower_better(frame.outcome))
    rows = [f"| {label} | {len(values[label])} | {means[label]:.4g} |" for label in best[:_MOST_ROWS]]
    left = f"\n\n{len(best) - _MOST_ROWS} more cells." if len(best) > _MOST_ROWS else ""
    head = f"| cell | trials | mean {frame.outcome} |\n|---|---|---|\n"
    return f"{head}{chr(10).join(rows)}{left}\n\nMeans so far; `segbench report` says what they show."


def _proposals(frame: Frame, trials: Iterable[ShownTrial]) -> str:
    """Return the best proposals of a search with one goal."""
    if not frame.is_single:
        return ""
    found = [(t.objective, t.label) for t in trials if t.state is State.COMPLETE and t.objective is not None]
    if not found:
        return ""
    found.sort(key=lambda pair: pair[0], reverse=frame.directions[0] == "maximize")
    rows = [f"| {label} | {value:.5g} |" for value, label in found[:_MOST_ROWS]]
    return f"| proposal | {frame.metrics[0]} |\n|---|---|\n" + "\n".join(rows)
