"""Settings of the optimisation that make no sense, alone or together, and what a user reads about them."""

# ruff: noqa: E501  (texts are easier to compare unbroken)

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from segbench.config.experiment import Experiment

HEAD: Final = "question: q\nbaseline:\n  dataset: {shapes: {size_px: 32}}\n"
"""Three lines; what follows starts at line 4, column 3."""

Problems = Callable[..., list[str]]

WARMUP: Final = "warmup_epochs of cosine must be fewer than the run's epochs (10), got {}. Shorten the warm-up, or raise epochs."
BATCH: Final = "cutmix needs a batch of at least 2, got 1. Raise batch_size, or write `mix: none`."

ALONE: Final = {
    "ema: 1": "4:8: ema must be less than 1, got 1.",
    "ema: 0": "4:8: ema must be greater than 0, got 0.",
    "ema: .nan": "4:8: ema must be a finite number, got nan.",
    "accumulate: 0": "4:15: accumulate must be greater than 0, got 0.",
    "accumulate: 1.5": "4:15: accumulate must be a whole number, got 1.5.",
    "schedule: {poly: 0}": "4:20: power must be greater than 0, got 0.",
    "schedule: {poly: {power: -1}}": "4:28: power must be greater than 0, got -1.",
    "schedule: {cosine: {warmup_epochs: -1}}": "4:38: warmup_epochs must be at least 0, got -1.",
    "schedule: {cosine: {warmup_start: 0}}": "4:37: warmup_start must be greater than 0, got 0.",
    "schedule: {one_cycle: {pct_start: 1}}": "4:37: pct_start must be less than 1, got 1.",
    "schedule: {one_cycle: {div_factor: 0.5}}": "4:38: div_factor must be at least 1, got 0.5.",
    "schedule: {one_cycle: {anneal: cosine}}": "4:34: anneal must be one of the known words, got 'cosine'. Did you mean 'cos'?",
    "schedule: {plateau: {factor: 1}}": "4:32: factor must be less than 1, got 1.",
    "schedule: {plateau: {patience: 0.5}}": "4:34: patience must be a whole number, got 0.5.",
    "mix: {cutmix: {alpha: 0}}": "4:25: alpha must be greater than 0, got 0.",
    "mix: {mixup: {p: 1.5}}": "4:20: p must be at most 1, got 1.5.",
    "optimizer: {rmsprop: {alpha: 1}}": "4:32: alpha must be less than 1, got 1.",
}

TOGETHER: Final = {
    "  epochs: 10\n  schedule: {cosine: {warmup_epochs: 10}}": f"5:13: {WARMUP.format(10.0)}",
    "  epochs: 20\n  schedule: {cosine: {warmup_epochs: 12}}\naxes: {epochs: [20, 10]}": f"6:21: {WARMUP.format(12.0)}",
    "  epochs: 10\n  schedule: cosine\naxes: {w: {path: schedule.warmup_epochs, levels: [0, 30]}}": f"6:54: {WARMUP.format(30.0)}",
    "  mix: cutmix\n  batch_size: 1": f"4:8: {BATCH}",
    "  mix: cutmix\naxes: {batch_size: [8, 1]}": f"5:24: {BATCH}",
    "  batch_size: 1\naxes: {mix: [none, cutmix]}": f"5:20: {BATCH}",
    "  mix: cutmix\nsearch: {trials: 2, space: {batch_size: {low: 1, high: 4}}}": f"5:47: {BATCH}",
    "  epochs: 10\nsearch: {trials: 2, space: {schedule: [{cosine: {warmup_epochs: 30}}]}}": f"5:40: {WARMUP.format(30.0)}",
    "  epochs: 10\n  schedule: cosine\nsearch: {trials: 2, space: {w: {path: schedule.warmup_epochs, low: 0, high: 30}}}": f"6:77: {WARMUP.format(30.0)}",
}


@pytest.mark.parametrize(("text", "problem"), ALONE.items(), ids=ALONE)
def test_values_out_of_range(problems_of: Problems, text: str, problem: str) -> None:
    assert problems_of(f"{HEAD}  {text}\n") == [problem]


@pytest.mark.parametrize(("text", "problem"), TOGETHER.items(), ids=TOGETHER)
def test_values_that_contradict_each_other(problems_of: Problems, text: str, problem: str) -> None:
    assert problems_of(f"{HEAD}{text}\n") == [problem]


def test_values_that_go_together(load: Callable[..., Experiment]) -> None:
    experiment = load(
        f"{HEAD}  batch_size: 1\n  epochs: 10\n  schedule: {{cosine: {{warmup_epochs: 9.5}}}}\n"
    )
    assert experiment.baseline.schedule.knobs == {"warmup_epochs": 9.5, "warmup_start": 0.01}
    assert load(f"{HEAD}  mix: mixup\n  batch_size: 2\n").baseline.mix.name == "mixup"
