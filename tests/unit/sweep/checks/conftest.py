"""A small design on disk, changed by replacing lines of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from segbench.config.experiment import Experiment
from segbench.config.load import load_experiment
from segbench.sweep.plan import Plan, plan_trials

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
            (line,) = (line for line in text.splitlines() if line.strip().startswith(f"{field}:"))
            text = text.replace(line, line.partition(":")[0] + f": {value}")
        file = tmp_path / "experiments" / "exp.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text + more)
        return load_experiment(file)

    return load


@pytest.fixture
def make_plan(load: Callable[..., Experiment]) -> MakePlan:
    return lambda *more, **changes: plan_trials(load(*more, **changes))
