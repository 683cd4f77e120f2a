"""Confusion counts, sums of probabilities and losses gathered on the device, read once an epoch."""

from __future__ import annotations

from typing import NamedTuple

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


class Measured(NamedTuple):
    """What is counted of one batch, on the device."""

    loss: torch.Tensor
    """() float64."""
    counts: torch.Tensor
    """(4,N) int64: TP, FP, FN, TN."""

    @classmethod
    def of(
        cls,
        loss: torch.Tensor,
        logits: torch.Tensor,
        target: torch.Tensor,
        valid: torch.Tensor | None = None,
    ) -> Measured:
        """Count a batch (`confusion`), without its gradients."""
        return cls(loss.detach().double(), confusion(logits.detach(), target, valid))


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
        self._sent: tuple[torch.Tensor, torch.cuda.Event] | None = None
        """Losses on their way from a GPU, and what tells that they have arrived."""

    def add(self, measured: Measured) -> None:
        """Take in one batch; raise `Diverged` within `CHECK_EVERY` steps of a loss that is not finite.

        On a GPU within twice as many: the look is at what was known `CHECK_EVERY` steps ago, so it need not
        wait.
        """
        self._losses.append(measured.loss)
        self._counts.append(measured.counts)
        if len(self._losses) - self._num_checked >= CHECK_EVERY:
            self._look()

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

    def _look(self) -> None:
        if not self._losses[0].is_cuda:
            self._check()
            return
        if self._sent is not None and self._sent[1].query():
            self._raise_if_broken(self._sent[0].numpy())
        losses = torch.stack(self._losses)
        sent = torch.empty(losses.shape, dtype=losses.dtype, pin_memory=True)
        sent.copy_(losses, non_blocking=True)
        self._sent = sent, torch.cuda.current_stream(losses.device).record_event()
        self._num_checked = len(losses)

    def _check(self) -> np.ndarray:
        losses = torch.stack(self._losses).cpu().numpy()
        self._num_checked = len(losses)
        self._raise_if_broken(losses)
        return losses

    def _raise_if_broken(self, losses: np.ndarray) -> None:
        broken = np.flatnonzero(~np.isfinite(losses))
        if broken.size:
            raise Diverged(self._epoch, int(broken[0]) + 1, self._what, float(losses[broken[0]]))
