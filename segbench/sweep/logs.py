"""The logs of an experiment: found, read from the end, followed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench.config.experiment import Experiment
from segbench.errors import ExperimentError, message
from segbench.plan.plan import parse_selection
from segbench.records import TrialRecord
from segbench.store.layout import ExperimentFolder, ResultsFolder
from segbench.store.scan import scan
from segbench.trial.events import label_trial

_POLL_S = 0.5


@dataclass(frozen=True)
class LogFile:
    """One log, and what it is of."""

    path: Path
    title: str

    def tail(self, num_lines: int) -> list[str]:
        """Return the last lines; none where it cannot be read."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        return lines[-num_lines:] if num_lines else []


def find_logs(
    experiment: Experiment,
    *,
    hashes: Sequence[str] = (),
    only: Sequence[str] | None = None,
    seeds: str | None = None,
) -> list[LogFile]:
    """Return the logs of trials, those that failed or run first, then that of the workers.

    Args:
        experiment: Whose.
        hashes: First digits of trials; none: all.
        only: As of `--only`.
        seeds: As of `--seeds`.

    Raises:
        ExperimentError: No trial has such a hash, or a selection names what is not there.
    """
    folder = ResultsFolder(experiment.project.results).experiment(experiment.name)
    records = list(scan(folder).records.values())
    for prefix in hashes:
        if not any(record.hash.startswith(prefix) for record in records):
            known = sorted(record.hash for record in records)
            raise ExperimentError(
                message(str(folder.trials), "no trial's hash begins so", got=prefix, known=known)
            )
    if hashes:
        records = [r for r in records if any(r.hash.startswith(prefix) for prefix in hashes)]
    if only or seeds:
        selection = parse_selection(experiment, only=only, seeds=seeds)
        records = [r for r in records if selection.takes(r.levels, r.seed)]
    records.sort(key=lambda r: (-r.state.urgency, r.seed, *r.levels.values(), r.hash))
    found = [LogFile(folder.trial(r.hash).log, _title(r)) for r in records]
    return found if hashes or only or seeds else [*found, _workers(folder)]


def follow_logs(logs: Sequence[LogFile], *, poll_s: float = _POLL_S) -> Iterator[tuple[LogFile, str]]:
    """Yield the lines that are written from now on, each with its log; never ends by itself."""
    places = {log: _size(log.path) for log in logs}
    while True:
        for log, place in places.items():
            size = _size(log.path)
            if size < place:  # it was written anew
                place = 0
            if size > place:
                with log.path.open("rb") as file:
                    file.seek(place)
                    content = file.read(size - place)
                whole = content[: content.rfind(b"\n") + 1]
                places[log] = place + len(whole)
                for line in whole.decode("utf-8", "replace").splitlines():
                    yield log, line
        time.sleep(poll_s)


def _title(record: TrialRecord) -> str:
    return f"{label_trial(record.levels, record.search)}, seed {record.seed} ({record.hash}, {record.state})"


def _workers(folder: ExperimentFolder) -> LogFile:
    return LogFile(folder.log, "workers")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
