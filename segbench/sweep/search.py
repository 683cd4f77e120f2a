"""What the records say of a search: proposals so far, what they measured, which of them are best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from segbench.config.expand import num_folds, search_space
from segbench.config.experiment import Experiment, Search
from segbench.config.trial import TrialConfig
from segbench.errors import ExperimentError, SegbenchError, message
from segbench.records import Origin, SearchPlace, State, TrialRecord
from segbench.store import trials
from segbench.store.layout import ExperimentFolder, ResultsFolder
from segbench.store.queue import Queue, QueuedTrial
from segbench.trial.record import measure_trial
from segbench.trial.run import is_wrongly_refused

LEAST_KNOWN_CMAES = 10
"""CMA-ES makes its first distribution from the best tenth of what it knows."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One configuration that a search asks for, and what became of it."""

    number: int
    parameters: Mapping[str, Any]
    state: State = State.WAITING
    objective: float | None = None
    intermediate: Mapping[int, float] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    """Goals and constraints: metric -> value; what was not measured is missing."""
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True, kw_only=True)
class PastProposal:
    """One proposal as its record holds it, or the queue where it has none yet."""

    number: int
    trial: QueuedTrial
    record: TrialRecord | None
    origin: Origin = field(default_factory=Origin)

    @property
    def has_ended(self) -> bool:
        return self.record is not None and self.record.state.has_ended

    @property
    def parameters(self) -> Mapping[str, Any]:
        return (self.trial.search or SearchPlace()).parameters


def read_past(folder: ExperimentFolder, space: Mapping[str, Any]) -> list[PastProposal]:
    """Return what a search over this space has proposed, by number; each record is read once.

    It stands in the records, and in a queue left behind for proposals that have none yet.
    """
    found: dict[int, PastProposal] = {}
    records: dict[str, TrialRecord | None] = {}
    for trial_folder in folder.trial_folders():
        record = records[trial_folder.hash] = trials.peek_trial(trial_folder)
        if record is None or record.search is None or record.search.space != space:
            continue
        if record.role is not None:
            continue  # a tuned design of this name stood here
        for number, origin in record.search.origins.items():
            found[number] = PastProposal(
                number=number, trial=_queued(record, number), record=record, origin=origin
            )
    for trial in left_queue(folder):
        search = trial.search
        if search is None or search.number is None or search.space != space or search.role is not None:
            continue
        if search.number not in found:
            found[search.number] = PastProposal(
                number=search.number,
                trial=trial,
                record=records.get(trial.hash),
                origin=search.origin,
            )
    return [found[number] for number in sorted(found)]


def chosen_proposals(
    experiment: Experiment, folder: ExperimentFolder, past: Sequence[PastProposal]
) -> list[PastProposal]:
    """Return the proposals that are trained with the other seeds.

    Of one goal the best, the first of equals; of several, points of the Pareto front, as many as the file
    asks for. Only complete proposals that keep every constraint count.
    """
    search = experiment.search
    assert search is not None
    objective = experiment.baseline.objective
    directions = [goal.direction for goal in search.goals] or [objective.direction]
    fit: dict[str, PastProposal] = {}
    values: list[list[float]] = []
    for proposal in past:
        if proposal.trial.hash in fit:
            continue
        point = _point(search, folder, proposal)
        if point is not None:
            fit[proposal.trial.hash] = proposal
            values.append(point)
    from segbench.stats.pareto import pareto_front, spread_out

    front = pareto_front(values, directions)
    kept = list(fit.values())
    return [kept[row] for row in spread_out(front, search.num_replicated)]


def _point(search: Search, folder: ExperimentFolder, proposal: PastProposal) -> list[float] | None:
    """Return a proposal's values of the goals; None where it is not complete or breaks a constraint."""
    record = proposal.record
    if record is None or record.state is not State.COMPLETE or record.objective is None:
        return None
    measured = measure_trial(record, folder.trial(record.hash), search.measures) if search.measures else {}
    if any(each.violation(measured.get(each.metric)) > 0 for each in search.constraints):
        return None
    values = [measured.get(goal.metric) for goal in search.goals] or [record.objective]
    known = [value for value in values if value is not None and math.isfinite(value)]
    return known if len(known) == len(values) else None


def read_known(experiment: Experiment) -> list[Proposal]:
    """Return the finished proposals of the searches that warm this one, in their order.

    A proposal counts that is complete, has a value within bounds for each parameter of this space and no
    other parameter, had the same objective, and holds every goal and constraint.

    Raises:
        ExperimentError: A search has left nothing that counts, or too little for the sampler.
    """
    search = experiment.search
    assert search is not None
    results = ResultsFolder(experiment.project.results)
    problems: list[str] = []
    known: list[Proposal] = []
    for name in search.warm_start:
        found = _known_of(results.experiment(name), experiment, search, first=len(known))
        if not found:
            rule = (
                f"search.warm_start: {name} has left no complete proposal over "
                f"{', '.join(p.name for p in search.parameters)} with {experiment.baseline.objective.metric}"
            )
            problems.append(message(experiment.name, rule, see=f"segbench status {name}"))
        known += found
    if search.sampler == "cmaes" and not problems and 0 < len(known) < LEAST_KNOWN_CMAES:
        rule = f"search.warm_start: cmaes starts from {LEAST_KNOWN_CMAES} proposals or more"
        problems.append(message(experiment.name, rule, got=len(known)))
    if problems:
        raise ExperimentError(problems)
    return known


def _known_of(
    folder: ExperimentFolder, experiment: Experiment, search: Search, *, first: int
) -> list[Proposal]:
    numbered: list[tuple[int, str, TrialRecord]] = []
    for record in filter(None, map(trials.peek_trial, folder.trial_folders())):
        place = record.search
        if record.state is not State.COMPLETE or place is None or place.number is None:
            continue
        if place.role is not None:
            continue  # of a tuned design: proposals of one cell of many
        metric = record.config["objective"]["metric"]
        is_alike = record.objective is not None and metric == experiment.baseline.objective.metric
        if is_alike and _is_within(search, place.parameters):
            numbered.append((place.number, record.hash, record))
    found: list[Proposal] = []
    for *_, record in sorted(numbered, key=lambda each: each[:2]):
        measured = measure_trial(record, folder.trial(record.hash), search.measures)
        if record.search is not None and all(name in measured for name in search.measures):
            found.append(
                Proposal(
                    number=first + len(found),
                    parameters={p.name: record.search.parameters[p.name] for p in search.parameters},
                    state=record.state,
                    objective=record.objective,
                    measured=measured,
                )
            )
    return found


def _is_within(search: Search, parameters: Mapping[str, Any]) -> bool:
    if parameters.keys() != {parameter.name for parameter in search.parameters}:
        return False
    for parameter in search.parameters:
        value = parameters[parameter.name]
        if parameter.levels:
            if value not in [level.label for level in parameter.levels]:
                return False
        elif isinstance(value, str) or not (parameter.low or 0.0) <= value <= (parameter.high or 0.0):
            return False
    return True


def note_proposals(
    folder: ExperimentFolder, trial_hash: str, origins: Mapping[int, Origin], place: SearchPlace
) -> bool:
    """Have a trial's record say for which proposals it stands, where it does not say so yet.

    A record holds the first in `search.number` and equal ones that came later in `search.repeats`.

    Args:
        folder: Where the record is.
        trial_hash: The trial's.
        origins: The proposals' numbers, each with how the search came to it.
        place: What a record says that stands for no proposal of this study yet.

    Returns:
        Whether the record says so now.
    """
    record = trials.peek_trial(folder.trial(trial_hash))
    if record is None:
        return False
    known = record.search
    is_same = known is not None and known.number is not None and _study_of(known) == _study_of(place)
    search = (known if known is not None and is_same else place).standing_for(origins)
    if search == known:
        return True
    # Where somebody holds it, the numbers stay in the queue, and the next sweep writes them.
    return trials.rewrite_if_free(folder.trial(trial_hash), replace(record, search=search))


def _study_of(place: SearchPlace) -> tuple[object, ...]:
    return place.role, place.cell, place.repeat, place.space


def _queued(record: TrialRecord, number: int) -> QueuedTrial:
    search = replace(record.search or SearchPlace(), number=number, repeats=(), repeated={})
    asked = {f.name: getattr(record, f.name) for f in fields(QueuedTrial) if f.name != "is_tested"}
    return QueuedTrial(**asked | {"search": search})


def left_queue(folder: ExperimentFolder) -> Sequence[QueuedTrial]:
    """Return the queue that an earlier sweep has left behind; empty where there is none."""
    try:
        return Queue.read(folder.queue).trials
    except SegbenchError:
        return ()


def is_over(experiment: Experiment, folder: ExperimentFolder) -> bool:
    """Whether every proposal and every replicate of the best has ended; asks no sampler."""
    search = experiment.search
    assert search is not None
    past = read_past(folder, search_space(search))
    if len(past) < search.num_trials or not all(proposal.has_ended for proposal in past):
        return False
    if any(is_wrongly_refused(search, proposal.record) for proposal in past):
        return False
    replicated = {
        (record.search.replicate_of, record.seed, record.fold)
        for trial_folder in folder.trial_folders()
        if (record := trials.peek_trial(trial_folder)) is not None
        and record.search is not None
        and record.state.has_ended
    }
    chosen = chosen_proposals(experiment, folder, past)
    asked = {(of.trial.hash, *pair) for of in chosen for pair in other_replicates(experiment, of.trial)}
    return asked <= replicated


def other_replicates(experiment: Experiment, of: QueuedTrial) -> list[tuple[int, int]]:
    """Return (seed, fold) of the replicates that the search itself has not trained."""
    folds = min(experiment.num_folds, num_folds(TrialConfig.from_json(of.config)))
    pairs = [(seed, fold) for seed in experiment.seeds for fold in range(folds)]
    return [pair for pair in pairs if pair != (of.seed, of.fold)]
