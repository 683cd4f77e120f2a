from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segbench.config.project import Project
from segbench.config.trial import Choice, TrialConfig


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "experiments").mkdir()
    return Project(tmp_path)


@pytest.fixture
def config() -> Callable[..., TrialConfig]:
    """Make a configuration around a small generated data set."""

    def make(**changes: Any) -> TrialConfig:
        fields: dict[str, Any] = {
            "dataset": Choice.of("dataset", "shapes", size_px=32, num_train=13, num_val=3, num_test=4),
            "split": Choice.of("split", "course"),
            "input": Choice.of("input", "unit"),
            "model": Choice("unet"),
            "norm": Choice("batch"),
            "init": Choice("default"),
            "augment": Choice.of("augment", "flips"),
            "loss": (Choice("bce"),),
            "optimizer": Choice("adam"),
            "schedule": Choice("constant"),
            "grad_clip": None,
            "batch_size": 4,
            "epochs": 2,
            "precision": "fp32",
        }
        return TrialConfig(**{**fields, **changes})

    return make
