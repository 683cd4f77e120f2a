"""A small design on disk, changed by replacing lines of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from segbench import registry
from segbench.config.experiment import Experiment
from segbench.config.load import load_experiment
from segbench.plan.plan import Plan, plan_trials

TEXT = """
question: Does it matter?
baseline:
  dataset: {shapes: {size_px: 16, num_train: 8, num_val: 2, num_test: 2}}
  model: {unet: {width: 4, depth: 2}}
  loss: {bce: 1}
  optimizer: {adam: {lr: 1e-3}}
  batch_size: 2
  epochs: 10
seeds: 3
"""

MakePlan = Callable[..., Plan]


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Experiment]:
    """Write the experiment `exp`: `TEXT` with replacements, and what is to follow it."""

    def load(more: str = "axes: {norm: [batch, none]}\n", **changes: str) -> Experiment:
        text = TEXT
        for field, value in changes.items():
            lines = [line for line in text.splitlines() if line.strip().startswith(f"{field}:")]
            if lines:
                text = text.replace(lines[0], lines[0].partition(":")[0] + f": {value}")
            else:
                text = text.replace("baseline:\n", f"baseline:\n  {field}: {value}\n")
        file = tmp_path / "experiments" / "exp.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text + more)
        return load_experiment(file)

    return load


@pytest.fixture
def make_plan(load: Callable[..., Experiment]) -> MakePlan:
    return lambda *more, **changes: plan_trials(load(*more, **changes))


@pytest.fixture
def probe(make_plan: MakePlan) -> Callable[..., Any]:
    """Return what guards build of the levels of the design."""
    from segbench.guards.data import cells_of
    from segbench.guards.probes import Probes

    def probe(*more: str, **changes: str) -> Probes:
        plan = make_plan(*more, **changes)
        return Probes(plan.experiment, cells_of(plan))

    return probe


@pytest.fixture
def write_variant(tmp_path: Path) -> Iterator[Callable[[str, str, str], None]]:
    """Write a user's variant `axes/<axis>/<name>.py` beside the experiment."""

    def write(axis: str, name: str, source: str) -> None:
        file = tmp_path / "axes" / axis / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"from segbench.axes.{axis} import variant\n\n{source}")

    yield write
    registry.use_project(None)
