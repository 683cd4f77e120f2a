"""An evaluation: one pass over a part of the split."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from segbench.data.batches import Batch
from segbench.engine.counting import Measured, Tally, probability_sums
from segbench.engine.metrics import LOGIT_THRESHOLD, SoftSums, of_counts, of_surfaces, of_whole_set
from segbench.engine.numerics import Numerics

OnStep = Callable[[int, int], None]
"""Told (steps done, steps in the epoch) after every training step."""


@dataclass(frozen=True)
class Evaluation:
    """What a network does on the images of a part of the split."""

    sample_numbers: np.ndarray
    """(I,) int64: which sample each row is about."""
    metrics: dict[str, np.ndarray]
    """Name -> (I,) float64, one value an image. Those of outlines are there only where asked for."""
    loss: float
    """Mean over images of the loss, a batch weighing as much as it has images. A loss that sums over a batch
    (soft Dice over all of its pixels) depends on how images are batched, which the trial's batch size and the
    order of the split fix."""
    masks: np.ndarray | None = None
    """(I,H,W) bool, where asked for; a prediction also where pixels are ignored."""
    pooled: dict[str, float] = field(default_factory=dict)
    """Name -> value, of metrics that all images together have."""

    def means(self) -> dict[str, float]:
        """Return `loss`, every metric's mean over images, and the metrics of all images together."""
        means = {name: float(values.mean()) for name, values in self.metrics.items()}
        return {"loss": self.loss, **means, **self.pooled}


def measure_loss(
    criterion: nn.Module, logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor | None
) -> torch.Tensor:
    """Return the loss; it is told which pixels count only where a data set has some that do not."""
    loss: torch.Tensor = criterion(logits, target) if valid is None else criterion(logits, target, valid)
    return loss


def evaluate_batches(
    forward: Callable[[torch.Tensor], torch.Tensor],
    criterion: nn.Module,
    batches: Iterable[Batch],
    *,
    epoch: int,
    what: str,
    numerics: Numerics,
    with_masks: bool,
    surface_tolerance_px: float | None = None,
    on_batch: Callable[[], None] | None = None,
) -> Evaluation:
    """Measure a network, already in evaluation mode, on every image of the batches.

    Args:
        forward: Images to logits.
        criterion: The loss.
        batches: In order.
        epoch: Which the weights are of, for `Diverged`.
        what: Name of the loss, for `Diverged`.
        numerics: Precision and device.
        with_masks: Whether to keep the predicted masks.
        surface_tolerance_px: For `surface_dice`. None: no metric of outlines, which the CPU computes image by
            image.
        on_batch: Called after each batch.

    Raises:
        Diverged: A loss was NaN or infinite; `what` names it.
    """
    tally = Tally(epoch=epoch, what=what)
    numbers: list[np.ndarray] = []
    masks: list[np.ndarray] = []
    sums: list[torch.Tensor] = []
    surfaces: list[dict[str, np.ndarray]] = []
    with torch.no_grad():
        for batch in batches:
            with numerics.autocast():
                logits = forward(numerics.images(batch.images))
            logits = logits.float()
            loss_of_batch = measure_loss(criterion, logits, batch.target, batch.valid)
            tally.add(Measured.of(loss_of_batch, logits, batch.target, batch.valid))
            sums.append(probability_sums(logits, batch.target, batch.valid))
            numbers.append(batch.index.numpy())
            predicted = logits > LOGIT_THRESHOLD
            if with_masks:
                masks.append(predicted[:, 0].cpu().numpy())
            if surface_tolerance_px is not None:
                surfaces.append(_surfaces(predicted, batch, surface_tolerance_px))
            if on_batch is not None:
                on_batch()
    loss, counts = tally.read()
    overlap, total = torch.cat(sums, dim=1).cpu().numpy()
    metrics = of_counts(counts, SoftSums(overlap, total))
    if surfaces:
        metrics |= {name: np.concatenate([each[name] for each in surfaces]) for name in surfaces[0]}
    return Evaluation(
        np.concatenate(numbers),
        metrics,
        loss,
        np.concatenate(masks) if with_masks else None,
        of_whole_set(counts),
    )


def _surfaces(predicted: torch.Tensor, batch: Batch, tolerance_px: float) -> dict[str, np.ndarray]:
    counted = predicted if batch.valid is None else predicted & batch.valid
    masks = (batch.target > 0.5)[:, 0].cpu().numpy()  # target is 0 where pixels are ignored
    return of_surfaces(counted[:, 0].cpu().numpy(), masks, tolerance_px=tolerance_px)
