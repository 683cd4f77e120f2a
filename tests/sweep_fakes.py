"""A small design, and an engine that trains nothing but keeps every promise of the real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from segbench.engine.divergence import Diverged
from segbench.engine.passes import Evaluation
from segbench.records import EpochRecord
from segbench.samples import Sample

FINGERPRINT = "f" * 64
NUM_TEST = 3

DOCUMENT = """\
question: Does it run?
baseline:
  dataset: {shapes: {num_train: 4, num_val: 2, num_test: 3, size_px: 32}}
  model: {unet: {width: 4, depth: 2}}
  norm: batch
  augment: none
  loss: {bce: 1}
  optimizer: {adam: {lr: 1e-3}}
  schedule: constant
  batch_size: 2
  epochs: 4
"""
DESIGN = DOCUMENT + "axes:\n  norm: [batch, none]\nseeds: 2\n"
SEARCH = DOCUMENT + (
    "search:\n"
    "  space: {lr: {path: optimizer.lr, low: 1e-4, high: 1e-1, log: true}}\n"
    "  sampler: {tpe: {seed: 3}}\n"
    "  pruner: {median: {warmup_epochs: 1}}\n"
    "  trials: 8\n"
    "seeds: 2\n"
)


@dataclass
class FakeEngine:
    """Says what fake runs do; each run is made from it."""

    events: list[str] = field(default_factory=list)
    raise_at: Mapping[int, BaseException] = field(default_factory=dict)
    """Epoch -> what happens instead of it."""
    objective: Callable[[Any, int, int], float] = lambda config, seed, epoch: [0.1, 0.4, 0.3, 0.2][epoch - 1]
    before_epoch: Callable[[int], None] = lambda epoch: None

    def build(self, config: Any, data: Any, *, seed: int, on_step: Any = None, **resources: Any) -> FakeRun:
        self.events.append(f"build seed {seed}")
        return FakeRun(self, config, seed, on_step)


class FakeRun:
    parameters, trainable_parameters, flops = 7, 7, 70
    input_spec: Mapping[str, Any] = {"size_px": [4, 4], "channels": 3, "mean": [0.0] * 3, "std": [1.0] * 3}

    def __init__(self, engine: FakeEngine, config: Any, seed: int, on_step: Any) -> None:
        self._engine, self._config, self._seed, self._on_step = engine, config, seed, on_step
        self.history: list[EpochRecord] = []
        self._selected_weight: float | None = None

    @property
    def selected_epoch(self) -> int | None:
        if not self.history:
            return None
        return max(self.history, key=lambda e: (e.val["dice"], -e.epoch)).epoch

    def __iter__(self) -> Iterator[EpochRecord]:
        while len(self.history) < self._config.epochs:
            epoch = len(self.history) + 1
            self._engine.before_epoch(epoch)
            if epoch in self._engine.raise_at:
                raise self._engine.raise_at[epoch]
            self._on_step(1, 2)
            value = self._engine.objective(self._config, self._seed, epoch)
            record = EpochRecord(
                epoch=epoch,
                lr=0.1,
                train_loss=1 / epoch,
                train_dice=0.5,
                val={"loss": 0.5, "dice": value},
                epoch_time_s=1.5,
                images_per_s=2.0,
                peak_memory_mib=3.0,
                data_wait_s=0.25,
            )
            self.history.append(record)
            self._engine.events.append(f"epoch {epoch}")
            if self.selected_epoch == epoch:
                self._selected_weight = float(epoch)
            yield record

    def state_dict(self) -> dict[str, Any]:
        return {"values": [e.val["dice"] for e in self.history]}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        engine, before = self._engine, self._engine.objective
        engine.objective = lambda config, seed, epoch: saved["values"][epoch - 1]
        records = iter(self)
        for _ in saved["values"]:
            next(records)
            engine.events.pop()
        engine.objective = before
        engine.events.append(f"resume after {len(self.history)}")

    def weights(self, which: str = "selected") -> dict[str, torch.Tensor]:
        value = self._selected_weight if which == "selected" else float(len(self.history))
        return {"w": torch.tensor(value)}

    def load_selected(self, weights: Mapping[str, torch.Tensor]) -> None:
        self._selected_weight = float(weights["w"])

    def evaluate(self, split: str, which: str = "selected", with_masks: bool = False) -> Evaluation:
        self._engine.events.append(f"evaluate {split} {which}")
        weight = float(self.weights(which)["w"])
        return Evaluation(
            sample_numbers=np.arange(NUM_TEST),
            metrics={
                "dice": np.array([0.0, 0.1, 0.2]) + weight / 10,
                "iou": np.array([0.0, 0.0, weight / 10]),
            },
            loss=0.5,
            masks=np.zeros((NUM_TEST, 4, 4), bool) if with_masks else None,
        )

    def close(self) -> None:
        self._engine.events.append("close")


def diverged(epoch: int) -> Diverged:
    return Diverged(epoch, 2, "train_loss", float("nan"))


def fake_data() -> Any:
    samples = tuple(Sample(f"image {k}", f"animal {k}") for k in range(NUM_TEST))
    return SimpleNamespace(
        fingerprint=FINGERPRINT,
        samples=samples,
        split={"test": np.arange(NUM_TEST)},
        images=np.zeros((NUM_TEST, 4, 4, 3), np.uint8),
        masks=np.ones((NUM_TEST, 4, 4), np.uint8),
    )
