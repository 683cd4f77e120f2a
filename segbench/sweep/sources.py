"""Where the trials of a sweep come from: a design's list, a search, the tunings of a design's cells.

What a search or a tuning knows it reads from the records, so a killed sweep goes on as if it had never
stopped.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from segbench.config.expand import apply_parameters, search_space
from segbench.config.experiment import Cell, Experiment, PlannedTrial
from segbench.plan.plan import find_reusable, replicates, reuse, tuning_trial, tunings_of
from segbench.records import Origin, SearchPlace, State, TrialRecord
from segbench.store import trials
from segbench.store.damage import run_again
from segbench.store.layout import ExperimentFolder
from segbench.store.queue import QueuedTrial
from segbench.store.scan import scan
from segbench.store.tuning import CellTuning, TuningTrial
from segbench.sweep.search import (
    PastProposal,
    Proposal,
    chosen_proposals,
    left_queue,
    note_proposals,
    other_replicates,
    read_known,
    read_past,
)
from segbench.trial.events import EpochFinished, Event, TrialFinished, TrialRefused
from segbench.trial.record import measure_trial, read_column
from segbench.trial.run import is_wrongly_refused, limits_of

if TYPE_CHECKING:
    from segbench.plan.plan import Planner
    from segbench.sweep.searches import ProposalStudy


class TrialSource(ABC):
    """What the supervisor asks for trials, and tells what became of them.

    A design knows all of its trials before it starts (`FixedTrials`). A search asks for more as others end.
    """

    asked: Sequence[QueuedTrial]
    """Everything asked for so far, in order: what the dashboard shows."""

    @property
    def trials(self) -> Sequence[QueuedTrial]:
        """The queue: what is to be run, in order; what has ended may be left out."""
        return self.asked

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether no trial will be added any more."""

    @property
    @abstractmethod
    def num_expected(self) -> int:
        """Trials in all, as far as one can tell."""

    @property
    def num_ended(self) -> int:
        """Trials that need no worker any more."""
        return len({trial.hash for trial in self.asked if not self._is_open(trial.hash)})

    def open_trials(self) -> list[QueuedTrial]:
        """Return the trials that are to be run and were asked for before this sweep began."""
        return list({trial.hash: trial for trial in self.asked if self._is_open(trial.hash)}.values())

    @abstractmethod
    def advance(self) -> list[QueuedTrial]:
        """Return the trials to add to the queue now."""

    @abstractmethod
    def handle(self, event: Event) -> None:
        """Take an event of a running trial."""

    @abstractmethod
    def _is_open(self, trial_hash: str) -> bool:
        """Whether a trial that was asked for has not ended."""


class FixedTrials(TrialSource):
    """The trials of a design.

    Args:
        trials: What is to be run, in order; nothing of it has ended.
        num_ended: Trials of the design that need no worker any more.
        num_expected: Trials in all; None: these and those that have ended.
    """

    is_closed = True
    num_expected = num_ended = 0

    def __init__(
        self, trials: Sequence[QueuedTrial], *, num_ended: int = 0, num_expected: int | None = None
    ) -> None:
        self.asked = tuple(trials)
        self.num_ended = num_ended
        self.num_expected = len(self.asked) + num_ended if num_expected is None else num_expected

    def advance(self) -> list[QueuedTrial]:
        return []

    def handle(self, event: Event) -> None:
        pass

    def _is_open(self, trial_hash: str) -> bool:
        return True


class Proposals(ABC):
    """The proposals of one study that have not ended: reported, stopped where they are pruned, and told.

    Args:
        folder: Where their records are.
        metric: The objective.
        epochs: Of a whole trial.
    """

    def __init__(self, folder: ExperimentFolder, metric: str, epochs: int) -> None:
        self.open: dict[str, dict[int, Origin]] = {}
        """Hash -> the proposals that it stands for, with their origins."""
        self.unnoted: set[str] = set()
        """Ended trials whose records do not hold all of their proposals yet."""
        self._folder, self._metric, self._epochs = folder, metric, epochs

    @abstractmethod
    def study(self) -> ProposalStudy:
        """Return the study."""

    def measured(self, trial_hash: str) -> dict[str, float]:
        """Return a trial's goals and constraints: metric -> value."""
        return {}

    def objectives(self, trial_hash: str) -> Mapping[int, float]:
        """Return the objective by epoch, which only pruners ask for."""
        return read_column(self._folder.trial(trial_hash), self._metric)

    @abstractmethod
    def place_of(self, trial_hash: str, origins: Mapping[int, Origin]) -> SearchPlace:
        """Return what the record of a trial is to say, if it says nothing of this study yet."""

    def handle(self, event: Event) -> None:
        """Take an event of a running proposal; those of other trials are passed over."""
        if event.hash not in self.open:
            return
        if isinstance(event, EpochFinished):
            self._report(event.hash, {event.epoch: event.row[self._metric]})
        elif isinstance(event, TrialFinished) and event.state.has_ended:
            self._tell(event.hash, event.state, event.objective)
        elif isinstance(event, TrialRefused):
            self._tell(event.hash, State.FAILED, None)

    def follow(self, number: int, trial: QueuedTrial, origin: Origin) -> None:
        """Watch a proposal; one that equals a trial that has ended is told at once."""
        self.open.setdefault(trial.hash, {})[number] = origin
        record = trials.peek_trial(self._folder.trial(trial.hash))
        if record is None:
            return
        self._report(trial.hash, self.objectives(trial.hash))
        if record.state.has_ended:
            self._folder.trial(trial.hash).stop_request.unlink(missing_ok=True)
            self._tell(trial.hash, record.state, record.objective)

    def _report(self, trial_hash: str, objectives: Mapping[int, float]) -> None:
        for epoch, value in objectives.items():
            wants_stop = [self.study().report(number, epoch, value) for number in self.open[trial_hash]]
            if all(wants_stop) and epoch < self._epochs:
                self._folder.trial(trial_hash).stop_request.touch()

    def _tell(self, trial_hash: str, state: State, objective: float | None) -> None:
        origins, measured = self.open.pop(trial_hash), self.measured(trial_hash)
        for number in origins:
            self.study().tell(number, state, objective, measured)
        if not note_proposals(self._folder, trial_hash, origins, self.place_of(trial_hash, origins)):
            self.unnoted.add(trial_hash)


class SearchRun(Proposals, TrialSource):
    """Drives a search: asks ahead, tells what became of proposals, stops the pruned, then replicates the
    best.

    Proposals use the first seed. When the last one has ended, the best configuration (with several goals:
    points of the Pareto front) is trained with the other seeds (and folds), so that what the report says of
    it does not rest on the seed that chose it.

    Args:
        experiment: One with a `search`.
        folder: Where its records are.
        plan: (cell, seed, fold) -> the trial with its identity.
        ahead: Proposals that may be open at a time: one per worker.

    Raises:
        ExperimentError: A search that is to warm this one has left nothing.
    """

    is_closed = False

    def __init__(
        self,
        experiment: Experiment,
        folder: ExperimentFolder,
        plan: Callable[[Cell, int, int], PlannedTrial],
        *,
        ahead: int,
    ) -> None:
        from segbench.sweep.searches import ProposalStudy

        baseline = experiment.baseline
        super().__init__(folder, baseline.objective.metric, baseline.epochs)
        assert experiment.search is not None
        self._experiment, self._search = experiment, experiment.search
        self._plan, self._ahead = plan, ahead
        self._space = search_space(self._search)
        self.asked: list[QueuedTrial] = []
        """What was proposed so far, by number, then the replicates."""
        self._replicated: list[QueuedTrial] = []
        past = [self._reopened(proposal) for proposal in read_past(folder, self._space)]
        self._study = ProposalStudy(
            experiment.name,
            self._search,
            direction=baseline.objective.direction,
            epochs=baseline.epochs,
            proposals=[self._proposal(proposal) for proposal in past],
            known=read_known(experiment),
        )
        for proposal in past:
            self.asked.append(proposal.trial)
            if not self._is_settled(proposal):
                self.follow(proposal.number, proposal.trial, proposal.origin)

    @property
    def trials(self) -> list[QueuedTrial]:
        """The queue: proposals that no record holds for good yet, then the replicates.

        Of thousands of proposals few are open, and the queue is written with each new one.
        """
        waiting = [t for t in self.asked if t.hash in self.open or t.hash in self.unnoted]
        return [*waiting, *self._replicated]

    @property
    def num_expected(self) -> int:
        """Trials of the whole search, as far as one can tell: proposals may repeat each other."""
        others = len(self._experiment.seeds) * self._experiment.num_folds - 1
        return self._search.num_trials + self._search.num_replicated * others

    def advance(self) -> list[QueuedTrial]:
        """Return the trials to add to the queue now: further proposals, or the replicates."""
        added: list[QueuedTrial] = []
        while self._study.num_proposals < self._search.num_trials and len(self.open) < self._ahead:
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
            self.asked.append(trial)
            self.follow(proposal.number, trial, proposal.origin)
        if self._study.num_proposals >= self._search.num_trials and not self.open and not self.is_closed:
            self.is_closed = True
            self._replicated = self._replicates()
            self.asked += self._replicated
            added += self._replicated
        return added

    def study(self) -> ProposalStudy:
        return self._study

    def measured(self, trial_hash: str) -> dict[str, float]:
        record = trials.peek_trial(self._folder.trial(trial_hash)) if self._search.measures else None
        return self._measured(record) if record is not None else {}

    def objectives(self, trial_hash: str) -> Mapping[int, float]:
        return super().objectives(trial_hash) if self._search.pruner != "none" else {}

    def place_of(self, trial_hash: str, origins: Mapping[int, Origin]) -> SearchPlace:
        asked = next(t.search for t in reversed(self.asked) if t.hash == trial_hash)
        assert asked is not None
        first, parameters = min(origins), dict(asked.parameters)
        return SearchPlace(number=first, origin=origins[first], parameters=parameters, space=self._space)

    def _is_open(self, trial_hash: str) -> bool:
        return trial_hash in self.open

    def _measured(self, record: TrialRecord) -> dict[str, float]:
        return measure_trial(record, self._folder.trial(record.hash), self._search.measures)

    def _is_settled(self, proposal: PastProposal) -> bool:
        """Whether a proposal has ended, and its record says that it stands for it."""
        found = proposal.record.search if proposal.record is not None else None
        is_noted = found is not None and found.space == self._space and proposal.number in found.numbers
        return proposal.has_ended and is_noted

    def _proposal(self, past: PastProposal) -> Proposal:
        record = past.record
        known = Proposal(number=past.number, parameters=past.parameters, origin=past.origin)
        if record is None:
            return known
        return replace(
            known,
            state=record.state if record.state.has_ended else State.WAITING,
            objective=record.objective,
            intermediate=self.objectives(past.trial.hash),
            measured=self._measured(record) if self._search.measures else {},
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
            for seed, fold in other_replicates(self._experiment, of.trial)
        ]

    def _queued(self, place: SearchPlace, seed: int, fold: int) -> QueuedTrial:
        cell = apply_parameters(self._experiment, place.parameters)
        return QueuedTrial.of(self._plan(cell, seed, fold), search=place)


class TuneRun(TrialSource):
    """Drives the studies of all cells side by side, and queues a cell's replicates when its own has ended.

    Proposal k of a cell is a function of the sampler's seed, the repeat, k, and what the study was told
    before; the seed is the same for all cells, so arms are first tried at the same settings. With no more
    workers than studies each study has one open proposal at a time: then the whole tuning is reproducible,
    and a killed one goes on alike.

    Args:
        experiment: One with `tune`.
        folder: Where its records are.
        tunings: What is to be tuned, with the seeds that its winners are trained with.
        planner: Gives trials their identity.
        workers: Trials that can run at a time.
    """

    def __init__(
        self,
        experiment: Experiment,
        folder: ExperimentFolder,
        tunings: Sequence[CellTuning],
        planner: Planner,
        *,
        workers: int,
    ) -> None:
        self.asked: list[QueuedTrial] = []
        """Tuning trials as they were proposed, and replicates: the queue."""
        self._experiment, self._folder, self._planner = experiment, folder, planner
        self._open: set[str] = set()
        ahead = max(1, -(-workers // max(1, len(tunings))))
        self._studies = [
            _CellStudy(experiment, folder, tuning, planner, ahead=ahead)
            for tuning in self._with_queued(tunings, left_queue(folder))
        ]
        for study in self._studies:
            self._take(study.recall())
            if study.is_over:
                study.has_replicated = True
                self._take(self._replicates(study.tuning))

    @property
    def is_closed(self) -> bool:
        return all(study.has_replicated for study in self._studies)

    @property
    def num_expected(self) -> int:
        """Trials in all, as far as one can tell: a cell that cannot be tuned has no replicates."""
        return sum(s.tuning.num_trials + len(s.tuning.seeds) for s in self._studies)

    def advance(self) -> list[QueuedTrial]:
        """Return the trials to add to the queue now: further proposals, or replicates of a winner."""
        added: list[QueuedTrial] = []
        for study in self._studies:
            if not study.has_replicated:
                added += study.propose()
            if not study.has_replicated and study.is_over:
                study.has_replicated = True
                added += self._replicates(study.tuning)
        self._take(added)
        return added

    def handle(self, event: Event) -> None:
        for study in self._studies:
            study.handle(event)
        has_ended = isinstance(event, TrialFinished) and event.state.has_ended
        if has_ended or isinstance(event, TrialRefused):
            self._open.discard(event.hash)

    def _is_open(self, trial_hash: str) -> bool:
        return trial_hash in self._open

    def _take(self, added: Sequence[QueuedTrial]) -> None:
        for trial in added:
            self.asked.append(trial)
            record = trials.peek_trial(self._folder.trial(trial.hash))
            if record is None or not record.state.has_ended:
                self._open.add(trial.hash)

    def _with_queued(
        self, tunings: Sequence[CellTuning], left: Sequence[QueuedTrial]
    ) -> tuple[CellTuning, ...]:
        """Read the records again, and the proposals in a queue left behind that have none yet."""
        records = scan(self._folder).records
        waiting = [t for t in left if not t.is_tested and t.hash not in records]
        trials_ = [*map(TuningTrial.of_record, records.values()), *map(TuningTrial.of_queued, waiting)]
        found = tunings_of(self._experiment, trials_, self._planner)
        asked = {(t.cell.config_hash, t.repeat): t.seeds for t in tunings}
        return tuple(
            replace(tuning, seeds=asked[tuning.cell.config_hash, tuning.repeat])
            for tuning in found
            if (tuning.cell.config_hash, tuning.repeat) in asked
        )

    def _replicates(self, tuning: CellTuning) -> list[QueuedTrial]:
        """Return the replicates of a winner; those that another experiment has trained are copied in."""
        planned = replicates(self._experiment, tuning, self._planner)
        for trial, _ in planned:
            record = trials.peek_trial(self._folder.trial(trial.hash))
            if record is not None and not record.is_tested:
                run_again(self._folder.trial(trial.hash), record, search=None)
        records = [trials.peek_trial(self._folder.trial(trial.hash)) for trial, _ in planned]
        finished = {record.identity for record in records if record is not None and record.state.is_finished}
        undone = {trial.identity for trial, _ in planned} - finished
        elsewhere = find_reusable(self._experiment.project, undone, beside=self._experiment.name)
        for trial, place in planned:
            if trial.identity in elsewhere:
                reuse(trial, elsewhere[trial.identity], self._folder, search=place)
        return [QueuedTrial.of(trial, search=place) for trial, place in planned]


class _CellStudy(Proposals):
    """The tuning of one cell in one repeat."""

    def __init__(
        self,
        experiment: Experiment,
        folder: ExperimentFolder,
        tuning: CellTuning,
        planner: Planner,
        *,
        ahead: int,
    ) -> None:
        super().__init__(folder, tuning.objective.metric, tuning.cell.config.epochs)
        self.tuning = tuning
        self.has_replicated = False
        self._experiment, self._planner, self._ahead = experiment, planner, ahead
        self._queued: dict[int, QueuedTrial] = {}
        self._study: ProposalStudy | None = None

    @property
    def is_over(self) -> bool:
        return len(self._queued) >= self.tuning.num_trials and not self.open

    def recall(self) -> list[QueuedTrial]:
        """Take up what was proposed before."""
        for number, trial in sorted(self.tuning.trials.items()):
            self._queued[number] = self._trial(trial.numbers[0], trial.parameters)
        if len(self._queued) < self.tuning.num_trials or not self.tuning.is_over:
            for number, queued in self._queued.items():
                self.follow(number, queued, Origin())
        return list({trial.hash: trial for trial in self._queued.values()}.values())

    def propose(self) -> list[QueuedTrial]:
        """Ask for proposals until as many are open as may be, or the budget is spent."""
        added: list[QueuedTrial] = []
        while len(self._queued) < self.tuning.num_trials and len(self.open) < self._ahead:
            proposal = self.study().ask()
            trial = self._trial(proposal.number, proposal.parameters)
            earlier = [t for t in self._queued.values() if t.hash == trial.hash]
            self._queued[proposal.number] = trial = earlier[0] if earlier else trial
            self.follow(proposal.number, trial, Origin())
            added += [] if earlier else [trial]
        if self.is_over:
            self._read_again()
        return added

    def study(self) -> ProposalStudy:
        """Return the study, made when it is first needed: optuna is slow to import."""
        if self._study is None:
            from segbench.sweep.searches import ProposalStudy

            tune, repeat = self._experiment.tune, self.tuning.repeat
            assert tune is not None
            search = tune.search_of(self.tuning.cell)
            self._study = ProposalStudy(
                f"{self._experiment.name}/{repeat}",
                replace(search, sampler_seed=search.sampler_seed + repeat),
                direction=self.tuning.objective.direction,
                epochs=self._epochs,
                proposals=[self._proposal(n, trial) for n, trial in self.tuning.trials.items()],
            )
        return self._study

    def place_of(self, trial_hash: str, origins: Mapping[int, Origin]) -> SearchPlace:
        place = next(trial.search for trial in self._queued.values() if trial.hash == trial_hash)
        assert place is not None
        return place

    def _trial(self, number: int, parameters: Mapping[str, object]) -> QueuedTrial:
        return tuning_trial(self._experiment, self.tuning, self._planner, number, parameters)

    def _proposal(self, number: int, trial: TuningTrial) -> Proposal:
        return Proposal(
            number=number,
            parameters=trial.parameters,
            state=trial.state if trial.has_ended else State.WAITING,
            objective=trial.objective,
            intermediate=self.objectives(trial.hash),
        )

    def _read_again(self) -> None:
        """Take the outcome of the study from the records, as every later plan will."""
        found = {}
        for number, queued in self._queued.items():
            record = trials.peek_trial(self._folder.trial(queued.hash))
            trial = TuningTrial.of_queued(queued) if record is None else TuningTrial.of_record(record)
            found[number] = trial
        self.tuning = replace(self.tuning, trials=found)
