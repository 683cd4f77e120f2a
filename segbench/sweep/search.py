"""A search: proposals in, trials out; what it knows it reads from the records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from segbench.config.expand import apply_parameters, num_folds, search_space
from segbench.config.experiment import Cell, Experiment, PlannedTrial
from segbench.config.trial import TrialConfig
from segbench.records import Origin, SearchPlace, State, TrialRecord
from segbench.store import trials
from segbench.store.layout import ExperimentFolder
from segbench.store.queue import QueuedTrial
from segbench.sweep.search_records import (
    PastProposal,
    Proposal,
    chosen_proposals,
    note_proposals,
    read_known,
    read_past,
    read_record,
)
from segbench.trial.events import EpochFinished, Event, TrialFinished, TrialRefused
from segbench.trial.record import measure_trial, read_column
from segbench.trial.run import is_wrongly_refused, limits_of

if TYPE_CHECKING:
    from segbench.sweep.searches import SearchStudy


class SearchRun:
    """Drives a search: asks ahead, tells what became of proposals, stops the pruned, then replicates the
    best.

    Proposals use the first seed. When the last one has ended, the best configuration (with several goals:
    points of the Pareto front) is trained with the other seeds (and folds), so that what the report says of
    it does not rest on the seed that chose it.

    Args:
        experiment: One with a `search`.
        folder: Where its records are.
        plan: (cell, seed, fold) -> the trial with its identity.
        ahead: Proposals that may be open at a time: one a worker.

    Raises:
        ExperimentError: A search that is to warm this one has left nothing.
    """

    def __init__(
        self,
        experiment: Experiment,
        folder: ExperimentFolder,
        plan: Callable[[Cell, int, int], PlannedTrial],
        *,
        ahead: int,
    ) -> None:
        from segbench.sweep.searches import SearchStudy

        assert experiment.search is not None
        self._experiment, self._search, self._folder = experiment, experiment.search, folder
        self._plan, self._ahead = plan, ahead
        self._space = search_space(experiment.search)
        self._metric = experiment.baseline.objective.metric
        self._has_pruner = experiment.search.pruner != "none"
        self._open: dict[str, dict[int, Origin]] = {}
        """Hash -> the proposals that it stands for, with their origins."""
        self.asked: list[QueuedTrial] = []
        """What was proposed so far, by number, then the replicates."""
        self._unnoted: set[str] = set()
        """Ended trials whose records do not hold all of their proposals yet."""
        self._replicated: list[QueuedTrial] = []
        past = [self._reopened(proposal) for proposal in read_past(folder, self._space)]
        self._study: SearchStudy = SearchStudy(
            experiment.name,
            experiment.search,
            direction=experiment.baseline.objective.direction,
            epochs=experiment.baseline.epochs,
            proposals=[self._proposal(proposal) for proposal in past],
            known=read_known(experiment),
        )
        for proposal in past:
            if self._is_settled(proposal):
                self.asked.append(proposal.trial)
            else:
                self._follow(proposal.number, proposal.trial, proposal.origin)
        self._has_replicated = False

    @property
    def trials(self) -> list[QueuedTrial]:
        """The queue: proposals that no record holds for good yet, then the replicates.

        Of thousands of proposals few are open, and the queue is written with each new one.
        """
        waiting = [t for t in self.asked if t.hash in self._open or t.hash in self._unnoted]
        return [*waiting, *self._replicated]

    @property
    def is_closed(self) -> bool:
        """Whether no trial will be added any more."""
        return self._has_replicated

    @property
    def num_expected(self) -> int:
        """Trials of the whole search, as far as one can tell: proposals may repeat each other."""
        others = len(self._experiment.seeds) * self._experiment.num_folds - 1
        return self._search.num_trials + self._search.num_replicated * others

    @property
    def num_ended(self) -> int:
        return len({t.hash for t in self.asked} - self._open.keys())

    def open_trials(self) -> list[QueuedTrial]:
        """Return the proposals of an earlier sweep that have not ended."""
        return list({t.hash: t for t in self.asked if t.hash in self._open}.values())

    def advance(self) -> list[QueuedTrial]:
        """Return the trials to add to the queue now: further proposals, or the replicates."""
        added: list[QueuedTrial] = []
        while self._study.num_proposals < self._search.num_trials and len(self._open) < self._ahead:
            proposal = self._study.ask()
            place = SearchPlace(
                number=proposal.number,
                origin=proposal.origin,
                parameters=dict(proposal.parameters),
                space=self._space,
                limits=limits_of(self._search),
            )
            trial = self._queued(place, self._experiment.seeds[0], 0)
            added.append(trial)
            self._follow(proposal.number, trial, proposal.origin)
        if self._study.num_proposals >= self._search.num_trials and not self._open and not self.is_closed:
            self._has_replicated = True
            self._replicated = self._replicates()
            self.asked += self._replicated
            added += self._replicated
        return added

    def handle(self, event: Event) -> None:
        """Take an event of a running proposal."""
        if event.hash not in self._open:
            return
        if isinstance(event, EpochFinished):
            self._report(event.hash, {event.epoch: event.row[self._metric]})
        elif isinstance(event, TrialFinished) and event.state.has_ended:
            self._tell(event.hash, event.state, event.objective)
        elif isinstance(event, TrialRefused):
            self._tell(event.hash, State.FAILED, None)

    def _report(self, trial_hash: str, objectives: Mapping[int, float]) -> None:
        epochs = self._experiment.baseline.epochs
        for epoch, value in objectives.items():
            wants_stop = [self._study.report(number, epoch, value) for number in self._open[trial_hash]]
            if all(wants_stop) and epoch < epochs:
                self._folder.trial(trial_hash).stop_request.touch()

    def _tell(self, trial_hash: str, state: State, objective: float | None) -> None:
        origins = self._open.pop(trial_hash)
        record = read_record(self._folder, trial_hash) if self._search.measures else None
        measured = self._measured(record) if record is not None else {}
        for number in origins:
            self._study.tell(number, state, objective, measured)
        trial = next(t for t in reversed(self.asked) if t.hash == trial_hash)
        assert trial.search is not None
        if not note_proposals(self._folder, trial_hash, origins, trial.search.parameters, self._space):
            self._unnoted.add(trial_hash)

    def _measured(self, record: TrialRecord) -> dict[str, float]:
        return measure_trial(record, self._folder.trial(record.hash), self._search.measures)

    def _follow(self, number: int, trial: QueuedTrial, origin: Origin) -> None:
        """Watch a proposal; one that equals a trial that has ended is told at once."""
        self.asked.append(trial)
        self._open.setdefault(trial.hash, {})[number] = origin
        record = read_record(self._folder, trial.hash)
        if record is None:
            return
        self._report(trial.hash, self._objectives(trial.hash))
        if record.state.has_ended:
            self._folder.trial(trial.hash).stop_request.unlink(missing_ok=True)
            self._tell(trial.hash, record.state, record.objective)

    def _objectives(self, trial_hash: str) -> dict[int, float]:
        """Return the objective by epoch, which only pruners ask for."""
        return read_column(self._folder.trial(trial_hash), self._metric) if self._has_pruner else {}

    def _is_settled(self, proposal: PastProposal) -> bool:
        """Whether a proposal has ended, and its record says that it stands for it."""
        found = proposal.record.search if proposal.record is not None else None
        is_noted = found is not None and found.space == self._space and proposal.number in found.numbers
        return proposal.has_ended and is_noted

    def _proposal(self, past: PastProposal) -> Proposal:
        record = past.record
        has_result = record is not None and record.state.has_ended
        return Proposal(
            number=past.number,
            parameters=past.parameters,
            state=record.state if record is not None and has_result else State.WAITING,
            objective=record.objective if record is not None else None,
            intermediate=self._objectives(past.trial.hash) if record is not None else {},
            measured=self._measured(record) if record is not None and self._search.measures else {},
            origin=past.origin,
        )

    def _reopened(self, past: PastProposal) -> PastProposal:
        """Have a proposal wait again that was refused untrained by a bound which no longer holds."""
        record = past.record
        if record is None or not is_wrongly_refused(self._search, record):
            return past
        limits = limits_of(self._search)
        search = replace(record.search or SearchPlace(), limits=limits)
        waiting = replace(record, state=State.WAITING, reason=None, finished=None, search=search)
        if not trials.rewrite_if_free(self._folder.trial(record.hash), waiting):
            return past
        queued = replace(past.trial, search=replace(past.trial.search or SearchPlace(), limits=limits))
        return replace(past, record=waiting, trial=queued)

    def _replicates(self) -> list[QueuedTrial]:
        chosen = chosen_proposals(self._experiment, self._folder, read_past(self._folder, self._space))
        return [
            self._queued(
                SearchPlace(replicate_of=of.trial.hash, parameters=dict(of.parameters), space=self._space),
                seed,
                fold,
            )
            for of in chosen
            for seed, fold in _other_replicates(self._experiment, of.trial)
        ]

    def _queued(self, place: SearchPlace, seed: int, fold: int) -> QueuedTrial:
        cell = apply_parameters(self._experiment, place.parameters)
        return QueuedTrial.of(self._plan(cell, seed, fold), search=place)


def is_over(experiment: Experiment, folder: ExperimentFolder) -> bool:
    """Whether every proposal and every replicate of the best has ended; asks no sampler."""
    assert experiment.search is not None
    past = read_past(folder, search_space(experiment.search))
    if len(past) < experiment.search.num_trials or not all(proposal.has_ended for proposal in past):
        return False
    if any(is_wrongly_refused(experiment.search, proposal.record) for proposal in past):
        return False
    chosen = chosen_proposals(experiment, folder, past)
    if not chosen:
        return True
    replicated: dict[str, set[tuple[int, int]]] = {}
    for trial_folder in folder.trial_folders():
        record = read_record(folder, trial_folder.hash)
        of = None if record is None or record.search is None else record.search.replicate_of
        if record is not None and of is not None and record.state.has_ended:
            replicated.setdefault(of, set()).add((record.seed, record.fold))
    return all(
        replicated.get(of.trial.hash, set()) >= set(_other_replicates(experiment, of.trial)) for of in chosen
    )


def _other_replicates(experiment: Experiment, of: QueuedTrial) -> list[tuple[int, int]]:
    """Return (seed, fold) of the replicates that the search itself has not trained."""
    folds = min(experiment.num_folds, num_folds(TrialConfig.from_json(of.config)))
    pairs = [(seed, fold) for seed in experiment.seeds for fold in range(folds)]
    return [pair for pair in pairs if pair != (of.seed, of.fold)]
