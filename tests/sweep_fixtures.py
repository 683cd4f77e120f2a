"""Fixtures of the sweep's tests: a project with a small design, and a fake engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sweep_fakes import DESIGN, FINGERPRINT, FakeEngine, fake_data

from segbench.config.experiment import Experiment
from segbench.config.load import load_experiment
from segbench.plan.plan import plan_trials
from segbench.store.layout import ExperimentFolder
from segbench.store.queue import QueuedTrial


@pytest.fixture
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    engine = FakeEngine()
    monkeypatch.setattr("segbench.engine.protocol.build_run", engine.build)
    monkeypatch.setattr("segbench.trial.picking._prepare", lambda config, project, *, fold: fake_data())
    return engine


@pytest.fixture
def make_experiment(tmp_path: Path) -> Callable[..., Experiment]:
    def make(text: str = DESIGN, name: str = "exp") -> Experiment:
        file = tmp_path / "experiments" / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return load_experiment(file)

    return make


@pytest.fixture
def experiment(make_experiment: Callable[..., Experiment]) -> Experiment:
    return make_experiment()


@pytest.fixture
def folder(experiment: Experiment) -> ExperimentFolder:
    return ExperimentFolder(experiment.project.results / experiment.name)


@pytest.fixture
def queued(experiment: Experiment) -> list[QueuedTrial]:
    plan = plan_trials(experiment, fingerprint_of=lambda config: FINGERPRINT)
    return [QueuedTrial.of(entry.trial) for entry in plan.entries]
