"""Mean and spread of per-seed differences, of one contrast or of 10,000 simulated ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segbench.stats.images import image_variance, unit_values
from segbench.stats.intervals import Spread

FLOATING = 8 * float(np.finfo(float).eps)
"""Numbers that differ by less than this share of the largest one are equal."""
MOST_DECIMALS = 6
"""Values with more decimals than these count as not rounded."""


@dataclass(frozen=True)
class Moments:
    """What the differences of S seeds say; arrays of the shape (...) of (..., S) differences."""

    n: np.ndarray
    """Seeds."""
    difference: np.ndarray
    """Mean over seeds; NaN without a seed."""
    sd: np.ndarray
    """Standard deviation over seeds; NaN for one."""
    has_spread: np.ndarray
    """Whether the differences vary by more than the numbers' own resolution. Otherwise nothing is known of
    how seeds differ: no interval, no test, no forecast."""

    @classmethod
    def of(
        cls,
        differences: np.ndarray,
        is_kept: np.ndarray | None = None,
        *,
        resolution: np.ndarray | float = 0.0,
    ) -> Moments:
        """Take (..., S) differences; where `is_kept` is false a seed is left out.

        Args:
            differences: (..., S), level minus baseline.
            is_kept: (..., S).
            resolution: (...) what the differences are known to: `resolution`.
        """
        differences = np.asarray(differences, float)
        is_kept = np.ones(differences.shape, bool) if is_kept is None else is_kept
        n = is_kept.sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(is_kept, differences, 0.0).sum(axis=-1) / n
            squares = (np.where(is_kept, differences - mean[..., None], 0.0) ** 2).sum(axis=-1)
            sd = np.where(n > 1, np.sqrt(squares / (n - 1)), np.nan)
        largest = np.where(is_kept, np.abs(differences), 0.0).max(axis=-1, initial=0.0)
        has_spread = (sd > FLOATING * largest) & (sd >= (1 - 1e-9) * np.asarray(resolution))
        return cls(n, mean, sd, has_spread)

    @property
    def spread(self) -> Spread:
        """What other seeds would do on these images: Student's t over the seeds."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return Spread(np.where(self.has_spread, self.sd**2 / self.n, np.nan)[()], self.n - 1)

    def spread_new(self, layout: np.ndarray, groups: np.ndarray | None = None) -> Spread:
        """What they would do on other images too.

        Args:
            layout: (..., S, I) differences of all seeds that count, an image each.
            groups: (I,) group of each image; None: every image is a unit.
        """
        units, factor = unit_values(layout, groups)
        return Spread(self.spread.var, self.spread.df, factor * image_variance(units), units.shape[-1] - 1)


def step_of(values: np.ndarray) -> np.ndarray:
    """Return the step that (..., k) values are rounded to, a power of ten; 0 where they are not rounded."""
    values = np.asarray(values, float)
    noise = FLOATING * np.abs(values).max(axis=-1, initial=0.0)
    step = np.zeros(values.shape[:-1])
    if not values.size:
        return step
    for decimals in range(MOST_DECIMALS, -1, -1):
        is_multiple = np.abs(values - values.round(decimals)).max(axis=-1, initial=0.0) <= noise
        step = np.where(is_multiple, 10.0**-decimals, step)
    return step


def resolution(values: np.ndarray, num_pairs: int = 1) -> np.ndarray:
    """Return what differences of (..., k) values are known to, averaged over so many pairs of a seed.

    It is the step of rounded values (their errors are independent, so a mean over m pairs knows sqrt(m) times
    as much), and never less than the rounding of floating-point numbers.
    """
    values = np.asarray(values, float)
    floating = FLOATING * np.abs(values).max(axis=-1, initial=0.0)
    finest: np.ndarray = np.maximum(step_of(values) / np.sqrt(max(1, num_pairs)), floating)
    return finest
