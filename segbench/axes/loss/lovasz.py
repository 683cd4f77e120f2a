"""Lovász hinge."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segbench.axes.loss import variant


@variant
def lovasz(*, per_image: bool = False) -> nn.Module:
    """Lovász hinge of logits: a convex surrogate of the Jaccard loss.

    sum_k relu(e_k) * (J_k - J_(k-1)): e = 1 - logits * s are the hinge errors with s = 1 in the foreground
    and -1 in the background, sorted from the largest; J_k is 1 - IoU of a mask that is wrong at the first k
    of these pixels, J_0 = 0. It lies above the Jaccard loss of the mask at threshold 0.5. In float32. Takes
    logits, on which it sets a margin of 1: a pixel that is right with |logit| of 1 and more costs nothing and
    has no gradient.

    Needs hard targets: a soft one is thresholded at 0.5. Empty masks: relu(1 + the largest logit), which is 0
    where all logits are at most -1; full masks: the mean of relu(1 - logits). Ignored pixels are left out of
    the sorting; an image without a valid pixel has the loss 0.

    Shapes: logits (N, 1, H, W), target (N, 1, H, W) in [0, 1] to ().

    Args:
        per_image: False: one sorting of all pixels of the batch, so large objects weigh more and the value
            depends on the batch size. True: one an image, then the mean over images.

    Reference:
        Berman et al., 2018, arXiv:1705.08790; its differences J_k - J_(k-1) in closed form, which keeps
        their digits in large images.
    """
    return LovaszHinge(per_image)


class LovaszHinge(nn.Module):
    """The loss that `lovasz` describes."""

    def __init__(self, per_image: bool) -> None:
        super().__init__()
        self.is_mean_over_images = per_image

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        truth = target > 0.5
        errors = 1 - torch.where(truth, logits, -logits)
        if valid is not None:
            truth = truth & valid
            errors = errors.masked_fill(~valid, -1)  # behind all errors that cost anything
        num_rows = len(logits) if self.is_mean_over_images else 1
        errors, order = errors.reshape(num_rows, -1).sort(dim=1, descending=True, stable=True)
        steps = _steps(truth.reshape(num_rows, -1).gather(1, order), errors.dtype)
        return (errors.relu() * steps).sum(1).mean()


def _steps(truth: Tensor, dtype: torch.dtype) -> Tensor:
    """Return J_k - J_(k-1) of pixels that become wrong one after another.

    A foreground pixel takes one from the intersection I: 1 / U. A background pixel adds one to the union U:
    I / (U (U - 1)); where the mask is empty, the first such pixel is the whole of the loss.

    Args:
        truth: (R, P) bool, in the order in which pixels become wrong.
        dtype: Of the result; pixels are counted as integers.
    """
    num_foreground = truth.sum(1, keepdim=True)
    intersection = num_foreground - truth.cumsum(1)
    union = num_foreground + (~truth).cumsum(1)
    before = (union - 1).clamp(min=1)
    on_background = (intersection.to(dtype) / before).masked_fill(union == 1, 1)
    return on_background.masked_fill(truth, 1) / union
