"""Image and mask to one square size, together."""

from __future__ import annotations

import numpy as np


def resize_pair(image: np.ndarray, mask: np.ndarray, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Squeeze an image and its mask to `size_px` x `size_px`.

    The image is averaged over areas where it shrinks (no aliasing) and bilinear where it grows; the mask
    takes its nearest value, so it stays in {0, 1, 255}.

    Args:
        image: (H,W,C) uint8.
        mask: (H,W) uint8.
        size_px: Pixels a side.

    Returns:
        (size_px,size_px,C) and (size_px,size_px), contiguous.
    """
    import cv2

    height, width = mask.shape
    if (height, width) == (size_px, size_px):
        return np.ascontiguousarray(image), np.ascontiguousarray(mask)
    shrinks = height >= size_px and width >= size_px
    resized = cv2.resize(
        image, (size_px, size_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    # INTER_NEAREST_EXACT samples at pixel centres, where INTER_NEAREST shifts by up to half a pixel
    shrunk = cv2.resize(mask, (size_px, size_px), interpolation=cv2.INTER_NEAREST_EXACT)
    return resized.reshape(size_px, size_px, image.shape[2]), shrunk
