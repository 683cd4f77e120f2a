"""Records whose data set lay elsewhere when they ran."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from segbench.config.load import load_experiment
from segbench.config.trial import config_hash, identity
from segbench.store.match import match_trials
from segbench.store.results import Results

EXPERIMENT = """
question: Does it matter?
baseline:
  dataset: {folder: {images: PLACE/images, masks: PLACE/masks, size_px: 32}}
  split: {fraction: {val: 0.2, test: 0.2}}
  model: {unet: {width: 4, depth: 2}}
axes:
  norm: [batch, none]
seeds: 1
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    return tmp_path


def write(project: Path, place: str, extra: str = "") -> None:
    (project / "experiments" / "moved.yaml").write_text(EXPERIMENT.replace("PLACE", place) + extra)


def recorded(project: Path) -> Results:
    experiment = load_experiment("moved", start=project)
    rows = [
        {
            "trial": identity(cell.config, seed=0, fold=0, data_fingerprint="d")[:12],
            "config_hash": config_hash(cell.config),
            "data_fingerprint": "d",
            "seed": 0,
            "fold": 0,
            "finished": "2026-01-01T00:00:00+00:00",
            "folder": "f",
        }
        for cell in experiment.cells
    ]
    return Results(pd.DataFrame(rows), pd.DataFrame(), pd.DataFrame(), pd.DataFrame())


def test_moved_files_keep_their_trials(project: Path) -> None:
    write(project, "old")
    results = recorded(project)
    write(project, "new")
    matched = match_trials(results, load_experiment("moved", start=project))
    assert matched["cell"].tolist() == ["batch", "none"]
    assert matched["trial"].tolist() == results.trials["trial"].tolist()


def test_another_configuration_does_not_match(project: Path) -> None:
    write(project, "old")
    results = recorded(project)
    write(project, "new", "outcome: test_iou\nobjective: {metric: val_iou}\n")
    assert match_trials(results, load_experiment("moved", start=project)).empty
