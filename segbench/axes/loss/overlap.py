"""Soft counts of true and false pixels, which the overlap losses share."""

from __future__ import annotations

import torch
from torch import Tensor


def soft_counts(
    logits: Tensor, target: Tensor, valid: Tensor | None, *, per_image: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return soft true positives, false positives and false negatives, computed in at least float32.

    TP = sum(p * t), FP = sum(p * (1 - t)), FN = sum((1 - p) * t) with p = sigmoid(logits); 1 - p is computed
    as sigmoid(-logits), which keeps its digits where p is near 1.

    Args:
        logits: (N, 1, H, W), not probabilities.
        target: (N, 1, H, W) in [0, 1].
        valid: (N, 1, H, W) bool, True where a pixel is in the sums; None: all are.
        per_image: Sums run over each image, giving (N,); otherwise over the whole batch, giving ().
    """
    dtype = torch.promote_types(logits.dtype, torch.float32)
    logits, target = logits.to(dtype), target.to(dtype)
    dims = tuple(range(1, logits.ndim)) if per_image else tuple(range(logits.ndim))
    probs = torch.sigmoid(logits)
    pixels: tuple[Tensor, ...] = probs * target, probs * (1 - target), torch.sigmoid(-logits) * target
    if valid is not None:
        pixels = tuple(each.masked_fill(~valid, 0) for each in pixels)
    tp, fp, fn = (each.sum(dims) for each in pixels)
    return tp, fp, fn
