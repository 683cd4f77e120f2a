"""Soft counts of true and false pixels, which the overlap losses share."""

from __future__ import annotations

import torch
from torch import Tensor


def soft_counts(logits: Tensor, target: Tensor, *, per_image: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return soft true positives, false positives and false negatives, computed in at least float32.

    TP = sum(p * t), FP = sum(p * (1 - t)), FN = sum((1 - p) * t) with p = sigmoid(logits); 1 - p is computed
    as sigmoid(-logits), which keeps its digits where p is near 1.

    Args:
        logits: (N, 1, H, W), not probabilities.
        target: (N, 1, H, W) in [0, 1].
        per_image: Sums run over each image, giving (N,); otherwise over the whole batch, giving ().
    """
    dtype = torch.promote_types(logits.dtype, torch.float32)
    logits, target = logits.to(dtype), target.to(dtype)
    dims = tuple(range(1, logits.ndim)) if per_image else tuple(range(logits.ndim))
    probs = torch.sigmoid(logits)
    return (
        (probs * target).sum(dims),
        (probs * (1 - target)).sum(dims),
        (torch.sigmoid(-logits) * target).sum(dims),
    )
