"""A tuned design: equal budgets, fresh seeds, validation images only, and going on alike after a kill."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sweep_fakes import DOCUMENT, FINGERPRINT, FakeEngine, diverged

from segbench.config.experiment import Experiment
from segbench.dashboard.shown import Frame
from segbench.guards.design import budgets_are_equal
from segbench.plan.overview import look_over
from segbench.plan.plan import Planner, find_reusable, plan_trials, tuning_lines, tuning_size
from segbench.records import FailureKind, Role, State, TrialRecord
from segbench.store import trials
from segbench.store.index import read_index
from segbench.store.layout import ExperimentFolder
from segbench.store.queue import Queue
from segbench.sweep import launch
from segbench.sweep.search import read_past
from segbench.sweep.sources import TuneRun
from segbench.sweep.studies import study_of
from segbench.trial.run import Resources, run_trial

TUNED_DESIGN = DOCUMENT + (
    "axes:\n  norm: [batch, none]\n"
    "tune:\n"
    "  space: {lr: {path: optimizer.lr, low: 1e-4, high: 1e-1, log: true}}\n"
    "  sampler: {tpe: {seed: 3}}\n"
    "  trials: 4\n"
    "seeds: 2\n"
)

Make = Callable[..., Experiment]


class Killed(BaseException):
    """Ends everything at once, as SIGKILL would."""


def by_lr(config: Any, seed: int, epoch: int) -> float:
    """Best at a learning rate of 0.01 with batch norm, of 0.001 without; grows with the epoch."""
    best = -2 if config.norm.name == "batch" else -3
    return round(epoch / 10 - 0.05 * abs(math.log10(config.optimizer.knobs["lr"]) - best), 6)


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch, fake_engine: FakeEngine) -> None:
    monkeypatch.setattr("segbench.plan.plan.fingerprint", lambda config, project: FINGERPRINT)
    fake_engine.objective = by_lr


def folder_of(experiment: Experiment) -> ExperimentFolder:
    folder = ExperimentFolder(experiment.project.results / experiment.name)
    folder.root.mkdir(parents=True, exist_ok=True)
    return folder


def source_of(experiment: Experiment, *, workers: int = 1, **options: Any) -> TuneRun:
    job = study_of(experiment).job(**options)
    launch.copy_reused(job)
    launch.reset_failed(job)
    return TuneRun(experiment, job.folder, job.plan.tunings, Planner(experiment), workers=workers)


def run(experiment: Experiment, *, kill_after: int | None = None, **options: Any) -> list[str]:
    """Do what a supervisor with one worker does; return the hashes in the order in which they ended."""
    folder, ended = folder_of(experiment), []
    source = source_of(experiment, **options)
    for _ in range(1000):
        source.advance()
        Queue(experiment=folder.name, trials=tuple(source.trials), closed=source.is_closed).write(
            folder.queue
        )
        if source.is_closed and not source.open_trials():
            break
        trial = source.open_trials()[0]
        run_trial(
            trial,
            experiment.project,
            folder,
            Resources(device="cpu", threads=1),
            on_event=source.handle,
        )
        ended.append(trial.hash)
        if kill_after is not None and len(ended) >= kill_after:
            raise Killed
    folder.queue.unlink()
    launch.write_index(experiment)
    return ended


def records(experiment: Experiment, role: str | None = None) -> list[TrialRecord]:
    found = [trials.read_trial(f) for f in folder_of(experiment).trial_folders()]
    return [r for r in found if role is None or r.role == role]


def said(record: TrialRecord) -> dict[str, Any]:
    return {} if record.search is None else record.search.to_json()


def test_every_cell_gets_its_budget_and_its_winner_fresh_seeds(make_experiment: Make) -> None:
    experiment = make_experiment(TUNED_DESIGN)
    run(experiment)
    for cell in experiment.cells:
        tried = [r for r in records(experiment, Role.TUNING) if said(r)["cell"] == cell.config_hash]
        assert sorted(said(r)["number"] for r in tried) == [0, 1, 2, 3]
        assert {r.seed for r in tried} == {1000}
        assert {r.levels["norm"] for r in tried} == {cell.levels["norm"]}
        best = max(tried, key=lambda r: r.objective or 0)
        replicates = [r for r in records(experiment, Role.TUNED) if said(r)["cell"] == cell.config_hash]
        assert sorted(r.seed for r in replicates) == [0, 1]
        assert {said(r)["winner"] for r in replicates} == {best.hash}
        assert all(r.config == best.config for r in replicates)
        assert all(said(r)["parameters"] == said(best)["parameters"] for r in replicates)
    assert len(records(experiment)) == 12
    plan = plan_trials(experiment)
    assert plan.is_finished
    assert plan.orphans == ()
    assert plan.num_to_run == 0
    assert study_of(experiment).job().is_over
    assert run(experiment) == []


def test_arms_are_first_tried_at_the_same_settings(make_experiment: Make) -> None:
    experiment = make_experiment(TUNED_DESIGN)
    run(experiment)
    rates = Counter(said(r)["parameters"]["lr"] for r in records(experiment, Role.TUNING))
    assert set(rates.values()) == {2}


def test_tuning_never_sees_the_test_images(make_experiment: Make, fake_engine: FakeEngine) -> None:
    experiment = make_experiment(TUNED_DESIGN)
    folder = folder_of(experiment)
    run(experiment)
    for record in records(experiment, Role.TUNING):
        assert record.state is State.COMPLETE
        assert record.test == {}
        assert not record.is_tested
        assert not folder.trial(record.hash).images.exists()
        assert not folder.trial(record.hash).masks.exists()
    for record in records(experiment, Role.TUNED):
        assert record.is_tested
        assert folder.trial(record.hash).images.exists()
    assert fake_engine.events.count("evaluate test selected") == 4


def test_replicates_do_not_wait_for_other_cells(make_experiment: Make) -> None:
    experiment = make_experiment(TUNED_DESIGN)
    source = source_of(experiment)
    folder = folder_of(experiment)
    first = experiment.cells[0]
    for _ in range(4):
        source.advance()
        (trial,) = [t for t in source.open_trials() if t.levels == first.levels]
        run_trial(
            trial, experiment.project, folder, Resources(device="cpu", threads=1), on_event=source.handle
        )
    added = source.advance()
    assert [(t.seed, t.search.role, t.levels["norm"]) for t in added if t.search] == [
        (0, Role.TUNED, "batch"),
        (1, Role.TUNED, "batch"),
    ]
    assert not source.is_closed
    assert (source.num_expected, source.num_ended) == (12, 4)


@pytest.mark.parametrize("kills", [(1, 1, 1, 1), (3, 4), (7,), (9, 1)])
def test_a_killed_tuning_goes_on_alike(make_experiment: Make, kills: tuple[int, ...]) -> None:
    def kept(experiment: Experiment) -> dict[str, Any]:
        return {
            r.hash: (
                r.search,
                r.objective,
                r.test,
                r.selected_epoch,
                folder_of(experiment).trial(r.hash).epochs.read_bytes(),
            )
            for r in records(experiment)
        }

    undisturbed, disturbed = make_experiment(TUNED_DESIGN, "calm"), make_experiment(TUNED_DESIGN, "storm")
    run(undisturbed)
    expected = kept(undisturbed)
    shutil.rmtree(folder_of(undisturbed).root)  # nothing to copy in
    for after in kills:
        with pytest.raises(Killed):
            run(disturbed, kill_after=after)
    run(disturbed)
    assert kept(disturbed) == expected


def test_a_proposal_that_was_queued_and_not_begun_is_remembered(make_experiment: Make) -> None:
    experiment = make_experiment(TUNED_DESIGN)
    folder = folder_of(experiment)
    source = source_of(experiment, workers=8)
    asked = source.advance()
    assert len(asked) == 8, "four a study: as many as there are workers"
    Queue(experiment="exp", trials=tuple(source.trials), closed=False).write(folder.queue)
    again = source_of(experiment, workers=8)
    assert {t.hash for t in again.open_trials()} == {t.hash for t in asked}
    assert again.advance() == []


def test_a_record_that_is_gone_is_trained_again_alike(make_experiment: Make) -> None:
    experiment = make_experiment(TUNED_DESIGN)
    run(experiment)
    before = {r.hash for r in records(experiment)}
    lost = next(r for r in records(experiment, Role.TUNING) if said(r)["number"] == 1)
    shutil.rmtree(folder_of(experiment).trial(lost.hash).path)
    assert run(experiment) == [lost.hash]
    assert {r.hash for r in records(experiment)} == before


def test_growing_seeds_trains_the_recorded_winner(make_experiment: Make) -> None:
    run(make_experiment(TUNED_DESIGN))
    grown = make_experiment(TUNED_DESIGN.replace("seeds: 2", "seeds: 3"))
    source = source_of(grown)
    assert (source.num_ended, source.num_expected) == (12, 14)
    ended = run(grown)
    assert [(trials.read_trial(folder_of(grown).trial(h)).seed) for h in ended] == [2, 2]
    assert plan_trials(grown).is_finished


def test_more_trials_go_on_with_the_study(make_experiment: Make, fake_engine: FakeEngine) -> None:
    first = make_experiment(TUNED_DESIGN)
    run(first)
    before = {r.hash: said(r)["number"] for r in records(first, Role.TUNING)}
    old = {r.hash for r in records(first, Role.TUNED)}
    fake_engine.objective = lambda config, seed, epoch: by_lr(config, seed, epoch) + 1  # later ones win
    grown = make_experiment(TUNED_DESIGN.replace("trials: 4", "trials: 6"))
    plan = plan_trials(grown)
    assert not plan.is_finished
    assert plan.num_to_run == 4 + 4
    run(grown)
    after = {r.hash: said(r)["number"] for r in records(grown, Role.TUNING)}
    assert {h: after[h] for h in before} == before
    assert Counter(after.values()) == dict.fromkeys(range(6), 2)
    plan = plan_trials(grown)
    assert plan.is_finished
    assert {r.hash for r in plan.orphans} == old
    assert tuning_lines(plan)[-1] == (
        "4 replicates of an earlier winner, or of seeds no longer asked for: kept, not reported."
    )
    reported = {e.trial.hash for e in plan.entries}
    assert len(reported) == 4
    assert not reported & old


def test_repeats_tune_afresh_and_seeds_take_the_winners_in_turn(make_experiment: Make) -> None:
    text = TUNED_DESIGN.replace("  trials: 4\n", "  trials: 3\n  repeats: 2\n").replace(
        "seeds: 2", "seeds: 3"
    )
    experiment = make_experiment(text)
    run(experiment)
    tried = records(experiment, Role.TUNING)
    assert Counter((said(r)["cell"], said(r)["repeat"], r.seed) for r in tried) == {
        (cell.config_hash, repeat, 1000 + repeat): 3 for cell in experiment.cells for repeat in (0, 1)
    }
    rates = [{said(r)["parameters"]["lr"] for r in tried if said(r)["repeat"] == repeat} for repeat in (0, 1)]
    assert not rates[0] & rates[1]
    assert {(r.seed, said(r)["repeat"]) for r in records(experiment, Role.TUNED)} == {(0, 0), (1, 1), (2, 0)}
    assert len(records(experiment, Role.TUNED)) == 6


def test_a_cell_whose_trials_all_diverge_could_not_be_tuned(
    make_experiment: Make, fake_engine: FakeEngine
) -> None:
    def objective(config: Any, seed: int, epoch: int) -> float:
        if config.norm.name == "none":
            raise diverged(epoch)
        return by_lr(config, seed, epoch)

    fake_engine.objective = objective
    experiment = make_experiment(TUNED_DESIGN)
    run(experiment)
    assert {r.levels["norm"] for r in records(experiment, Role.TUNED)} == {"batch"}
    plan = plan_trials(experiment)
    assert study_of(experiment).job().is_over
    assert tuning_lines(plan)[2].split("  ")[0] == "none"
    assert tuning_lines(plan)[2].endswith("could not be tuned: of 4 tuning trials 4 diverged")
    assert list(budgets_are_equal.function(plan)) == [], "divergence is an outcome, not a lack of budget"


def test_failed_trials_make_budgets_unequal(make_experiment: Make, fake_engine: FakeEngine) -> None:
    bad: set[float] = set()

    def objective(config: Any, seed: int, epoch: int) -> float:
        if config.norm.name == "none" and seed == 1000 and len(bad) < 2:
            bad.add(config.optimizer.knobs["lr"])
        if config.norm.name == "none" and config.optimizer.knobs["lr"] in bad:
            raise ValueError("bug")
        return by_lr(config, seed, epoch)

    fake_engine.objective = objective
    experiment = make_experiment(TUNED_DESIGN)
    run(experiment)
    plan = plan_trials(experiment)
    (text,) = budgets_are_equal.function(plan)
    assert text == (
        "exp: tune: tuning trials that failed leave cells a smaller budget than the 4 trials of others: "
        "none 2. Each log.txt says why; `segbench sweep exp --retry failed` runs them again."
    )
    assert study_of(experiment).job().is_over
    job = study_of(experiment).job(retries_failed=True)
    assert not job.is_over
    assert len(job.tuning_to_retry) == 2
    fake_engine.objective = by_lr
    run(experiment, retries_failed=True)
    assert list(budgets_are_equal.function(plan_trials(experiment))) == []
    assert {str(r.state) for r in records(experiment)} == {"complete"}


def test_a_lost_tuning_trial_is_tried_by_every_sweep(make_experiment: Make) -> None:
    experiment = make_experiment(TUNED_DESIGN)
    run(experiment)
    record = records(experiment, Role.TUNING)[0]
    folder = folder_of(experiment).trial(record.hash)
    trials.write_trial(folder, replace(record, state=State.FAILED, failure=FailureKind.LOST))
    assert study_of(experiment).job().tuning_to_retry == (folder,)


def test_equal_proposals_share_a_trial(make_experiment: Make, fake_engine: FakeEngine) -> None:
    space = "{levels: {slow: 1e-3, fast: 1e-2}, path: optimizer.lr}"
    text = TUNED_DESIGN.replace("{path: optimizer.lr, low: 1e-4, high: 1e-1, log: true}", space)
    experiment = make_experiment(text.replace("trials: 4", "trials: 6"))
    run(experiment)
    tried = records(experiment, Role.TUNING)
    assert len(tried) == 4
    for cell in experiment.cells:
        numbers = [
            n
            for r in tried
            if said(r)["cell"] == cell.config_hash
            for n in (said(r)["number"], *said(r).get("repeats", ()))
        ]
        assert sorted(numbers) == list(range(6))
    assert plan_trials(experiment).is_finished
    winners = {r.levels["norm"]: said(r)["parameters"]["lr"] for r in records(experiment, Role.TUNED)}
    assert winners == {"batch": "fast", "none": "slow"}


def test_only_and_seeds_take_a_part(make_experiment: Make) -> None:
    experiment = make_experiment(TUNED_DESIGN)
    run(experiment, only=["norm=none"], seeds="0")
    assert Counter((r.levels["norm"], r.role, r.seed) for r in records(experiment)) == {
        ("none", Role.TUNING, 1000): 4,
        ("none", Role.TUNED, 0): 1,
    }
    assert study_of(experiment).job(only=["norm=none"], seeds="0").is_over
    assert not study_of(experiment).job().is_over


def test_the_index_tells_roles(make_experiment: Make) -> None:
    experiment = make_experiment(TUNED_DESIGN)
    run(experiment)
    rows = read_index(folder_of(experiment))
    assert Counter(row.role for row in rows) == {Role.TUNING: 8, Role.TUNED: 4}
    assert {row.hash for row in rows} == {r.hash for r in records(experiment)}
    assert folder_of(experiment).index.read_text().startswith("hash,norm,role,seed,fold,state,folder\n")


def test_a_tuning_record_stands_for_no_tested_trial(make_experiment: Make, fake_engine: FakeEngine) -> None:
    """A design that happens to ask for a tuning trial's configuration and seed gets it tested."""
    experiment = make_experiment(TUNED_DESIGN)
    run(experiment)
    winner = max(
        (r for r in records(experiment, Role.TUNING) if r.levels["norm"] == "batch"),
        key=lambda r: r.objective or 0,
    )
    lr = said(winner)["parameters"]["lr"]
    text = DOCUMENT.replace("{adam: {lr: 1e-3}}", f"{{adam: {{lr: {lr!r}}}}}") + "seeds: [1000]\n"
    other = make_experiment(text, "other")
    (entry,) = plan_trials(other).entries
    assert entry.trial.identity == winner.identity
    assert entry.reusable is None, "another experiment must not copy it"
    assert find_reusable(other.project, [winner.identity], beside="other") == {}

    here = make_experiment(text)
    (entry,) = plan_trials(here).entries
    assert entry.record is not None
    assert entry.state is State.WAITING
    job = study_of(here).job()
    assert len(job.to_run) == 1
    fake_engine.events.clear()
    record = run_trial(
        entry.queued(), here.project, folder_of(here), Resources(device="cpu", threads=1)
    )  # even where nobody reset it
    assert record is not None
    assert (record.state, record.role) == (State.COMPLETE, None)
    assert record.test["dice"] > 0
    assert not [e for e in fake_engine.events if e.startswith("epoch")], "only the test images were missing"
    assert plan_trials(here).entries[0].state is State.COMPLETE


def test_a_design_resets_what_was_only_tuned(make_experiment: Make) -> None:
    experiment = make_experiment(TUNED_DESIGN)
    run(experiment)
    winner = next(r for r in records(experiment, Role.TUNING) if r.levels["norm"] == "batch")
    lr = said(winner)["parameters"]["lr"]
    text = DOCUMENT.replace("{adam: {lr: 1e-3}}", f"{{adam: {{lr: {lr!r}}}}}") + "seeds: [1000]\n"
    here = make_experiment(text)
    launch.reset_failed(study_of(here).job())
    reset = trials.read_trial(folder_of(here).trial(winner.hash))
    assert (reset.state, reset.search) == (State.WAITING, None)


def test_replicates_that_another_experiment_trained_are_copied_in(
    make_experiment: Make, fake_engine: FakeEngine
) -> None:
    first, second = make_experiment(TUNED_DESIGN), make_experiment(TUNED_DESIGN, "again")
    run(first)
    fake_engine.events.clear()
    run(second)
    copied = records(second, Role.TUNED)
    assert all(r.reused_from for r in copied)
    assert {said(r)["cell"] for r in copied} == {c.config_hash for c in second.cells}
    assert "evaluate test selected" not in fake_engine.events
    assert plan_trials(second).is_finished


def test_another_space_begins_anew(make_experiment: Make) -> None:
    run(make_experiment(TUNED_DESIGN))
    moved = make_experiment(TUNED_DESIGN.replace("high: 1e-1", "high: 1.0"))
    plan = plan_trials(moved)
    assert all(not tuning.trials for tuning in plan.tunings)
    assert len(plan.orphans) == 12
    assert tuning_size(plan) == (
        "2 cells tuned over lr by tpe, 4 trials each; tuning 0/8, replicates of winners 0/4"
    )


def test_a_search_of_the_same_name_does_not_take_tuning_trials(make_experiment: Make) -> None:
    experiment = make_experiment(TUNED_DESIGN)
    run(experiment)
    space = said(records(experiment, Role.TUNING)[0])["space"]
    assert read_past(folder_of(experiment), space) == []


def test_status_has_a_row_for_tuning_and_one_for_replicates(make_experiment: Make) -> None:
    experiment = make_experiment(TUNED_DESIGN)
    with pytest.raises(Killed):
        run(experiment, kill_after=6)
    found = look_over(experiment)
    assert [(c.label, c.num_finished, c.num_trials) for c in found.cells] == [
        ("batch: tuning", 3, 4),
        ("batch: tuned", 0, 2),
        ("none: tuning", 3, 4),
        ("none: tuned", 0, 2),
    ]
    assert found.num_orphans == 0


def test_the_dashboard_shows_cell_and_settings(make_experiment: Make) -> None:
    experiment = make_experiment(TUNED_DESIGN)
    source = source_of(experiment)
    trial = source.advance()[0]
    shown = Frame.of(experiment, folder_of(experiment)).show(trial, None)
    assert shown.parameters == {"norm": "batch", "lr": trial.search.parameters["lr"]}  # type: ignore[union-attr]
    assert set(shown.space) == {"norm", "lr"}
    attributes = shown.attributes()
    assert (attributes["role"], attributes["proposal"], attributes["repeat"]) == (Role.TUNING, 0, 0)


def test_pruned_tuning_trials_count_as_tried(make_experiment: Make, fake_engine: FakeEngine) -> None:
    text = TUNED_DESIGN.replace("  trials: 4\n", "  trials: 7\n  pruner: {median: {warmup_epochs: 1}}\n")
    experiment = make_experiment(text)
    fake_engine.objective = lambda config, seed, epoch: (
        0.5 - 0.01 * len([e for e in fake_engine.events if e.startswith("build")]) + epoch / 1000
    )  # each is worse than all before it
    run(experiment)
    states = Counter(str(r.state) for r in records(experiment, Role.TUNING))
    assert states["pruned"] > 0
    assert sum(states.values()) == 14
    assert {str(r.state) for r in records(experiment, Role.TUNED)} == {"complete"}
    assert not list(folder_of(experiment).root.glob("trials/*/stop"))
