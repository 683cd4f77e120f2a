"""Confusion counts, sums of probabilities and losses gathered on the device, read once an epoch."""

from __future__ import annotations

import numpy as np
import torch

from segbench.engine.divergence import Diverged
from segbench.engine.metrics import LOGIT_THRESHOLD, Counts

CHECK_EVERY = 50
"""Steps between two looks at the losses. A look waits for the device; it changes no number, only how soon a
diverged epoch ends."""


def confusion(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
    """Count pixels per image.

    Args:
        logits: (N,1,H,W).
        target: (N,1,H,W) in {0, 1}.
        valid: (N,1,H,W) bool, True where a pixel counts; None: all do.

    Returns:
        (4,N) int64 on the same device: TP, FP, FN, TN.
    """
    predicted = logits.flatten(1) > LOGIT_THRESHOLD
    truth = target.flatten(1) > 0.5
    num_pixels: int | torch.Tensor = truth.shape[1]
    if valid is not None:
        counted = valid.flatten(1)
        predicted, truth, num_pixels = predicted & counted, truth & counted, counted.sum(1)
    tp = (predicted & truth).sum(1)
    fp = predicted.sum(1) - tp
    fn = truth.sum(1) - tp
    return torch.stack([tp, fp, fn, num_pixels - tp - fp - fn])


def probability_sums(
    logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor | None = None
) -> torch.Tensor:
    """Sum foreground probabilities per image, in float64, in which the order of summation does not show.

    Args:
        logits: (N,1,H,W).
        target: (N,1,H,W) in {0, 1}.
        valid: (N,1,H,W) bool, True where a pixel counts; None: all do.

    Returns:
        (2,N) float64 on the same device: over the mask's foreground, over all pixels.
    """
    probs = torch.sigmoid(logits.double())
    if valid is not None:
        probs = probs * valid
    return torch.stack([(probs * target).flatten(1).sum(1), probs.flatten(1).sum(1)])


class Tally:
    """Losses and counts of one pass over a split; they stay on the device until they are asked for."""

    def __init__(self, *, epoch: int, what: str) -> None:
        """Start empty.

        Args:
            epoch: Epoch that the pass belongs to, for `Diverged`.
            what: Name of the loss, for `Diverged`: `train_loss`, `val_loss` or `test_loss`.
        """
        self._epoch = epoch
        self._what = what
        self._losses: list[torch.Tensor] = []
        self._counts: list[torch.Tensor] = []
        self._num_checked = 0

    def add(
        self,
        loss: torch.Tensor,
        logits: torch.Tensor,
        target: torch.Tensor,
        valid: torch.Tensor | None = None,
    ) -> None:
        """Take in one batch; raise `Diverged` within `CHECK_EVERY` steps of a loss that is not finite."""
        self._losses.append(loss.detach().double())
        self._counts.append(confusion(logits.detach(), target, valid))
        if len(self._losses) - self._num_checked >= CHECK_EVERY:
            self._check()

    def read(self) -> tuple[float, Counts]:
        """Return the image-weighted mean loss and the counts of every image, in the order they came.

        The mean is over images: a batch's loss weighs as much as the batch has images.

        Raises:
            Diverged: A loss was NaN or infinite.
        """
        if not self._losses:
            empty = np.zeros(0, dtype=np.int64)
            return float("nan"), Counts(empty, empty, empty, empty)
        losses = self._check()
        sizes = np.array([counts.shape[1] for counts in self._counts])
        tp, fp, fn, tn = torch.cat(self._counts, dim=1).cpu().numpy()
        return float((losses * sizes).sum() / sizes.sum()), Counts(tp, fp, fn, tn)

    def _check(self) -> np.ndarray:
        losses = torch.stack(self._losses).cpu().numpy()
        self._num_checked = len(losses)
        broken = np.flatnonzero(~np.isfinite(losses))
        if broken.size:
            raise Diverged(self._epoch, int(broken[0]) + 1, self._what, float(losses[broken[0]]))
        return losses
