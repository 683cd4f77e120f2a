"""What the dashboard shows of a trial: its plan and its record in the words of `study.records`. No Optuna."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from segbench.config.experiment import Experiment
from segbench.records import State, TrialRecord
from segbench.store.layout import ExperimentFolder, TrialFolder
from segbench.sweep.study.records import ShownTrial, level_dimension
from segbench.trial.events import label_trial
from segbench.trial.record import measure_trial, read_column


class Asked(Protocol):
    """What is known of a trial before it runs: a queued trial, a record, a line of the index."""

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
        """Whether there is one goal; only then an epoch has a value that Optuna can show."""
        return len(self.metrics) == 1

    def show(self, asked: Asked, record: TrialRecord | None) -> ShownTrial:
        """Return a trial as it is shown, without what `detail` adds."""
        search = getattr(asked, "search", None) or (record.search if record is not None else None)
        levels = {axis: asked.levels[axis] for axis in self.axes if axis in asked.levels}
        parameters: dict[str, Any] = dict(levels)
        space = {axis: level_dimension(self.axes[axis]) for axis in levels}
        if search is not None:
            parameters.update(search["parameters"])
            space.update(search["space"])
        common: dict[str, Any] = {
            "hash": asked.hash,
            "seed": asked.seed,
            "fold": asked.fold,
            "label": label_trial(asked.levels, search),
            "parameters": parameters,
            "space": space,
            **{key: (search or {}).get(key) for key in ("number", "role", "repeat")},
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
        """Add a trial's epochs, note and picture; one that has not started has none of them."""
        if record is None:
            return trial
        folder = self.folder.trial(trial.hash)
        return replace(
            trial,
            intermediate=read_objectives(folder, self.metrics[0]) if self.is_single else {},
            note=write_trial_note(trial, record, folder, objective=self.metrics[0]),
            picture=folder if record.state.is_finished and folder.panels.is_file() else None,
        )

    def _goals(self, record: TrialRecord) -> tuple[float | None, ...]:
        """Return the values of the goals, as the search and its report measure them."""
        known = measure_trial(record, self.folder.trial(record.hash), self.metrics)
        return tuple(known.get(name) for name in self.metrics)


def read_objectives(folder: TrialFolder, metric: str) -> dict[int, float]:
    """Return epoch -> objective from `epochs.csv`; empty where there is none yet."""
    return read_column(folder, metric)


def write_trial_note(trial: ShownTrial, record: TrialRecord, folder: TrialFolder, *, objective: str) -> str:
    """Return a trial's note: cell, seed, folder, state and why, what came out, the configuration."""
    epochs = f"epoch {record.selected_epoch} of {record.config.get('epochs', '?')}"
    test = ", ".join(
        f"{name} {value:.4g}" for name, value in record.test.items() if not name.endswith("_last")
    )
    rows = {
        "seed": f"{trial.seed}, fold {trial.fold}" if trial.fold else str(trial.seed),
        "state": str(trial.state),
        "reason": record.reason,
        objective: f"{record.objective:.5g} ({epochs})" if record.objective is not None else None,
        "test": test,
        "folder": f"`results/{folder.experiment.name}/trials/{folder.hash}`",
        "copied from": record.reused_from,
        "commit": f"{record.commit[:12]}{' (changed)' if record.is_dirty else ''}" if record.commit else None,
        "device": record.device_name,
        "configuration": describe_config(record.config),
    }
    lines = [f"| {key} | {_cell(value)} |" for key, value in rows.items() if value]
    return "\n".join([f"**{_cell(trial.label)}**", "", "| | |", "|---|---|", *lines])


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


def _cell(text: str) -> str:
    """Keep a text within its cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")
