"""Trials of a tuned design's cells at their settings as designed: what tuning is set against."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from segbench.config.experiment import Cell, Experiment
from segbench.config.trial import identity
from segbench.errors import ResultsError
from segbench.records import State, TrialRecord
from segbench.store.layout import HASH_DIGITS, ExperimentFolder, ResultsFolder, TrialFolder
from segbench.store.trials import read_trial


@dataclass(frozen=True, kw_only=True)
class UntunedTrial:
    """A complete, tested trial of a cell as designed, in this experiment or in another one."""

    cell: Cell
    record: TrialRecord
    folder: TrialFolder
    experiment: str
    """Whose records hold it."""


def find_untuned(experiment: Experiment, fingerprints: Iterable[str]) -> list[UntunedTrial]:
    """Return the recorded trials of the cells as designed with the replicates' seeds, by cell and seed.

    A trial is the cell's by its identity; the experiment's own records go first, then those of the others
    in alphabetical order.

    Args:
        experiment: A tuned design.
        fingerprints: Of the data that the design's own records were trained on.
    """
    wanted = {
        identity(cell.config, seed=seed, fold=0, data_fingerprint=fingerprint): (place, seed)
        for fingerprint in sorted(set(fingerprints))
        for place, cell in enumerate(experiment.cells)
        for seed in experiment.seeds
    }
    results = ResultsFolder(experiment.project.results)
    own = results.experiment(experiment.name)
    found: dict[tuple[int, int], UntunedTrial] = {}
    for folder in [own, *(each for each in results.experiments() if each.name != own.name)]:
        names = {entry.name for entry in folder.trials.iterdir()} if folder.trials.is_dir() else set()
        for whole, (place, seed) in wanted.items():
            if whole[:HASH_DIGITS] not in names or (place, seed) in found:
                continue
            record = _tested(folder, whole)
            if record is not None:
                found[place, seed] = UntunedTrial(
                    cell=experiment.cells[place],
                    record=record,
                    folder=folder.trial(record.hash),
                    experiment=folder.name,
                )
    return [found[key] for key in sorted(found)]


def _tested(folder: ExperimentFolder, whole: str) -> TrialRecord | None:
    try:
        record = read_trial(folder.trial(whole[:HASH_DIGITS]))
    except ResultsError:
        return None
    is_done = record.state is State.COMPLETE and record.identity == whole and bool(record.test)
    return record if is_done else None
