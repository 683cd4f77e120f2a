"""What decoded images measure, remembered beside them: each is read once for a question."""

from __future__ import annotations

import hashlib

import numpy as np

from segbench.data.cache import CachedPixels, remember

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Means and standard deviations per channel, in 0..255."""


def statistics(cached: CachedPixels, numbers: np.ndarray) -> Statistics:
    """Return mean and standard deviation per channel over all pixels of some images.

    Args:
        cached: The decoded images.
        numbers: Which of them, int64.
    """

    def look() -> dict[str, list[float]]:
        means, stds = channel_statistics(cached.images, numbers)
        return {"means": list(means), "stds": list(stds)}

    name = f"statistics-{hashlib.sha256(numbers.tobytes()).hexdigest()[:12]}"
    found = remember(cached, name, look)
    return tuple(found["means"]), tuple(found["stds"])


def image_digests(cached: CachedPixels) -> list[str]:
    """Return a hash of every image's pixels: equal where images are equal, pixel for pixel."""

    def look() -> dict[str, list[str]]:
        return {"images": [hashlib.sha256(image.tobytes()).hexdigest()[:32] for image in cached.images]}

    return list(remember(cached, "digests", look)["images"])


def foreground_shares(cached: CachedPixels) -> np.ndarray:
    """Return every mask's share of foreground among the pixels that are foreground or background, (I,).

    NaN where a mask has neither.
    """

    def look() -> dict[str, list[float | None]]:
        shares: list[float | None] = []
        for mask in cached.masks:
            counts = np.bincount(mask.ravel(), minlength=2)
            known = int(counts[0] + counts[1])
            shares.append(float(counts[1] / known) if known else None)
        return {"masks": shares}

    return np.array(remember(cached, "foreground", look)["masks"], dtype=float)


def channel_statistics(
    images: np.ndarray, numbers: np.ndarray
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel over all pixels of some images, from exact histograms.

    Args:
        images: (I,H,W,C) uint8.
        numbers: Which images.
    """
    counts = np.zeros((images.shape[3], 256), dtype=np.int64)
    for number in numbers:
        for channel in range(images.shape[3]):
            counts[channel] += np.bincount(images[number, ..., channel].ravel(), minlength=256)
    values = np.arange(256)
    total = counts.sum(axis=1)
    means = counts @ values / total
    variances = counts @ values**2 / total - means**2
    return tuple(means.tolist()), tuple(np.sqrt(np.maximum(variances, 0)).tolist())
