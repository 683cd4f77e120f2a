"""Looks in a plan, also where every cell is tuned first."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sweep_fakes import DOCUMENT, FINGERPRINT, FakeEngine

from segbench.config.experiment import Experiment
from segbench.plan.history import note_complete
from segbench.plan.plan import plan_trials, present
from segbench.records import Role
from segbench.store.queue import Queue
from segbench.store.trials import read_trial
from segbench.sweep.studies import study_of
from segbench.trial.run import Resources, run_trial

TUNED_LOOKS = DOCUMENT + (
    "axes:\n  norm: [batch, none]\n"
    "tune:\n"
    "  space: {lr: {path: optimizer.lr, low: 1e-4, high: 1e-1, log: true}}\n"
    "  trials: 2\n"
    "seeds: {start: 2, max: 4}\n"
)


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch, fake_engine: FakeEngine) -> None:
    monkeypatch.setattr("segbench.plan.plan.fingerprint", lambda config, project: FINGERPRINT)


def run(experiment: Experiment) -> list[tuple[str | None, int]]:
    """Do what a supervisor does at the present look; return the role and seed of every trial that ran."""
    job = study_of(experiment).job()
    job.folder.root.mkdir(parents=True, exist_ok=True)
    source, ran = job.study.source(job, ahead=1), []
    for _ in range(100):
        source.advance()
        queue = Queue(experiment=experiment.name, trials=tuple(source.trials), closed=source.is_closed)
        queue.write(job.folder.queue)
        if source.is_closed and not source.open_trials():
            break
        trial = source.open_trials()[0]
        resources = Resources(device="cpu", threads=1)
        run_trial(trial, experiment.project, job.folder, resources, on_event=source.handle)
        ran.append((read_trial(job.folder.trial(trial.hash)).role, trial.seed))
    return ran


def test_a_tuned_design_tunes_once_and_its_winners_get_the_seeds_of_the_look(
    make_experiment: Callable[..., Experiment],
) -> None:
    experiment = make_experiment(TUNED_LOOKS)
    ran = run(experiment)
    assert sorted(seed for role, seed in ran if role == Role.TUNED) == [0, 0, 1, 1]
    assert sum(role == Role.TUNING for role, _ in ran) == 4
    plan = plan_trials(experiment)
    assert plan.is_finished
    note_complete(present(experiment, plan.folder), plan.folder, unresolved=1)
    assert not plan_trials(experiment).is_finished
    assert sorted(run(experiment)) == [(Role.TUNED, 2), (Role.TUNED, 2), (Role.TUNED, 3), (Role.TUNED, 3)]
    assert plan_trials(experiment).is_finished
