"""The engine against the loop that a student would write: same images, same start, same results.

The loop below has none of the engine's means: no fused or capturable optimiser, no channels-last, no
autocast, no counts on a device, losses by their formulas and one `.item()` a step. It starts from the same
weights and sees the images in the same order, since those are drawn from the seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from blobs import blob_data, tiny_config

from segbench.config.trial import Choice, TrialConfig
from segbench.data.batches import TrainBatches
from segbench.data.prepared import PreparedData
from segbench.engine import Run

EPOCHS = 8
RATE = 0.003
SEED = 3

TOLERANCE = {"fp32": (1e-4, 2e-3), "tf32": (1e-4, 2e-3), "bf16": (0.015, 0.02)}
"""Largest difference of a loss at any epoch, and of the Dice at the last: before, it leaps from 0 within an
epoch. float32 differs by the order of its sums alone, which Adam enlarges from step to step; bfloat16 has
three digits."""


def config(**changes: Any) -> TrialConfig:
    still = {
        "augment": Choice.of("augment", "none"),
        "schedule": Choice.of("schedule", "constant"),
        "optimizer": Choice.of("optimizer", "adam", lr=RATE),
    }
    return tiny_config(**{**still, "epochs": EPOCHS, **changes})


def soft_dice_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    probs = torch.sigmoid(logits)
    return 1 - (2 * (probs * target).sum() + 1e-6) / (probs.sum() + target.sum() + 1e-6)


def plain_loop(data: PreparedData, start: dict[str, torch.Tensor], model: torch.nn.Module) -> list[Any]:
    """Return (training loss, validation loss, validation dice) of each epoch."""
    model.load_state_dict(start)
    adam = torch.optim.Adam(model.parameters(), lr=RATE, foreach=False, fused=False)
    bce = torch.nn.BCEWithLogitsLoss()
    order = TrainBatches(data, config(), SEED).order

    def tensors(numbers: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        images = (data.images[numbers].astype(np.float32) - 127.5) / 127.5
        masks = data.masks[numbers].astype(np.float32)[:, None]
        return torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), torch.from_numpy(masks)

    found = []
    for epoch in range(1, EPOCHS + 1):
        model.train()
        total, numbers = 0.0, order(epoch)
        for first in range(0, len(numbers), 4):
            images, masks = tensors(numbers[first : first + 4])
            logits = model(images)
            loss = bce(logits, masks) + soft_dice_loss(logits, masks)
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adam.step()
            total += loss.item() * len(images)
        model.eval()
        val_losses, dices = [], []
        for first in range(0, len(data.split["val"]), 4):  # soft Dice is of a batch
            images, masks = tensors(data.split["val"][first : first + 4])
            with torch.no_grad():
                logits = model(images)
            val_losses.append((bce(logits, masks) + soft_dice_loss(logits, masks)).item())
            predicted, truth = logits.numpy() > 0, masks.numpy() > 0.5
            overlap = (predicted & truth).sum(axis=(1, 2, 3))
            size = predicted.sum(axis=(1, 2, 3)) + truth.sum(axis=(1, 2, 3))
            dices += np.where(size == 0, 1.0, 2 * overlap / np.maximum(size, 1)).tolist()
        found.append((total / len(numbers), np.mean(val_losses), np.mean(dices)))
    return found


@pytest.mark.parametrize("backend", ["cpu", "device"])
@pytest.mark.parametrize("precision", list(TOLERANCE))
def test_the_engine_learns_what_the_plain_loop_learns(precision: str, backend: str) -> None:
    data = blob_data(num_train=14, num_val=16)
    run = Run(config(precision=precision, augment_backend=backend), data, seed=SEED, threads=1)
    start = {name: value.clone() for name, value in run._model.state_dict().items()}
    twin = Run(config(), data, seed=SEED, threads=1)._model.to(memory_format=torch.contiguous_format)
    ours = [(r.train_loss, r.val["loss"], r.val["dice"]) for r in run]
    plain = plain_loop(data, start, twin)
    assert plain[-1][0] < 0.8 * plain[0][0]  # there is something to agree about
    apart = np.abs(np.array(ours) - np.array(plain))
    of_loss, of_dice = TOLERANCE[precision]
    assert apart[:, :2].max() <= of_loss
    assert apart[-1, 2] <= of_dice


def test_bf16_is_another_computation() -> None:
    """A tolerance that fits anything would say nothing."""
    data = blob_data(num_train=14, num_val=16)
    losses = [
        [r.train_loss for r in Run(config(precision=precision), data, seed=SEED, threads=1)]
        for precision in ("fp32", "bf16")
    ]
    assert np.abs(np.subtract(*losses)).max() > TOLERANCE["fp32"][0]
