"""A tuned design as it runs: one study per cell and repeat, then the winner over fresh seeds.

Everything that a later sweep needs stands in the records, so a killed one goes on as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from segbench.dashboard.shown import read_objectives
from segbench.plan.plan import find_reusable, replicates, reuse, tuning_trial, tunings_of
from segbench.records import Origin, SearchPlace, State
from segbench.store import trials
from segbench.store.damage import run_again
from segbench.store.layout import ExperimentFolder
from segbench.store.queue import QueuedTrial
from segbench.store.scan import scan
from segbench.store.tuning import CellTuning, TuningTrial
from segbench.sweep.search_records import Proposal, left_queue, read_record
from segbench.trial.events import EpochFinished, Event, TrialFinished, TrialRefused

if TYPE_CHECKING:
    from segbench.config.experiment import Experiment
    from segbench.plan.plan import Planner
    from segbench.sweep.searches import SearchStudy


class TuneRun:
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
        self.trials: list[QueuedTrial] = []
        """Tuning trials as they were proposed, and replicates: the queue."""
        self._experiment, self._folder, self._planner = experiment, folder, planner
        self._open: set[str] = set()
        left = left_queue(folder)
        ahead = max(1, -(-workers // max(1, len(tunings))))
        self._studies = [
            _Study(experiment, folder, tuning, planner, ahead=ahead)
            for tuning in self._with_queued(tunings, left)
        ]
        for study in self._studies:
            self._take(study.recall())
            if study.is_over:
                study.has_replicated = True
                self._take(self._replicates(study.tuning))

    @property
    def asked(self) -> Sequence[QueuedTrial]:
        """Everything asked for so far."""
        return self.trials

    @property
    def is_closed(self) -> bool:
        """Whether no trial will be added any more."""
        return all(study.has_replicated for study in self._studies)

    @property
    def num_expected(self) -> int:
        """Trials in all, as far as one can tell: a cell that cannot be tuned has no replicates."""
        return sum(s.tuning.num_trials + len(s.tuning.seeds) for s in self._studies)

    @property
    def num_ended(self) -> int:
        return len({t.hash for t in self.trials} - self._open)

    def open_trials(self) -> list[QueuedTrial]:
        """Return the trials of an earlier sweep that have not ended."""
        return list({t.hash: t for t in self.trials if t.hash in self._open}.values())

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
        """Take an event of a running trial."""
        for study in self._studies:
            study.handle(event)
        has_ended = isinstance(event, TrialFinished) and event.state.has_ended
        if has_ended or isinstance(event, TrialRefused):
            self._open.discard(event.hash)

    def _take(self, added: Sequence[QueuedTrial]) -> None:
        for trial in added:
            self.trials.append(trial)
            record = read_record(self._folder, trial.hash)
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
            record = read_record(self._folder, trial.hash)
            if record is not None and not record.is_tested:
                run_again(self._folder.trial(trial.hash), record, search=None)
        undone = {trial.identity for trial, _ in planned if not self._is_finished(trial.hash)}
        elsewhere = find_reusable(self._experiment.project, undone, beside=self._experiment.name)
        for trial, place in planned:
            if trial.identity in elsewhere:
                reuse(trial, elsewhere[trial.identity], self._folder, search=place)
        return [QueuedTrial.of(trial, search=place) for trial, place in planned]

    def _is_finished(self, trial_hash: str) -> bool:
        record = read_record(self._folder, trial_hash)
        return record is not None and record.state.is_finished


class _Study:
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
        self.tuning = tuning
        self.has_replicated = False
        self._experiment, self._folder, self._planner, self._ahead = experiment, folder, planner, ahead
        self._metric = tuning.objective.metric
        self._epochs = tuning.cell.config.epochs
        self._open: dict[str, list[int]] = {}
        self._queued: dict[int, QueuedTrial] = {}
        self._study: SearchStudy | None = None

    @property
    def is_over(self) -> bool:
        return len(self._queued) >= self.tuning.num_trials and not self._open

    def recall(self) -> list[QueuedTrial]:
        """Take up what was proposed before."""
        for number, trial in sorted(self.tuning.trials.items()):
            first = trial.numbers[0]
            self._queued[number] = tuning_trial(
                self._experiment, self.tuning, self._planner, first, trial.parameters
            )
        if len(self._queued) < self.tuning.num_trials or not self.tuning.is_over:
            for number, queued in self._queued.items():
                self._follow(number, queued)
        return list({trial.hash: trial for trial in self._queued.values()}.values())

    def propose(self) -> list[QueuedTrial]:
        """Ask for proposals until as many are open as may be, or the budget is spent."""
        added: list[QueuedTrial] = []
        while len(self._queued) < self.tuning.num_trials and len(self._open) < self._ahead:
            proposal = self._asked().ask()
            trial = tuning_trial(
                self._experiment, self.tuning, self._planner, proposal.number, proposal.parameters
            )
            earlier = [t for t in self._queued.values() if t.hash == trial.hash]
            self._queued[proposal.number] = trial = earlier[0] if earlier else trial
            self._follow(proposal.number, trial)
            added += [] if earlier else [trial]
        if self.is_over:
            self._read_again()
        return added

    def handle(self, event: Event) -> None:
        """Take an event of one of its trials."""
        if event.hash not in self._open:
            return
        if isinstance(event, EpochFinished):
            self._report(event.hash, {event.epoch: event.row[self._metric]})
        elif isinstance(event, TrialFinished) and event.state.has_ended:
            self._tell(event.hash, event.state, event.objective)
        elif isinstance(event, TrialRefused):
            self._tell(event.hash, State.FAILED, None)

    def _asked(self) -> SearchStudy:
        """Return the study, made when it is first needed: optuna is slow to import."""
        if self._study is None:
            from segbench.sweep.searches import SearchStudy

            tune, repeat = self._experiment.tune, self.tuning.repeat
            assert tune is not None
            search = tune.search_of(self.tuning.cell)
            self._study = SearchStudy(
                f"{self._experiment.name}/{repeat}",
                replace(search, sampler_seed=search.sampler_seed + repeat),
                direction=self.tuning.objective.direction,
                epochs=self._epochs,
                proposals=[self._proposal(n, trial) for n, trial in self.tuning.trials.items()],
            )
        return self._study

    def _proposal(self, number: int, trial: TuningTrial) -> Proposal:
        return Proposal(
            number=number,
            parameters=trial.parameters,
            state=trial.state if trial.has_ended else State.WAITING,
            objective=trial.objective,
            intermediate=read_objectives(self._folder.trial(trial.hash), self._metric),
        )

    def _follow(self, number: int, trial: QueuedTrial) -> None:
        """Watch a proposal; one that equals a trial that has ended is told at once."""
        self._open.setdefault(trial.hash, []).append(number)
        record = read_record(self._folder, trial.hash)
        if record is None:
            return
        self._report(trial.hash, read_objectives(self._folder.trial(trial.hash), self._metric))
        if record.state.has_ended:
            self._folder.trial(trial.hash).stop_request.unlink(missing_ok=True)
            self._tell(trial.hash, record.state, record.objective)

    def _report(self, trial_hash: str, objectives: Mapping[int, float]) -> None:
        study = self._asked()
        for epoch, value in objectives.items():
            wants_stop = [study.report(number, epoch, value) for number in self._open[trial_hash]]
            if all(wants_stop) and epoch < self._epochs:
                self._folder.trial(trial_hash).stop_request.touch()

    def _tell(self, trial_hash: str, state: State, objective: float | None) -> None:
        numbers = self._open.pop(trial_hash)
        for number in numbers:
            self._asked().tell(number, state, objective)
        self._note(trial_hash, numbers)

    def _note(self, trial_hash: str, numbers: Sequence[int]) -> None:
        """Have a record say for which proposals it stands, where it does not say so yet."""
        record = read_record(self._folder, trial_hash)
        if record is None:
            return
        queued = next(trial for trial in self._queued.values() if trial.hash == trial_hash)
        asked = queued.search
        assert asked is not None
        known = record.search.numbers if record.search is not None and _is_same(record.search, asked) else ()
        search = asked.standing_for(dict.fromkeys([*known, *numbers], Origin()))
        if search == record.search:
            return
        # Where somebody holds it, the next sweep asks for the same again, and writes it.
        trials.rewrite_if_free(self._folder.trial(trial_hash), replace(record, search=search))

    def _read_again(self) -> None:
        """Take the outcome of the study from the records, as every later plan will."""
        found = {}
        for number, queued in self._queued.items():
            record = read_record(self._folder, queued.hash)
            trial = TuningTrial.of_queued(queued) if record is None else TuningTrial.of_record(record)
            found[number] = trial
        self.tuning = replace(self.tuning, trials=found)


def _is_same(search: SearchPlace, other: SearchPlace) -> bool:
    keys = ("role", "cell", "repeat", "number", "space")
    return all(getattr(search, key) == getattr(other, key) for key in keys)
