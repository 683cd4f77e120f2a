"""A search from file to records: goals, constraints, enqueued points, warm starts, more proposals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from sweep_fakes import DOCUMENT, FINGERPRINT, FakeEngine, FakeRun

from segbench.config.experiment import Experiment
from segbench.errors import ExperimentError
from segbench.plan.plan import Planner
from segbench.records import SearchPlace, State, TrialRecord
from segbench.store import trials
from segbench.store.layout import ExperimentFolder
from segbench.store.queue import Queue
from segbench.sweep.search import chosen_proposals, is_over, read_known, read_past
from segbench.sweep.sources import SearchRun
from segbench.trial.record import measure_trial
from segbench.trial.run import Resources, run_trial

SPACE = (
    "search:\n  space:\n    lr: {path: optimizer.lr, low: 1e-4, high: 1e-1, log: true}\n"
    "    width: {path: model.width, low: 2, high: 8}\n"
)
Make = Callable[..., Experiment]


@pytest.fixture(autouse=True)
def engine(fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """Networks of 100 parameters a channel; best at a learning rate of .01, and a little with the width."""

    def objective(config: Any, seed: int, epoch: int) -> float:
        lr, width = config.optimizer.knobs["lr"], config.model.knobs["width"]
        return round(epoch / 10 - 0.05 * abs(math.log10(lr) + 2) + width / 100, 6)

    fake_engine.objective = objective
    monkeypatch.setattr(FakeRun, "parameters", property(lambda self: 100 * self._config.model.knobs["width"]))
    return fake_engine


def start(experiment: Experiment, ahead: int = 1) -> SearchRun:
    folder = folder_of(experiment)
    folder.root.mkdir(parents=True, exist_ok=True)
    planner = Planner(experiment, fingerprint_of=lambda config: FINGERPRINT)
    return SearchRun(experiment, folder, planner.trial, ahead=ahead)


def folder_of(experiment: Experiment) -> ExperimentFolder:
    return ExperimentFolder(experiment.project.results / experiment.name)


def drive(experiment: Experiment, *, stop_after: int | None = None, ahead: int = 1) -> dict[str, TrialRecord]:
    """Train a search in this process, each start with the queue that the last one left."""
    search, folder = start(experiment, ahead), folder_of(experiment)
    waiting, trained = search.open_trials(), 0
    while True:
        waiting += search.advance()
        Queue(experiment=experiment.name, trials=tuple(search.trials), closed=search.is_closed).write(
            folder.queue
        )
        todo = list({t.hash: t for t in waiting}.values())
        if not todo or trained == stop_after:
            return {f.hash: trials.read_trial(f) for f in folder.trial_folders()}
        resources = Resources(device="cpu", threads=1)
        run_trial(todo[0], experiment.project, folder, resources, on_event=search.handle)
        waiting, trained = todo[1:], trained + 1


def place_of(record: TrialRecord) -> SearchPlace:
    assert record.search is not None
    return record.search


def proposals(records: dict[str, TrialRecord]) -> dict[int, TrialRecord]:
    return {r.search.number: r for r in records.values() if r.search and r.search.number is not None}


def test_several_goals_replicate_points_of_the_front(make_experiment: Make) -> None:
    text = (
        DOCUMENT
        + SPACE
        + "  sampler: random\n  trials: 10\n  goals: [val_dice, parameters]\n  replicate: 2\nseeds: 2\n"
    )
    experiment = make_experiment(text, "front")
    records = drive(experiment)
    assert is_over(experiment, folder_of(experiment))
    tried = proposals(records)
    assert sorted(tried) == list(range(10))
    points = {n: (r.objective, r.parameters) for n, r in tried.items()}
    front = [
        n
        for n, (value, size) in points.items()
        if not any(v >= value and s <= size and (v, s) != (value, size) for v, s in points.values())
    ]
    assert len(front) > 2
    ends = {max(front, key=lambda n: points[n][0]), min(front, key=lambda n: points[n][1])}
    replicates = [r for r in records.values() if r.search and r.search.replicate_of]
    assert {(r.search.replicate_of, r.seed) for r in replicates} == {(tried[n].hash, 1) for n in ends}  # type: ignore[union-attr]


def test_a_proposal_over_its_limit_is_refused_untrained(make_experiment: Make, engine: FakeEngine) -> None:
    text = (
        DOCUMENT
        + SPACE
        + "  sampler: random\n  trials: 6\n  constraints: [{metric: parameters, high: 400}]\nseeds: 1\n"
    )
    experiment = make_experiment(text, "bound")
    tried = proposals(drive(experiment))
    assert {r.state for r in tried.values()} == {State.PRUNED, State.COMPLETE}
    for record in tried.values():
        if (record.parameters or 0) > 400:
            assert (record.state, record.epochs_done, record.objective) == (State.PRUNED, 0, None)
            assert record.reason == (
                f"not trained: {record.parameters} parameters, and the search allows at most 400"
            )
        else:
            assert (record.state, record.epochs_done) == (State.COMPLETE, 4)
    num_refused = sum(r.state is State.PRUNED for r in tried.values())
    engine.events.clear()
    relaxed = make_experiment(text.replace("high: 400", "high: 900"), "bound")
    assert not is_over(relaxed, folder_of(relaxed))
    assert {r.state for r in proposals(drive(relaxed)).values()} == {State.COMPLETE}
    assert len([e for e in engine.events if e.startswith("build")]) == num_refused
    assert is_over(relaxed, folder_of(relaxed))


def test_samplers_that_learn_from_complete_proposals_train_what_breaks_a_bound(make_experiment: Make) -> None:
    text = (
        DOCUMENT
        + SPACE
        + (
            "  sampler: {nsga2: {population_size: 2}}\n  trials: 4\n"
            "  constraints: [{metric: parameters, high: 300}]\nseeds: 1\n"
        )
    )
    experiment = make_experiment(text, "trained")
    records = drive(experiment)
    assert {r.state for r in records.values()} == {State.COMPLETE}
    past = read_past(folder_of(experiment), start(experiment)._space)
    for best in chosen_proposals(experiment, folder_of(experiment), past):
        assert best.record is not None
        assert (best.record.parameters or 0) <= 300


def test_what_breaks_a_constraint_is_never_best(make_experiment: Make) -> None:
    text = (
        DOCUMENT
        + SPACE
        + "  sampler: random\n  trials: 6\n  constraints: [{metric: val_dice, high: 0.4}]\nseeds: 2\n"
    )
    experiment = make_experiment(text, "modest")
    records = drive(experiment)
    tried = proposals(records)
    kept = {n: r for n, r in tried.items() if (r.objective or 0) <= 0.4}
    assert 0 < len(kept) < 6
    best = max(kept.values(), key=lambda r: r.objective or 0)
    (replicate,) = [r for r in records.values() if r.search and r.search.replicate_of]
    assert replicate.search.replicate_of == best.hash  # type: ignore[union-attr]


def test_enqueued_points_count_and_are_marked(make_experiment: Make) -> None:
    text = DOCUMENT + SPACE + "  sampler: random\n  trials: 3\n  enqueue: [{width: 3, lr: 1e-2}]\nseeds: 1\n"
    tried = proposals(drive(make_experiment(text, "asked")))
    assert sorted(tried) == [0, 1, 2]
    assert tried[0].search is not None
    assert tried[0].search.parameters == {"lr": 0.01, "width": 3}
    assert [bool(place_of(tried[n]).origin.is_enqueued) for n in range(3)] == [True, False, False]


SAMPLERS = (
    "random",
    "{tpe: {n_startup_trials: 3}}",
    "{nsga2: {population_size: 3}}",
    "{cmaes: {popsize: 4}}",
    "qmc",
)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_killed_search_goes_on_from_its_records(make_experiment: Make, sampler: str) -> None:
    text = (
        DOCUMENT
        + SPACE
        + f"  sampler: {sampler}\n  trials: 9\n  enqueue: [{{width: 3, lr: 1e-2}}]\nseeds: 1\n"
    )
    expected = proposals(drive(make_experiment(text, "whole")))
    killed = make_experiment(text, "killed")
    for _ in range(6):
        drive(killed, stop_after=2)
    found = proposals(drive(killed))
    assert {n: place_of(r).parameters for n, r in found.items()} == {
        n: place_of(r).parameters for n, r in expected.items()
    }
    assert [place_of(r).origin.place for _, r in sorted(found.items())] == [
        place_of(r).origin.place for _, r in sorted(expected.items())
    ]


def test_more_proposals_simply_go_on(make_experiment: Make, engine: FakeEngine) -> None:
    text = DOCUMENT + SPACE + "  sampler: {tpe: {n_startup_trials: 2}}\n  trials: 3\nseeds: 2\n"
    few = proposals(drive(make_experiment(text, "grown")))
    engine.events.clear()
    more = make_experiment(text.replace("trials: 3", "trials: 6"), "grown")
    assert not is_over(more, folder_of(more))
    tried = proposals(drive(more))
    assert sorted(tried) == list(range(6))
    assert all(tried[n].hash == few[n].hash for n in few)
    straight = proposals(drive(make_experiment(text.replace("trials: 3", "trials: 6"), "straight")))
    assert [place_of(tried[n]).parameters for n in range(6)] == [
        place_of(straight[n]).parameters for n in range(6)
    ]


def test_a_warm_start_is_told_and_not_counted(make_experiment: Make) -> None:
    text = DOCUMENT + SPACE + "  sampler: {tpe: {n_startup_trials: 2}}\n  trials: 4\nseeds: 1\n"
    drive(make_experiment(text, "old"))
    cold = proposals(drive(make_experiment(text, "cold")))
    warm = make_experiment(text.replace("trials: 4\n", "trials: 4\n  warm_start: [old]\n"), "warm")
    assert [p.number for p in read_known(warm)] == [0, 1, 2, 3]
    tried = proposals(drive(warm))
    assert sorted(tried) == [0, 1, 2, 3]
    assert place_of(tried[0]).parameters != place_of(cold[0]).parameters


def test_a_warm_start_from_nothing_is_refused(make_experiment: Make) -> None:
    text = DOCUMENT + SPACE + "  trials: 4\nseeds: 1\n"
    drive(make_experiment(text, "old"))
    other = text.replace("width: {path", "wide: {path").replace(
        "trials: 4\n", "trials: 4\n  warm_start: [old, none]\n"
    )
    with pytest.raises(ExperimentError) as error:
        read_known(make_experiment(other, "warm"))
    rule = "has left no complete proposal over lr, wide with val_dice"
    assert error.value.problems == (
        f"warm: search.warm_start: old {rule}. segbench status old.",
        f"warm: search.warm_start: none {rule}. segbench status none.",
    )


def test_cmaes_is_warmed_by_ten_or_more(make_experiment: Make) -> None:
    text = DOCUMENT + SPACE + "  sampler: random\n  trials: 4\nseeds: 1\n"
    drive(make_experiment(text, "old"))
    warm = text.replace("sampler: random", "sampler: cmaes").replace(
        "trials: 4\n", "trials: 4\n  warm_start: [old]\n"
    )
    with pytest.raises(ExperimentError, match=r"cmaes starts from 10 proposals or more, got 4\.$"):
        read_known(make_experiment(warm, "warm"))


def test_goals_are_measured_as_reports_measure_them(make_experiment: Make) -> None:
    experiment = make_experiment(DOCUMENT + SPACE + "  sampler: random\n  trials: 1\nseeds: 1\n", "one")
    (record,) = drive(experiment).values()
    names = ("val_dice", "epoch_time_s", "peak_memory_mib", "parameters", "flops", "val_iou")
    assert measure_trial(record, folder_of(experiment).trial(record.hash), names) == {
        "val_dice": record.objective,
        "epoch_time_s": 1.5,
        "peak_memory_mib": 3.0,
        "parameters": record.parameters,
        "flops": 70,
    }
