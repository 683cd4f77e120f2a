"""One pass over a part of the split: a training epoch, or an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from segbench.data.batches import Batch
from segbench.engine.counting import Tally
from segbench.engine.metrics import LOGIT_THRESHOLD, per_image
from segbench.engine.numerics import Numerics

OnStep = Callable[[int, int], None]
"""Told (steps done, steps in the epoch) after every training step."""


@dataclass(frozen=True)
class Evaluation:
    """What a network does on the images of a part of the split."""

    sample_numbers: np.ndarray
    """(I,) int64: which sample each row is about."""
    metrics: dict[str, np.ndarray]
    """Name -> (I,) float64, one value an image."""
    loss: float
    """Mean over images of the loss, a batch weighing as much as it has images. A loss that sums over a batch
    (soft Dice over all of its pixels) depends on how images are batched, which the trial's batch size and the
    order of the split fix."""
    masks: np.ndarray | None = None
    """(I,H,W) bool, where asked for."""

    def means(self) -> dict[str, float]:
        """Return `loss` and every metric's mean over images."""
        return {"loss": self.loss, **{name: float(values.mean()) for name, values in self.metrics.items()}}


def train_epoch(
    model: nn.Module,
    criterion: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
    *,
    epoch: int,
    num_steps: int,
    grad_clip: float | None,
    numerics: Numerics,
    on_step: OnStep | None,
) -> tuple[float, float, int]:
    """Train once over the batches; loss and dice are of each batch before its step.

    Nothing waits for the device until the end, apart from the looks of `Tally`.

    Returns:
        Mean loss, mean dice, number of images.

    Raises:
        Diverged: A loss was NaN or infinite.
    """
    tally = Tally(epoch=epoch, what="train_loss")
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    model.train()
    for step, batch in enumerate(batches, start=1):
        images, target = numerics.images(batch.images), batch.target
        with numerics.autocast():
            logits = model(images)
        logits = logits.float()
        loss = criterion(logits, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if grad_clip is not None:
            nn.utils.clip_grad_norm_(parameters, grad_clip)
        optimizer.step()
        tally.add(loss, logits, target)
        if on_step is not None:
            on_step(step, num_steps)
    loss_mean, counts = tally.read()
    return loss_mean, float(per_image(counts)["dice"].mean()), len(counts.tp)


def evaluate_batches(
    forward: Callable[[torch.Tensor], torch.Tensor],
    criterion: nn.Module,
    batches: Iterable[Batch],
    *,
    epoch: int,
    what: str,
    numerics: Numerics,
    with_masks: bool,
) -> Evaluation:
    """Measure a network, already in evaluation mode, on every image of the batches.

    Raises:
        Diverged: A loss was NaN or infinite; `what` names it.
    """
    tally = Tally(epoch=epoch, what=what)
    numbers: list[np.ndarray] = []
    masks: list[np.ndarray] = []
    with torch.no_grad():
        for batch in batches:
            with numerics.autocast():
                logits = forward(numerics.images(batch.images))
            logits = logits.float()
            tally.add(criterion(logits, batch.target), logits, batch.target)
            numbers.append(batch.index.numpy())
            if with_masks:
                masks.append((logits[:, 0] > LOGIT_THRESHOLD).cpu().numpy())
    loss, counts = tally.read()
    return Evaluation(
        np.concatenate(numbers), per_image(counts), loss, np.concatenate(masks) if with_masks else None
    )
