"""`segbench logs`: what trials and workers wrote, found, read from the end and followed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.cli.options import ExperimentArgument, OnlyOption, ScaleOption, SeedsOption, SmokeOption

if TYPE_CHECKING:
    from segbench.config.experiment import Experiment


def logs(
    experiment: ExperimentArgument,
    trial: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TRIAL]...", help="Hashes, or their first digits. Without them: all.", show_default=False
        ),
    ] = None,
    scale: ScaleOption = None,
    only: OnlyOption = None,
    seeds: SeedsOption = None,
    smoke: SmokeOption = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Last lines of each log.")] = 10,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is written from now on, until Ctrl-C.")
    ] = False,
) -> None:
    """Show the logs of an experiment's trials.

    The last lines of each, those that failed or run first, and at the end what workers printed outside of any
    trial.
    """
    from segbench.config.load import load_experiment

    loaded = load_experiment(experiment, scale=scale, smoke=smoke)
    found = find_logs(loaded, hashes=trial or (), only=only, seeds=seeds)
    for log in found:
        tail = log.tail(lines)
        if tail:
            typer.echo("\n".join([f"--- {log.title}", *tail]))
    if follow:
        for log, line in follow_logs(found):
            typer.echo(f"{log.title}: {line}")


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

    def size(self) -> int:
        """Return its bytes; 0 where there is none."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0


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
    from segbench.errors import ExperimentError, message
    from segbench.plan.plan import parse_selection
    from segbench.store.layout import ResultsFolder
    from segbench.store.scan import scan
    from segbench.trial.events import label_trial

    folder = ResultsFolder(experiment.project.results).experiment(experiment.name)
    records = list(scan(folder).records.values())
    for prefix in hashes:
        if not any(record.hash.startswith(prefix) for record in records):
            known = sorted(record.hash for record in records)
            raise ExperimentError(
                message(str(folder.trials), "no trial's hash begins so", got=prefix, known=known)
            )
    if hashes:
        records = [r for r in records if r.hash.startswith(tuple(hashes))]
    if only or seeds:
        selection = parse_selection(experiment, only=only, seeds=seeds)
        records = [r for r in records if selection.takes(r.levels, r.seed)]
    records.sort(key=lambda r: (-r.state.urgency, r.seed, *r.levels.values(), r.hash))
    found = [
        LogFile(
            folder.trial(r.hash).log,
            f"{label_trial(r.levels, r.search)}, seed {r.seed} ({r.hash}, {r.state})",
        )
        for r in records
    ]
    return found if hashes or only or seeds else [*found, LogFile(folder.log, "workers")]


def follow_logs(logs: Sequence[LogFile], *, poll_s: float = 0.5) -> Iterator[tuple[LogFile, str]]:
    """Yield the lines that are written from now on, each with its log; never ends by itself."""
    places = {log: log.size() for log in logs}
    while True:
        for log, place in places.items():
            size = log.size()
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
