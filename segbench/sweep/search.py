"""A search: proposals in, trials out; what it knows it reads from the records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segbench.config.expand import apply_parameters, num_folds
from segbench.config.experiment import Cell, Experiment, PlannedTrial
from segbench.config.trial import TrialConfig
from segbench.errors import SegbenchError
from segbench.records import State, TrialRecord
from segbench.store import trials
from segbench.store.layout import ExperimentFolder
from segbench.store.lease import Lease
from segbench.store.queue import Queue, QueuedTrial
from segbench.sweep.events import EpochFinished, Event, TrialFinished, TrialRefused
from segbench.sweep.mirror import read_objectives
from segbench.sweep.study.records import Proposal, search_space

if TYPE_CHECKING:
    from segbench.sweep.study.proposals import SearchStudy


class SearchRun:
    """Drives a search: asks ahead, tells what became of proposals, stops the pruned, then replicates the
    best.

    Proposals use the first seed. When the last one has ended, the best configuration is trained with the
    other seeds (and folds), so that what the report says of it does not rest on the seed that chose it.

    Args:
        experiment: One with a `search`.
        folder: Where its records are.
        plan: (cell, seed, fold) -> the trial with its identity.
        ahead: Proposals that may be open at a time: one a worker.
    """

    def __init__(
        self,
        experiment: Experiment,
        folder: ExperimentFolder,
        plan: Callable[[Cell, int, int], PlannedTrial],
        *,
        ahead: int,
    ) -> None:
        from segbench.sweep.study.proposals import SearchStudy

        assert experiment.search is not None
        self._experiment, self._search, self._folder = experiment, experiment.search, folder
        self._plan, self._ahead = plan, ahead
        self._space = search_space(experiment.search)
        self._metric = experiment.baseline.objective.metric
        self._open: dict[str, list[int]] = {}
        self.trials: list[QueuedTrial] = []
        """What was proposed so far, by number, then the replicates: the queue."""
        past = read_proposals(folder, self._space)
        self._study: SearchStudy = SearchStudy(
            experiment.name,
            experiment.search,
            direction=experiment.baseline.objective.direction,
            epochs=experiment.baseline.epochs,
            proposals=[self._proposal(number, trial) for number, trial in past.items()],
        )
        for number, trial in past.items():
            self._follow(number, trial)
        self._has_replicated = False

    @property
    def is_closed(self) -> bool:
        """Whether no trial will be added any more."""
        return self._has_replicated

    @property
    def num_expected(self) -> int:
        """Trials of the whole search, as far as one can tell: proposals may repeat each other."""
        return self._search.num_trials + len(self._experiment.seeds) * self._experiment.num_folds - 1

    @property
    def num_ended(self) -> int:
        return len({t.hash for t in self.trials} - self._open.keys())

    def open_trials(self) -> list[QueuedTrial]:
        """Return the proposals of an earlier sweep that have not ended."""
        return list({t.hash: t for t in self.trials if t.hash in self._open}.values())

    def advance(self) -> list[QueuedTrial]:
        """Return the trials to add to the queue now: further proposals, or the replicates."""
        added: list[QueuedTrial] = []
        while self._study.num_proposals < self._search.num_trials and len(self._open) < self._ahead:
            proposal = self._study.ask()
            trial = self._trial(proposal)
            added.append(trial)
            self._follow(proposal.number, trial)
        if self._study.num_proposals >= self._search.num_trials and not self._open and not self.is_closed:
            self._has_replicated = True
            replicates = self._replicates()
            self.trials += replicates
            added += replicates
        return added

    def handle(self, event: Event) -> None:
        """Take an event of a running proposal."""
        numbers = self._open.get(event.hash)
        if numbers is None:
            return
        if isinstance(event, EpochFinished):
            self._report(event.hash, {event.epoch: event.row[self._metric]})
        elif isinstance(event, TrialFinished) and _has_ended(State(event.state)):
            self._tell(event.hash, State(event.state), event.objective)
        elif isinstance(event, TrialRefused):
            self._tell(event.hash, State.FAILED, None)

    def _report(self, trial_hash: str, objectives: Mapping[int, float]) -> None:
        epochs = self._experiment.baseline.epochs
        for epoch, value in objectives.items():
            wants_stop = [self._study.report(number, epoch, value) for number in self._open[trial_hash]]
            if all(wants_stop) and epoch < epochs:
                self._folder.trial(trial_hash).stop_request.touch()

    def _tell(self, trial_hash: str, state: State, objective: float | None) -> None:
        numbers = self._open.pop(trial_hash)
        for number in numbers:
            self._study.tell(number, state, objective)
        note_proposals(self._folder, trial_hash, numbers, self._parameters_of(trial_hash), self._space)

    def _follow(self, number: int, trial: QueuedTrial) -> None:
        """Watch a proposal; one that equals a trial that has ended is told at once."""
        self.trials.append(trial)
        self._open.setdefault(trial.hash, []).append(number)
        record = _read(self._folder, trial.hash)
        if record is None:
            return
        self._report(trial.hash, read_objectives(self._folder.trial(trial.hash), self._metric))
        if _has_ended(record.state):
            self._folder.trial(trial.hash).stop_request.unlink(missing_ok=True)
            self._tell(trial.hash, record.state, record.objective)

    def _proposal(self, number: int, trial: QueuedTrial) -> Proposal:
        assert trial.search is not None
        record = _read(self._folder, trial.hash)
        state = record.state if record is not None and _has_ended(record.state) else State.WAITING
        return Proposal(
            number=number,
            parameters=trial.search["parameters"],
            state=state,
            objective=record.objective if record is not None else None,
            intermediate=read_objectives(self._folder.trial(trial.hash), self._metric),
        )

    def _trial(self, proposal: Proposal) -> QueuedTrial:
        return self._queued(
            proposal.parameters,
            self._experiment.seeds[0],
            0,
            {"number": proposal.number},
        )

    def _replicates(self) -> list[QueuedTrial]:
        of = best_proposal(self._experiment, self._folder, read_proposals(self._folder, self._space))
        if of is None:
            return []
        assert of.search is not None
        return [
            self._queued(of.search["parameters"], seed, fold, {"replicate_of": of.hash})
            for seed, fold in _other_replicates(self._experiment, of)
        ]

    def _queued(
        self, parameters: Mapping[str, Any], seed: int, fold: int, role: Mapping[str, Any]
    ) -> QueuedTrial:
        cell = apply_parameters(self._experiment, parameters)
        return QueuedTrial.of(
            self._plan(cell, seed, fold),
            search={**role, "parameters": dict(parameters), "space": self._space},
        )

    def _parameters_of(self, trial_hash: str) -> Mapping[str, Any]:
        trial = next(t for t in self.trials if t.hash == trial_hash)
        assert trial.search is not None
        return trial.search["parameters"]  # type: ignore[no-any-return]


def is_over(experiment: Experiment, folder: ExperimentFolder) -> bool:
    """Whether every proposal and every replicate of the best has ended; asks no sampler."""
    assert experiment.search is not None
    past = read_proposals(folder, search_space(experiment.search))
    if len(past) < experiment.search.num_trials or not all(_is_over(folder, t.hash) for t in past.values()):
        return False
    best = best_proposal(experiment, folder, past)
    if best is None:
        return True
    replicated = {
        (record.seed, record.fold)
        for trial_folder in folder.trial_folders()
        if (record := _read(folder, trial_folder.hash)) is not None
        and (record.search or {}).get("replicate_of") == best.hash
        and _has_ended(record.state)
    }
    return replicated >= set(_other_replicates(experiment, best))


def best_proposal(
    experiment: Experiment, folder: ExperimentFolder, past: Mapping[int, QueuedTrial]
) -> QueuedTrial | None:
    """Return the complete proposal with the best objective, the first of equals, or None."""
    best, best_value = None, None
    for trial in past.values():
        record = _read(folder, trial.hash)
        if record is None or record.state is not State.COMPLETE or record.objective is None:
            continue
        if experiment.baseline.objective.is_better(record.objective, best_value):
            best, best_value = trial, record.objective
    return best


def read_proposals(folder: ExperimentFolder, space: Mapping[str, Any]) -> dict[int, QueuedTrial]:
    """Return what a search over this space has proposed, by number.

    It stands in the records, and in a queue left behind for proposals that have none yet.
    """
    found: dict[int, QueuedTrial] = {}
    for trial_folder in folder.trial_folders():
        record = _read(folder, trial_folder.hash)
        if record is None or record.search is None or record.search.get("space") != space:
            continue
        if record.role is not None:
            continue  # a tuned design of this name stood here
        for number in (record.search.get("number"), *record.search.get("repeats", ())):
            if number is not None:
                found[int(number)] = _queued(record, int(number))
    for trial in _left_queue(folder.queue):
        search = trial.search or {}
        if search.get("space") == space and search.get("number") is not None and "role" not in search:
            found.setdefault(int(search["number"]), trial)
    return dict(sorted(found.items()))


def note_proposals(
    folder: ExperimentFolder,
    trial_hash: str,
    numbers: Sequence[int],
    parameters: Mapping[str, Any],
    space: Mapping[str, Any],
) -> None:
    """Have a trial's record say for which proposals it stands, where it does not say so yet.

    A record holds the first in `search.number` and equal ones that came later in `search.repeats`.
    """
    trial_folder = folder.trial(trial_hash)
    record = _read(folder, trial_hash)
    if record is None:
        return
    search = dict(record.search or {})
    if search.get("space") != space or search.get("number") is None:
        search = {
            "number": min(numbers),
            "parameters": dict(parameters),
            "space": dict(space),
        }
    known = {search["number"], *search.get("repeats", ())}
    repeats = sorted((known | set(numbers)) - {search["number"]})
    if repeats:
        search["repeats"] = repeats
    if search == record.search:
        return
    lease = Lease.acquire(trial_folder)
    if lease is None:
        return  # somebody holds it: the numbers stay in the queue, and the next sweep writes them
    with lease:
        lease.check()
        trials.write_trial(trial_folder, replace(record, search=search))


def _queued(record: TrialRecord, number: int) -> QueuedTrial:
    search = {k: v for k, v in (record.search or {}).items() if k != "repeats"}
    return QueuedTrial(
        identity=record.identity,
        config=record.config,
        config_hash=record.config_hash,
        levels=record.levels,
        seed=record.seed,
        fold=record.fold,
        data_fingerprint=record.data_fingerprint,
        search={**search, "number": number},
    )


def _left_queue(path: Path) -> Sequence[QueuedTrial]:
    try:
        return Queue.read(path).trials
    except SegbenchError:
        return ()


def _read(folder: ExperimentFolder, trial_hash: str) -> TrialRecord | None:
    try:
        return trials.read_trial(folder.trial(trial_hash))
    except SegbenchError:
        return None


def _other_replicates(experiment: Experiment, of: QueuedTrial) -> list[tuple[int, int]]:
    """Return (seed, fold) of the replicates that the search itself has not trained."""
    folds = min(experiment.num_folds, num_folds(TrialConfig.from_json(of.config)))
    pairs = [(seed, fold) for seed in experiment.seeds for fold in range(folds)]
    return [pair for pair in pairs if pair != (of.seed, of.fold)]


def _is_over(folder: ExperimentFolder, trial_hash: str) -> bool:
    record = _read(folder, trial_hash)
    return record is not None and _has_ended(record.state)


def _has_ended(state: State) -> bool:
    return state.is_finished or state is State.FAILED
