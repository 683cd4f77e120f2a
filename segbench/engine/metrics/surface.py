"""Metrics of outlines, in pixels of the evaluated size (the data set's `size_px`), not of the original image.

The outline of a mask is the mask without its erosion by the cross of four neighbours: its pixels with a
neighbour above, below, left or right that is background or outside of the image. Ignored pixels are
background in both masks, so that where both meet them, both have an outline there. Distances are Euclidean,
between centres of pixels, from each pixel of one outline to the nearest one of the other.

Empty masks: where both are empty there is no error, 0 px and a surface dice of 1. Where one alone is empty
there is no distance; hd95_px and assd_px take the image's diagonal, which no distance in it exceeds, so that
an object missed altogether costs more than one found anywhere; surface_dice is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segbench.quantities import Metric

PERCENTILE = 95


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances between the outlines of one image's prediction and mask, in pixels."""

    of_prediction: np.ndarray
    """(P,) float64: from each outline pixel of the prediction to the mask's outline; infinite without one."""
    of_mask: np.ndarray
    """(M,) float64: from each outline pixel of the mask to the prediction's outline; infinite without one."""
    diagonal_px: float

    @property
    def is_empty(self) -> bool:
        """Whether neither has an outline."""
        return not self.of_prediction.size and not self.of_mask.size

    @property
    def is_one_empty(self) -> bool:
        """Whether just one of the two has an outline."""
        return not self.is_empty and not (self.of_prediction.size and self.of_mask.size)


@Metric(words="95 % Hausdorff distance", unit="px", is_lower_better=True, best=0.0, worst=None)
def hd95_px(distances: SurfaceDistances) -> float:
    """95th percentile of the Hausdorff distance between the outlines in pixels, per image.

    The larger of the two directed distances' 95th percentiles (linear between ranks), not the percentile of
    both together. Both masks empty: 0; one of them: the image's diagonal.

    Reference: Huttenlocher et al. (1993), IEEE TPAMI 15:850; the percentile as MONAI's
    compute_hausdorff_distance takes it.
    """
    if distances.is_empty:
        return 0.0
    if distances.is_one_empty:
        return distances.diagonal_px
    directed = (np.percentile(each, PERCENTILE) for each in (distances.of_prediction, distances.of_mask))
    return float(max(directed))


@Metric(words="average surface distance", unit="px", is_lower_better=True, best=0.0, worst=None)
def assd_px(distances: SurfaceDistances) -> float:
    """Average symmetric distance between the outlines in pixels, per image.

    (sum of both directed distances) / (pixels of both outlines): the longer outline weighs more. Both masks
    empty: 0; one of them: the image's diagonal.

    Reference: Heimann et al. (2009), IEEE TMI 28:1251.
    """
    if distances.is_empty:
        return 0.0
    if distances.is_one_empty:
        return distances.diagonal_px
    return float(np.concatenate([distances.of_prediction, distances.of_mask]).mean())


@Metric(words="surface Dice")
def surface_dice(distances: SurfaceDistances, tolerance_px: float) -> float:
    """Share of both outlines that lies within `surface_tolerance_px` of the other one, per image.

    (pixels of either outline no further than the tolerance from the other) / (pixels of both outlines). Both
    masks empty: 1; one of them: 0.

    Reference: Nikolov et al., 2018, arXiv:1809.04430, with pixels of the outline for elements of the surface.
    """
    if distances.is_empty:
        return 1.0
    both = np.concatenate([distances.of_prediction, distances.of_mask])
    return float((both <= tolerance_px).mean())


def surface_distances(predicted: np.ndarray, mask: np.ndarray) -> SurfaceDistances:
    """Measure how far apart two outlines are.

    Args:
        predicted: (H,W) bool.
        mask: (H,W) bool.
    """
    diagonal_px = float(np.hypot(*mask.shape))
    either = predicted | mask
    rows, columns = (np.flatnonzero(either.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        nothing = np.zeros(0)
        return SurfaceDistances(nothing, nothing, diagonal_px)
    # Both outlines lie in the box, hence the nearest pixels too; around it all is background.
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ours, theirs = outline(predicted[box]), outline(mask[box])
    return SurfaceDistances(_distances(ours, theirs), _distances(theirs, ours), diagonal_px)


def outline(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask, (H,W) bool, with a background pixel among their four neighbours.

    Beyond the array's edge all is background.
    """
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def _distances(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    from scipy.ndimage import distance_transform_edt

    if not there.any():
        return np.full(int(here.sum()), np.inf)
    return np.asarray(distance_transform_edt(~there)[here], dtype=np.float64)
