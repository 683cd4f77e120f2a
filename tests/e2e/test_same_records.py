"""The records of a sweep depend neither on order nor on who trains what; a finished sweep says so at once."""

from __future__ import annotations

import gzip
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from chaos.harness import SMALL, Project
from command_line import segbench_

from segbench.quantities import METRICS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The decoded cache, shared so that every sweep finds it made."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Project:
    """A project whose four trials two workers have trained."""
    project = Project(tmp_path_factory.mktemp("swept"), data, SMALL)
    done = project.sweep()
    assert done.returncode == 0, done.stderr
    assert "finished: 4 complete." in done.stdout
    return project


@pytest.fixture(scope="module")
def records(swept: Project) -> dict[str, Any]:
    return swept.records()


def test_the_experiment_tells_its_trials_apart(records: dict[str, Any]) -> None:
    """Equal numbers everywhere would make every comparison pass."""
    curves = {str(v) for k, v in records.items() if k.endswith("epochs.csv")}
    images = {v for k, v in records.items() if k.endswith("images.csv.gz")}
    num_values = sum(metric.is_per_image for metric in METRICS.values()) + 1  # and dice at the last weights
    assert len(curves) == 4
    assert len(images) == 4
    for key, value in records.items():
        if key.endswith("epochs.csv"):
            assert len(value) == 4
        if key.endswith("images.csv.gz"):
            assert gzip.decompress(value).count(b"\n") == 1 + 8 * num_values


def test_another_order_in_one_warm_worker_leaves_the_same_records(
    tmp_path: Path, data: Path, records: dict[str, Any]
) -> None:
    text = SMALL.replace("[batch, none]", "[none, batch]").replace("seeds: 2", "seeds: [1, 0]")
    project = Project(tmp_path / "reversed", data, text)
    done = project.sweep(workers=1)
    assert done.returncode == 0, done.stderr
    found = project.records()
    assert found.pop("index.csv") != records["index.csv"]
    assert found == {k: v for k, v in records.items() if k != "index.csv"}


def test_a_finished_sweep_says_so_at_once(swept: Project) -> None:
    started = time.monotonic()
    again: subprocess.CompletedProcess[str] = segbench_(
        swept.root, "sweep", "tiny", env=swept.environment(), python=("-X", "importtime")
    )
    took_s = time.monotonic() - started
    assert again.returncode == 0, again.stderr
    assert "tiny is finished: 4 complete." in again.stdout
    assert "segbench report tiny" in again.stdout
    imported = {line.rpartition("|")[2].strip() for line in again.stderr.splitlines()}
    assert "segbench.sweep.launch" in imported
    assert not imported & {"torch", "optuna", "albumentations", "pandas"}
    assert took_s < 5  # 0.6 s on an idle machine; a loaded one gets room
