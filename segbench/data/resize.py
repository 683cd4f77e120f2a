"""Images to other sizes: alone, or with their masks to one square size."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import numpy as np


def resize(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize pixels or probabilities: averaged over areas where both sides shrink (no aliasing), else
    bilinear.

    Args:
        values: (h,w) or (h,w,C), uint8 or float32.
        height: Pixels, from 1.
        width: Pixels, from 1.

    Returns:
        (height,width) or (height,width,C); `values` itself where it has that size.
    """
    import cv2

    if values.shape[:2] == (height, width):
        return values
    shrinks = height <= values.shape[0] and width <= values.shape[1]
    resized = cv2.resize(
        values, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return resized.reshape(height, width, *values.shape[2:])


def resize_pair(image: np.ndarray, mask: np.ndarray, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Squeeze an image and its mask to `size_px` x `size_px`.

    The image is averaged over areas or bilinear, as `resize` says; the mask takes its nearest value, so it
    stays in {0, 1, 255}.

    Args:
        image: (H,W,C) uint8.
        mask: (H,W) uint8.
        size_px: Pixels a side.

    Returns:
        (size_px,size_px,C) and (size_px,size_px), contiguous.
    """
    import cv2

    if mask.shape == (size_px, size_px):
        return np.ascontiguousarray(image), np.ascontiguousarray(mask)
    # INTER_NEAREST_EXACT samples at pixel centres, where INTER_NEAREST shifts by up to half a pixel
    shrunk = cv2.resize(mask, (size_px, size_px), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.ascontiguousarray(resize(image, size_px, size_px)), shrunk


@contextlib.contextmanager
def single_threaded_cv2() -> Iterator[None]:
    """Keep OpenCV from dividing one small image among all cores, which costs more than it saves."""
    cv2 = sys.modules.get("cv2")  # what works on images has imported it by now, if it is used
    if cv2 is None:
        yield
        return
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
