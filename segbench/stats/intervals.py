"""Means with t-intervals, and the spread from which every interval and p-value of a report is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, special

LEVEL = 0.95
"""Coverage of every interval that is printed."""


def t_quantile(upper_tail: np.ndarray | float, df: np.ndarray | float) -> np.ndarray:
    """Return the point with this upper-tail probability of Student's t; NaN where df < 1."""
    df = np.asarray(df, float)
    return np.where(df >= 1, -special.stdtrit(np.maximum(df, 1), upper_tail), np.nan)


@dataclass(frozen=True)
class Spread:
    """How uncertain a difference is: variance of its mean, in one part (seeds) or two (seeds and images).

    The half-width of the interval with upper tail a is sqrt(t_a²(df)·var + t_a²(df_new)·var_new): each part
    has its own degrees of freedom, so that three seeds are punished as three and 3,669 images as 3,669.
    Fields may be arrays of one shape.

    Reference: part by part after Howe (1974), JASA 69:789 (approximate limits for the mean of a sum of
    independent parts); with `var_new` = 0 it is Student's t-interval exactly.
    """

    var: np.ndarray | float
    """Variance of the mean over seeds."""
    df: float
    """Seeds minus 1."""
    var_new: np.ndarray | float = 0.0
    """Variance that drawing other images would add to the mean."""
    df_new: float = 1.0
    """Images (or groups) minus 1."""

    def half_width(self, level: float = LEVEL) -> np.ndarray:
        """Return half the width of the two-sided interval; NaN for one seed."""
        tail = (1 - level) / 2
        seeds = t_quantile(tail, self.df) ** 2 * np.asarray(self.var, float)
        images = np.where(
            np.asarray(self.var_new) > 0, t_quantile(tail, self.df_new) ** 2 * np.asarray(self.var_new), 0.0
        )
        return np.sqrt(seeds + images)

    def tail(self, distance: float) -> float:
        """Return the one-sided probability that the estimate lies this far above the truth, or further.

        It is the a for which the interval with upper tail a just reaches: intervals and p-values agree
        always. NaN for one seed. Without any spread: 0 beyond the truth, 1/2 at it.
        """
        if not self.df >= 1 or not np.isfinite(distance) or not np.isfinite(self.var):
            return float("nan")
        if distance < 0:
            return 1 - self.tail(-distance)
        if distance == 0:
            return 0.5
        if self.var_new == 0:
            se = float(np.sqrt(self.var))
            return float(special.stdtr(self.df, -distance / se)) if se > 0 else 0.0

        def excess(log_tail: float) -> float:
            return float(self.half_width(1 - 2 * np.exp(log_tail))) - distance

        lowest = -30.0
        if excess(lowest) < 0:
            return float(np.exp(lowest))
        return float(np.exp(optimize.brentq(excess, lowest, np.log(0.5), xtol=1e-10)))

    def p_outside(self, difference: float, bounds: tuple[float, float] = (0.0, 0.0)) -> float:
        """Return the two-sided p of "the true difference lies between `bounds`" ((0, 0): "there is none")."""
        low, high = bounds
        p = 2 * self.tail(max(low - difference, difference - high))
        return p if np.isnan(p) else min(1.0, p)


def t_interval(values: Sequence[float] | np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Return the t-interval of a mean; NaN for fewer than two values.

    Reference: Student (1908), Biometrika 6:1.
    """
    values = np.asarray(values, float)
    values = values[~np.isnan(values)]
    if values.size < 2:
        return float("nan"), float("nan")
    half = float(Spread(values.var(ddof=1) / values.size, values.size - 1).half_width(level))
    return float(values.mean() - half), float(values.mean() + half)


def summarise(frame: pd.DataFrame, by: Sequence[str], value: str, level: float = LEVEL) -> pd.DataFrame:
    """Summarise replicates: `n`, `mean`, `sd`, `low`, `high` for each group of rows.

    Args:
        frame: A row a replicate.
        by: Columns that name a group; groups come in order of appearance.
        value: The column to summarise; NaN is left out.
        level: Coverage of the t-interval; it is NaN where n < 2.
    """
    groups = frame.groupby(list(by), sort=False, dropna=False, observed=True)[value]
    table = groups.agg(n="count", mean="mean", sd="std").reset_index()
    n = table["n"].to_numpy(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        half = t_quantile((1 - level) / 2, n - 1) * table["sd"].to_numpy(float) / np.sqrt(n)
    return table.assign(low=table["mean"] - half, high=table["mean"] + half)


def average_folds(frame: pd.DataFrame, by: Sequence[str], value: str) -> pd.DataFrame:
    """Average the folds of a seed: they share training images, so they are no independent replicates.

    Reference: Bengio & Grandvalet (2004), JMLR 5:1089 (no unbiased variance from folds alone).
    """
    keys = [*by, "seed"]
    return frame.groupby(keys, sort=False, dropna=False, observed=True)[value].mean().reset_index()
