"""Records as the store's tests need them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segbench.records import EpochRecord, State, TrialRecord
from segbench.store.layout import ExperimentFolder, TrialFolder


@pytest.fixture
def experiment(tmp_path: Path) -> ExperimentFolder:
    return ExperimentFolder(tmp_path / "results" / "norms")


@pytest.fixture
def make_record() -> Callable[..., TrialRecord]:
    def make(name: str = "a", **changes: Any) -> TrialRecord:
        identity = hashlib.sha256(name.encode()).hexdigest()
        values: dict[str, Any] = {
            "hash": identity[:12],
            "identity": identity,
            "experiment": "norms",
            "levels": {"norm": "batch"},
            "config": {"optimizer": {"adam": {"lr": 0.1 + 0.2}}, "epochs": 3},
            "config_hash": "c" * 64,
            "seed": 0,
            "fold": 0,
            "data_fingerprint": "d" * 64,
            "state": State.COMPLETE,
        }
        return TrialRecord(**{**values, **changes})

    return make


@pytest.fixture
def make_epoch() -> Callable[..., EpochRecord]:
    def make(epoch: int = 1, **changes: Any) -> EpochRecord:
        values: dict[str, Any] = {
            "epoch": epoch,
            "lr": 1e-4,
            "train_loss": 1 / 3,
            "train_dice": 0.5,
            "val": {"loss": 0.25, "dice": 2 / 3},
            "epoch_time_s": 1.5,
            "images_per_s": 100.0,
            "peak_memory_mib": 512.0,
        }
        return EpochRecord(**{**values, **changes})

    return make


@pytest.fixture
def trial(experiment: ExperimentFolder, make_record: Callable[..., TrialRecord]) -> TrialFolder:
    folder = experiment.trial(make_record().hash)
    folder.path.mkdir(parents=True)
    return folder
