"""An evaluation: one pass over a part of the split."""

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
