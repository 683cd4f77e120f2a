"""Facts about an image and its mask that a report may break results down by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from segbench.data.prepared import PreparedData

_NUM_BINS = 32
_LUMA = (0.299, 0.587, 0.114)


def measure_facts(image: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Measure every fact of `samples.FACTS`; NaN where an image has no foreground, or nothing else.

    `foreground_share`: foreground over all pixels that count. `tone_likeness`: sum over 32 equal bins of
    min(f, b), where f and b are the shares of foreground and background pixels whose brightness (ITU-R
    BT.601; the mean where there are not three channels) falls into the bin. `irregularity`: 1 - area / area
    of the convex hull of the foreground's pixels, several parts under one hull.

    Args:
        image: (H,W,C) uint8.
        mask: (H,W) uint8: 1 foreground, 0 background, anything else does not count.
    """
    is_foreground, is_background = mask == 1, mask == 0
    num_foreground, num_background = int(is_foreground.sum()), int(is_background.sum())
    counted = num_foreground + num_background
    share = num_foreground / counted if counted else float("nan")
    has_both = num_foreground > 0 and num_background > 0
    return {
        "foreground_share": share,
        "tone_likeness": _likeness(image, is_foreground, is_background) if has_both else float("nan"),
        "irregularity": 1 - num_foreground / _hull_area(is_foreground) if num_foreground else float("nan"),
    }


def facts_of(data: PreparedData, numbers: Iterable[int]) -> Iterator[dict[str, str | float | None]]:
    """Yield a row for each sample: `image`, `group`, the data set's attributes, the facts."""
    for number in numbers:
        sample = data.samples[number]
        facts = measure_facts(np.asarray(data.images[number]), np.asarray(data.masks[number]))
        yield {"image": sample.name, "group": sample.group, **sample.attributes, **facts}


def _likeness(image: np.ndarray, is_foreground: np.ndarray, is_background: np.ndarray) -> float:
    channels = image.shape[2]
    weights = np.array(_LUMA if channels == 3 else (1 / channels,) * channels)
    bins = np.minimum((image @ weights) * _NUM_BINS / 256, _NUM_BINS - 1).astype(np.int64)
    shares = [
        np.bincount(bins[chosen], minlength=_NUM_BINS) / chosen.sum()
        for chosen in (is_foreground, is_background)
    ]
    return float(np.minimum(*shares).sum())


def _hull_area(is_foreground: np.ndarray) -> float:
    """Return the area of the convex hull of pixels, each a unit square."""
    from scipy.spatial import ConvexHull

    rows = np.flatnonzero(is_foreground.any(axis=1))
    left = is_foreground[rows].argmax(axis=1)
    right = is_foreground.shape[1] - is_foreground[rows, ::-1].argmax(axis=1)
    corners = [np.stack([column, row], axis=1) for column in (left, right) for row in (rows, rows + 1)]
    return float(ConvexHull(np.concatenate(corners)).volume)
