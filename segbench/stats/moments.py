"""Mean and spread of per-seed differences, of one contrast or of 10,000 simulated ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segbench.stats.images import image_variance, unit_values
from segbench.stats.intervals import Spread


@dataclass(frozen=True)
class Moments:
    """What the differences of S seeds say; arrays of the shape (...) of (..., S) differences."""

    n: np.ndarray
    """Seeds."""
    difference: np.ndarray
    """Mean over seeds; NaN without a seed."""
    sd: np.ndarray
    """Standard deviation over seeds; NaN for one."""

    @classmethod
    def of(cls, differences: np.ndarray, is_kept: np.ndarray | None = None) -> Moments:
        """Take (..., S) differences; where `is_kept` is false a seed is left out."""
        differences = np.asarray(differences, float)
        is_kept = np.ones(differences.shape, bool) if is_kept is None else is_kept
        n = is_kept.sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(is_kept, differences, 0.0).sum(axis=-1) / n
            squares = (np.where(is_kept, differences - mean[..., None], 0.0) ** 2).sum(axis=-1)
            sd = np.where(n > 1, np.sqrt(squares / (n - 1)), np.nan)
        return cls(n, mean, sd)

    @property
    def spread(self) -> Spread:
        """What other seeds would do on these images: Student's t over the seeds."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return Spread(self.sd**2 / self.n, self.n - 1)

    def spread_new(self, layout: np.ndarray, groups: np.ndarray | None = None) -> Spread:
        """What they would do on other images too.

        Args:
            layout: (..., S, I) differences of all seeds that count, an image each.
            groups: (I,) group of each image; None: every image is a unit.
        """
        units = unit_values(layout, groups)
        return Spread(self.spread.var, self.spread.df, image_variance(units), units.shape[-1] - 1)
