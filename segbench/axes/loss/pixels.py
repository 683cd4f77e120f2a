"""The mean of losses that single pixels have, which the losses of pixels share."""

from __future__ import annotations

from torch import Tensor


def mean_over_pixels(losses: Tensor, valid: Tensor | None) -> Tensor:
    """Return the mean over all pixels of the batch; with `valid`, over images of the mean over valid pixels.

    Either way it is the mean of its images' losses. An image without a valid pixel has the loss 0.

    Args:
        losses: (N, 1, H, W).
        valid: (N, 1, H, W) bool, True where a pixel counts; None: all count.
    """
    if valid is None:
        return losses.mean()
    dims = tuple(range(1, losses.ndim))
    num_valid = valid.sum(dims).clamp(min=1)
    return (losses.masked_fill(~valid, 0).sum(dims) / num_valid).mean()
