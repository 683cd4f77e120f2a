"""Keeps the dashboard's studies like the records, beside the sweep and never in its way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from segbench.errors import SegbenchError
from segbench.records import TrialRecord
from segbench.store import trials
from segbench.store.layout import ExperimentFolder
from segbench.store.queue import QueuedTrial
from segbench.sweep.address import StorageAddress, default_address
from segbench.sweep.headline import read_answer, write_headline
from segbench.sweep.inbox import Change, Inbox
from segbench.sweep.shown import Frame, read_objectives
from segbench.sweep.study.records import ShownTrial
from segbench.trial.events import EpochFinished, Event, TrialFinished, TrialStarted

if TYPE_CHECKING:
    from pathlib import Path

    from segbench.config.experiment import Experiment
    from segbench.sweep.study.mirror import StudyMirror

RETRY_S: Final = 30.0
"""A database that failed is tried again after this long."""

STEADY_S: Final = 30.0
"""A database that failed after it worked for this long is tried again at once, and nothing is said."""

HEADLINE_EVERY_S: Final = 5.0
"""The note on the study is written at most this often while trials end."""


class Mirror:
    """Writes an experiment's study from a thread of its own.

    A database that is locked, read-only or broken is said once; the study is written from the records as soon
    as it can be again. What the thread has yet to write is bounded: one entry a trial (`Inbox`).

    Args:
        address: The storage.
        frame: The study's name, goals and axes, and where the records are.
        report: The experiment's `report.md`, whose answer the study's note repeats.
        note: Told what the user should know.
    """

    def __init__(
        self,
        address: StorageAddress,
        frame: Frame,
        *,
        report: Path | None = None,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._address, self._frame, self._report, self._note = address, frame, report, note
        self._inbox = Inbox()
        self._trials: dict[str, QueuedTrial] = {}
        self._records: Mapping[str, TrialRecord] | None = {}
        self._shown: dict[str, ShownTrial] = {}
        self._stop = threading.Event()
        self._has_complained = False
        self._has_headline = False
        self._headline_s = float("-inf")
        self._thread = threading.Thread(target=self._work, name="study", daemon=True)

    def check(self) -> None:
        """Open the study and write to it.

        Raises:
            ResultsError: The storage does not answer, cannot be written, or holds a study that is not ours.
        """
        self._open().close()

    def start(self, planned: Sequence[QueuedTrial], records: Mapping[str, TrialRecord] | None = None) -> None:
        """Show what is planned, with what the records say of it, and take events from now on.

        Args:
            planned: Every trial of the study.
            records: Hash -> record of those that have one, read a moment ago; None: they are read anew.
        """
        self._trials = {trial.hash: trial for trial in planned}
        self._records = records
        self._thread.start()

    def add(self, trial: QueuedTrial) -> None:
        """Show one more trial."""
        if trial.hash not in self._trials:
            self._trials[trial.hash] = trial
            self._inbox.put_new(trial.hash)

    def handle(self, event: Event) -> None:
        """Show an event; never waits for the database."""
        if event.hash not in self._trials:
            return
        if isinstance(event, EpochFinished):
            metric = self._frame.metrics[0]
            if self._frame.is_single and metric in event.row:
                self._inbox.put_epoch(event.hash, event.epoch, event.row[metric])
        elif isinstance(event, TrialStarted | TrialFinished):
            self._inbox.put_state(event.hash)

    def close(self, timeout_s: float | None = 20.0) -> None:
        """Write what is left, for at most so long; None: to the end."""
        self._stop.set()
        self._inbox.close()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
            if self._thread.is_alive() and not self._has_complained:
                self._has_complained = True
                self._note(
                    f"{self._address.shown}: the dashboard's database is slower than the sweep; "
                    f"`segbench results sync {self._frame.folder.name}` writes what it lacks."
                )

    def _work(self) -> None:
        while True:
            began_s = time.monotonic()
            try:
                self._mirror_until_closed()
                return
            except Exception as error:  # whatever a database does, the sweep goes on
                if time.monotonic() - began_s > STEADY_S:
                    continue  # a server has closed what was idle, or was started anew
                self._complain(error)
            if self._stop.wait(RETRY_S):
                return

    def _mirror_until_closed(self) -> None:
        study = self._open()
        try:
            self._synchronise(study)
            while not self._inbox.is_over:
                taken = self._inbox.take(self._until_headline())
                if taken is not None:
                    self._write(study, *taken)
                if self._until_headline() == 0.0:
                    self._write_headline(study)
            self._write_headline(study)
        finally:
            study.close()

    def _open(self) -> StudyMirror:
        from segbench.sweep.study.mirror import StudyMirror

        frame = self._frame
        return StudyMirror(
            self._address,
            name=frame.folder.name,
            directions=frame.directions,
            metrics=frame.metrics,
            attributes={"question": frame.question, "objective": ", ".join(frame.metrics)},
        )

    def _synchronise(self, study: StudyMirror) -> None:
        records = self._records
        if records is None:  # not the first time: what waits to be told stands in the files
            self._inbox.clear()
            records = {h: r for h in list(self._trials) if (r := self._read(h)) is not None}
        self._records = None
        asked = list(self._trials.values())
        self._shown = {trial.hash: self._frame.show(trial, records.get(trial.hash)) for trial in asked}
        study.synchronise(
            list(self._shown.values()), lambda trial: self._frame.detail(trial, records.get(trial.hash))
        )
        self._has_headline = True
        self._write_headline(study)

    def _write(self, study: StudyMirror, trial_hash: str, change: Change) -> None:
        frame, record = self._frame, self._read(trial_hash)
        trial = self._shown[trial_hash] = frame.show(self._trials[trial_hash], record)
        trial = frame.detail(trial, record) if change.is_new or change.has_state else trial
        if change.is_new:
            study.add(trial)
        epochs = change.epochs
        if change.has_more_epochs:
            epochs = read_objectives(frame.folder.trial(trial_hash), frame.metrics[0])
        for epoch, value in epochs.items():
            study.report(trial_hash, epoch, value)
        if change.has_state:
            study.set_state(trial)
            self._has_headline = True

    def _until_headline(self) -> float | None:
        if not self._has_headline:
            return None
        return max(0.0, self._headline_s + HEADLINE_EVERY_S - time.monotonic())

    def _write_headline(self, study: StudyMirror) -> None:
        if self._has_headline:
            answer = read_answer(self._report) if self._report is not None else None
            study.set_note(write_headline(self._frame, self._shown, answer=answer))
            self._has_headline, self._headline_s = False, time.monotonic()

    def _read(self, trial_hash: str) -> TrialRecord | None:
        try:
            return trials.read_trial(self._frame.folder.trial(trial_hash))
        except SegbenchError:
            return None

    def _complain(self, error: Exception) -> None:
        if not self._has_complained:
            self._has_complained = True
            text = self._address.clean(str(error)).strip().split("\n")[0]
            text = text.removeprefix(f"{self._address.shown}: ").rstrip(".")
            self._note(
                f"{self._address.shown}: the dashboard's database cannot be written ({text}). "
                "The sweep goes on; the database is written from the records as soon as it can be."
            )


def make_mirror(
    experiment: Experiment,
    folder: ExperimentFolder,
    note: Callable[[str], None],
    address: StorageAddress | None = None,
) -> Mirror:
    """Return the mirror of an experiment, not yet started.

    Args:
        experiment: Whose trials are shown.
        folder: Where their records are.
        note: Told what the user should know.
        address: The storage; None: the database under `results/`.
    """
    project = experiment.project
    return Mirror(
        address or default_address(project.results),
        Frame.of(experiment, folder),
        report=project.reports / experiment.name / "report.md",
        note=note,
    )


def check_storage(experiment: Experiment, folder: ExperimentFolder, address: StorageAddress) -> None:
    """Refuse a storage that was asked for by name and cannot be written, before any work starts.

    Raises:
        ResultsError: It does not answer, refuses, or is damaged.
    """
    if address.is_named:
        make_mirror(experiment, folder, lambda text: None, address).check()
