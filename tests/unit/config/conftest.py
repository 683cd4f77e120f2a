from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from messages import said

from segbench import registry
from segbench.config.experiment import Experiment
from segbench.config.load import load_experiment
from segbench.errors import ExperimentError


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty project as the current folder, with a memory of its own."""
    root = tmp_path / "project"
    (root / "experiments").mkdir(parents=True)
    monkeypatch.chdir(root)
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "cache"))
    yield root
    registry.use_project(None)


@pytest.fixture
def write(project: Path) -> Callable[..., Path]:
    """Write an experiment file."""

    def write(text: str, name: str = "x") -> Path:
        file = project / "experiments" / f"{name}.yaml"
        file.write_text(dedent(text), encoding="utf-8")
        return file

    return write


@pytest.fixture
def load(write: Callable[..., Path]) -> Callable[..., Experiment]:
    """Write an experiment named x and load it."""

    def load(text: str, **options: Any) -> Experiment:
        write(text)
        return load_experiment("x", **options)

    return load


@pytest.fixture
def problems_of(load: Callable[..., Experiment]) -> Callable[..., list[str]]:
    """Load a wrong experiment and return what its problems say, each from `line:col:` on."""

    def problems_of(text: str, **options: Any) -> list[str]:
        with pytest.raises(ExperimentError) as caught:
            load(text, **options)
        return [said(problem).replace("experiments/x.yaml:", "") for problem in caught.value.problems]

    return problems_of
