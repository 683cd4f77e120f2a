"""Keeps the dashboard's database like the records, beside the sweep and never in its way."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from segbench.errors import SegbenchError
from segbench.records import State, TrialRecord
from segbench.store import trials
from segbench.store.layout import ExperimentFolder, ResultsFolder, TrialFolder
from segbench.store.queue import QueuedTrial
from segbench.sweep.events import EpochFinished, Event, TrialFinished, TrialStarted
from segbench.sweep.study.records import ShownTrial, level_dimension

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segbench.config.experiment import Experiment
    from segbench.config.project import Project
    from segbench.sweep.study.mirror import StudyMirror

RETRY_S: Final = 30.0
"""A database that failed is tried again after this long."""


class Mirror:
    """Writes an experiment's study from a thread of its own.

    A database that is locked, read-only or broken is said once; the study is written from the records as soon
    as it can be again.

    Args:
        database: The SQLite file.
        folder: Where the records are.
        name: The study's name.
        metric: Column of `epochs.csv` that is the objective.
        direction: `maximize` or `minimize`.
        axes: Axis -> labels; empty for a search.
        question: Shown with the study.
        note: Told what the user should know.
    """

    def __init__(
        self,
        database: Path,
        folder: ExperimentFolder,
        *,
        name: str,
        metric: str,
        direction: str,
        axes: Mapping[str, Sequence[str]],
        question: str = "",
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._database, self._folder, self._name = database, folder, name
        self._metric, self._direction, self._axes, self._question = metric, direction, axes, question
        self._note = note
        self._tasks: queue.SimpleQueue[Callable[[StudyMirror], Any] | None] = queue.SimpleQueue()
        self._trials: dict[str, QueuedTrial] = {}
        self._stop = threading.Event()
        self._has_complained = False
        self._thread = threading.Thread(target=self._work, name="study", daemon=True)

    def start(self, planned: Sequence[QueuedTrial]) -> None:
        """Show what is planned, with what the records say of it, and take events from now on."""
        self._trials = {trial.hash: trial for trial in planned}
        self._thread.start()

    def add(self, trial: QueuedTrial) -> None:
        """Show one more trial."""
        if trial.hash not in self._trials:
            self._trials[trial.hash] = trial
            self._tasks.put(lambda study: study.add(self._shown(trial)))

    def handle(self, event: Event) -> None:
        """Show an event."""
        trial = self._trials.get(event.hash)
        if trial is None:
            return
        if isinstance(event, EpochFinished) and self._metric in event.row:
            epoch, value = event.epoch, event.row[self._metric]
            self._tasks.put(lambda study: study.report(trial.hash, epoch, value))
        elif isinstance(event, TrialStarted | TrialFinished):
            self._tasks.put(lambda study: study.set_state(self._shown(trial)))

    def close(self, timeout_s: float = 20.0) -> None:
        """Write what is left, for at most so long."""
        self._stop.set()
        self._tasks.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _work(self) -> None:
        while True:
            try:
                if self._mirror_until_closed():
                    return
            except Exception as error:  # whatever a database does, the sweep goes on
                self._complain(error)
            if self._stop.wait(RETRY_S):
                return

    def _mirror_until_closed(self) -> bool:
        study = self._open()
        try:
            study.synchronise([self._shown(trial) for trial in list(self._trials.values())])
            while (task := self._tasks.get()) is not None:
                task(study)
            return True
        finally:
            study.close()

    def _open(self) -> StudyMirror:
        from segbench.sweep.study.mirror import StudyMirror

        attributes = {"question": self._question, "objective": self._metric}
        return StudyMirror(self._database, name=self._name, direction=self._direction, attributes=attributes)

    def _shown(self, trial: QueuedTrial) -> ShownTrial:
        folder = self._folder.trial(trial.hash)
        try:
            record = trials.read_trial(folder)
        except SegbenchError:
            record = None
        return show_trial(trial, record, folder, metric=self._metric, axes=self._axes)

    def _complain(self, error: Exception) -> None:
        if not self._has_complained:
            self._has_complained = True
            text = str(error).strip().split("\n")[0]
            self._note(
                f"{self._database.name}: the dashboard's database cannot be written ({text}). "
                "The sweep goes on; the database is written from the records as soon as it can be."
            )


def make_mirror(experiment: Experiment, folder: ExperimentFolder, note: Callable[[str], None]) -> Mirror:
    """Return the mirror of an experiment, not yet started."""
    objective = experiment.baseline.objective
    return Mirror(
        ResultsFolder(experiment.project.results).study,
        folder,
        name=experiment.name,
        metric=objective.metric,
        direction=objective.direction,
        axes={axis.name: axis.labels for axis in experiment.axes},
        question=experiment.question,
        note=note,
    )


def show_trial(
    trial: QueuedTrial | TrialRecord,
    record: TrialRecord | None,
    folder: TrialFolder,
    *,
    metric: str,
    axes: Mapping[str, Sequence[str]],
) -> ShownTrial:
    """Turn a trial and its record, where there is one, into what the study shows."""
    search = trial.search if trial.search is not None else (record.search if record is not None else None)
    if search is not None:
        parameters, space = dict(search["parameters"]), dict(search["space"])
    else:
        parameters = {axis: trial.levels[axis] for axis in axes if axis in trial.levels}
        space = {axis: level_dimension(axes[axis]) for axis in parameters}
    common: dict[str, Any] = {
        "hash": trial.hash,
        "seed": trial.seed,
        "fold": trial.fold,
        "parameters": parameters,
        "space": space,
        "number": search.get("number") if search is not None else None,
    }
    if record is None:
        return ShownTrial(state=State.WAITING, **common)
    return ShownTrial(
        state=record.state,
        objective=record.objective,
        intermediate=read_objectives(folder, metric),
        started=record.started,
        finished=record.finished,
        commit=record.commit,
        reason=record.reason,
        test=dict(record.test),
        **common,
    )


def read_objectives(folder: TrialFolder, metric: str) -> dict[int, float]:
    """Return epoch -> objective from `epochs.csv`; empty where there is none yet."""
    try:
        header, body = trials.split_epochs(str(folder.epochs), folder.epochs.read_bytes())
    except (OSError, SegbenchError):
        return {}
    columns = header.split(",")
    if metric not in columns:
        return {}
    rows = [line.split(",") for line in body.splitlines()]
    return {int(row[0]): float(row[columns.index(metric)]) for row in rows}


def rebuild(project: Project) -> list[str]:
    """Write the database anew from every experiment's records.

    Returns:
        The names of the studies.
    """
    from segbench.sweep.study.mirror import StudyMirror

    results, names = ResultsFolder(project.results), []
    for experiment in results.experiments():
        records = []
        for folder in experiment.trial_folders():
            try:
                records.append((trials.read_trial(folder), folder))
            except SegbenchError:
                continue
        if not records:
            continue
        axes: dict[str, list[str]] = {}
        for record, _ in records:
            for axis, label in record.levels.items():
                if label not in axes.setdefault(axis, []):
                    axes[axis].append(label)
        objective = records[0][0].config["objective"]
        study = StudyMirror(
            results.study,
            name=experiment.name,
            direction=objective["direction"],
            attributes={"objective": objective["metric"]},
        )
        try:
            shown = [show_trial(r, r, f, metric=objective["metric"], axes=axes) for r, f in records]
            study.synchronise(sorted(shown, key=lambda t: (t.started or "", t.hash)))
        finally:
            study.close()
        names.append(experiment.name)
    return names
