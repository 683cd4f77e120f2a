"""`segbench sweep`, `run`, `worker` and `dashboard`: what they refuse, before anything heavy is imported."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from segbench.cli.app import app
from segbench.cli.dashboard import HOST, dashboard
from segbench.cli.results import sync
from segbench.cli.run import run
from segbench.cli.sweep import sweep
from segbench.cli.worker import worker
from segbench.errors import ExperimentError, ResultsError

DESIGN = """\
question: Does it run?
baseline:
  dataset: {shapes: {num_train: 4, num_val: 2, num_test: 3, size_px: 32}}
  model: {unet: {width: 4, depth: 2}}
  norm: batch
  loss: {bce: 1}
  optimizer: {adam: {lr: 1e-3}}
  batch_size: 2
  epochs: 1
axes:
  norm: [batch, none]
seeds: 2
"""
SEARCH = DESIGN.replace(
    "axes:\n  norm: [batch, none]\n",
    "search:\n  space: {lr: {path: optimizer.lr, low: 1e-4, high: 1e-1, log: true}}\n  trials: 2\n",
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "exp.yaml").write_text(DESIGN)
    (tmp_path / "experiments" / "hunt.yaml").write_text(SEARCH)
    return tmp_path


def test_run_takes_one_cell(project: Path) -> None:
    with pytest.raises(ExperimentError) as error:
        run("exp", project=project)
    assert str(error.value) == (
        "exp: run takes one trial, and 2 cells are meant. Known: batch, none. Name it by --only AXIS=LEVEL."
    )


def test_run_does_not_take_a_search(project: Path) -> None:
    with pytest.raises(ExperimentError) as error:
        run("hunt", project=project)
    assert str(error.value) == "hunt: a search has no trials of its own to run. segbench sweep hunt."


def test_sweep_refuses_a_device_before_it_writes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ExperimentError, match="--device: there is no such device, got 'tpu'"):
        sweep("exp", device="tpu", project=project)
    assert "exp: 2 cells x 2 seeds, 4 trials: 4 to run, 0 done" in capsys.readouterr().out
    assert not (project / "results" / "exp").exists()


def test_sweep_says_what_set_changes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ExperimentError):
        sweep("exp", set_=["epochs=3"], only=["norm=none"], seeds="1", device="tpu", project=project)
    out = capsys.readouterr().out
    assert "--set epochs=3: these are other trials than those of the file" in out
    assert "exp: 1 cell x 1 seed, 1 trial: 1 to run, 0 done" in out


def test_worker_needs_a_queue(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segbench.trial.limits.StopRequest.install", lambda self: None)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "1" if name != "CUDA_VISIBLE_DEVICES" else "")
    with pytest.raises(ResultsError, match=r"no sweep has left a queue here. segbench sweep writes it."):
        worker("exp", device="cpu", threads=1, project=project)


def test_dashboard_needs_a_database(project: Path) -> None:
    with pytest.raises(ResultsError) as error:
        dashboard(project=project)
    assert str(error.value) == (
        f"{project / 'results' / 'optuna.journal'}: there is no database to show yet. "
        "segbench sweep EXPERIMENT writes one; `segbench results sync` writes it from records that are there."
    )


def test_dashboard_says_that_its_port_is_taken(project: Path) -> None:
    (project / "results").mkdir()
    (project / "results" / "optuna.journal").touch()
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ResultsError) as error:
            dashboard(port=port, project=project)
    assert str(error.value) == (
        f"--port: the port cannot be used (Address already in use), got {port}. "
        f"segbench dashboard --port {port + 1}."
    )


@pytest.mark.parametrize("storage", [None, "sqlite"])
def test_dashboard_serves_this_machine_only(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    storage: str | None,
) -> None:
    from optuna.storages import JournalStorage, RDBStorage

    served: dict[str, Any] = {}
    monkeypatch.setattr(
        "optuna_dashboard.run_server", lambda storage, **options: served.update(options, storage=storage)
    )
    (project / "results").mkdir()
    file = project / "results" / "optuna.journal" if storage is None else project / "shared.db"
    file.touch()
    dashboard(port=8123, project=project, storage=None if storage is None else f"sqlite:///{file}")
    assert isinstance(served["storage"], JournalStorage if storage is None else RDBStorage)
    assert (served["host"], served["port"]) == ("127.0.0.1", 8123)
    assert type(served["artifact_store"]).__name__ == "TrialPictures"
    out = capsys.readouterr().out
    assert "http://127.0.0.1:8123/" in out
    assert "ssh -L 8123:127.0.0.1:8123 " in out


def test_a_named_storage_that_does_not_answer_stops_a_sweep(project: Path) -> None:
    url = "postgresql://me:hush@127.0.0.1:1/studies"
    with pytest.raises(ResultsError) as error:
        sweep("exp", device="cpu", storage=url, project=project)
    assert str(error.value).startswith("postgresql+psycopg://me:***@127.0.0.1:1/studies: the storage cannot")
    assert "refused" in str(error.value)
    assert "hush" not in str(error.value)
    with pytest.raises(ResultsError, match="the storage cannot be used"):
        dashboard(storage=url, project=project)
    with pytest.raises(ResultsError, match="the storage cannot be used"):
        sync(storage=url, project=project)
    assert not (project / "results").exists()


def test_the_environment_names_the_storage(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGBENCH_STORAGE", "sqlite:////nowhere/studies.db")
    result = CliRunner().invoke(app, ["results", "sync", "--project", str(project)])
    assert str(result.exception) == "sqlite:////nowhere/studies.db: the folder of this file does not exist."
