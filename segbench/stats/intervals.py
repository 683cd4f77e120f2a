"""Means with t-intervals, and the spread from which every interval and p-value of a report is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy import special

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
    Fields are numbers or arrays that broadcast; so are the results. A report asks for one contrast,
    `make calibrate` for 10,000 simulated ones.

    Reference: part by part after Howe (1974), JASA 69:789 (approximate limits for the mean of a sum of
    independent parts); with `var_new` = 0 it is Student's t-interval exactly.
    """

    var: np.ndarray | float
    """Variance of the mean over seeds."""
    df: np.ndarray | float
    """Seeds minus 1."""
    var_new: np.ndarray | float = 0.0
    """Variance that drawing other images would add to the mean."""
    df_new: np.ndarray | float = 1.0
    """Images (or groups) minus 1."""

    def half_width(self, level: float = LEVEL) -> np.ndarray:
        """Return half the width of the two-sided interval; NaN for one seed."""
        tail = (1 - level) / 2
        seeds = t_quantile(tail, self.df) ** 2 * np.asarray(self.var, float)
        images = np.where(
            np.asarray(self.var_new) > 0, t_quantile(tail, self.df_new) ** 2 * np.asarray(self.var_new), 0.0
        )
        half: np.ndarray = np.sqrt(seeds + images)
        return half

    def tail(self, distance: np.ndarray | float) -> np.ndarray:
        """Return the one-sided probability that the estimate lies this far above the truth, or further.

        It is the a for which the interval with upper tail a just reaches: intervals and p-values agree
        always. NaN for one seed. Without any spread: 0 beyond the truth, 1/2 at it.
        """
        distance, var, df, var_new, df_new = (
            np.asarray(x, float)
            for x in np.broadcast_arrays(distance, self.var, self.df, self.var_new, self.df_new)
        )
        away = np.abs(distance)
        is_known = (df >= 1) & np.isfinite(away) & np.isfinite(var)
        with np.errstate(divide="ignore", invalid="ignore"):
            upper = np.where(var > 0, special.stdtr(np.maximum(df, 1), -away / np.sqrt(var)), 0.0)
        has_images = is_known & (var_new > 0) & (away > 0)
        if has_images.any():
            upper[has_images] = _two_part_tail(*(x[has_images] for x in (away, var, df, var_new, df_new)))
        upper = np.where(distance < 0, 1 - upper, np.where(distance == 0, 0.5, upper))
        return np.where(is_known, upper, np.nan)[()]

    def p_outside(
        self,
        difference: np.ndarray | float,
        bounds: tuple[np.ndarray | float, np.ndarray | float] = (0.0, 0.0),
    ) -> np.ndarray:
        """Return the two-sided p of "the true difference lies between `bounds`" ((0, 0): "there is none")."""
        low, high = bounds
        p: np.ndarray = np.minimum(1.0, 2 * self.tail(np.maximum(low - difference, difference - high)))
        return p


LOWEST_LOG_TAIL: Final = -30.0
"""Where the search for a two-part tail probability ends: anything smaller is given as this."""


def _two_part_tail(
    distance: np.ndarray, var: np.ndarray, df: np.ndarray, var_new: np.ndarray, df_new: np.ndarray
) -> np.ndarray:
    """Return the a whose two-part half-width is `distance`, by a bracketed root of its logarithm."""
    from scipy.optimize import elementwise

    def excess(log_tail: np.ndarray, *parts: np.ndarray) -> np.ndarray:
        away, var, df, var_new, df_new = parts
        tail = np.exp(log_tail)
        half = np.sqrt(special.stdtrit(df, tail) ** 2 * var + special.stdtrit(df_new, tail) ** 2 * var_new)
        beyond: np.ndarray = half - away
        return beyond

    parts = (distance, var, df, var_new, df_new)
    lowest = np.full(distance.shape, LOWEST_LOG_TAIL)
    is_inside = excess(lowest, *parts) > 0
    log_tail = lowest
    if is_inside.any():
        args = tuple(x[is_inside] for x in parts)
        bracket = lowest[is_inside], np.full(int(is_inside.sum()), np.log(0.5))
        found = elementwise.find_root(excess, bracket, args=args, tolerances={"xatol": 1e-12, "xrtol": 0.0})
        log_tail[is_inside] = found.x
    tail: np.ndarray = np.exp(log_tail)
    return tail


def t_interval(values: Sequence[float] | np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Return the t-interval of a mean; NaN for fewer than two values.

    Reference: Student (1908), Biometrika 6:1.
    """
    measured = np.asarray(values, float)
    measured = measured[~np.isnan(measured)]
    if measured.size < 2:
        return float("nan"), float("nan")
    half = float(Spread(measured.var(ddof=1) / measured.size, measured.size - 1).half_width(level))
    return float(measured.mean() - half), float(measured.mean() + half)


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
    half = half_widths(table["n"].to_numpy(), table["sd"].to_numpy(), level)
    return table.assign(low=table["mean"] - half, high=table["mean"] + half)


def half_widths(n: np.ndarray, sd: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """Return half the widths of the t-intervals of means of n values with this sd; NaN where n < 2."""
    n = np.asarray(n, float)
    # A quantile costs more than all the rest, and there are few different n.
    different, place = np.unique(n, return_inverse=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        quantiles: np.ndarray = t_quantile((1 - level) / 2, different - 1)[place]
        widths: np.ndarray = quantiles * np.asarray(sd, float) / np.sqrt(n)
        return widths


def average_folds(frame: pd.DataFrame, by: Sequence[str], value: str) -> pd.DataFrame:
    """Average the folds of a seed: they share training images, so they are no independent replicates.

    Reference: Bengio & Grandvalet (2004), JMLR 5:1089 (no unbiased variance from folds alone).
    """
    keys = [*by, "seed"]
    return frame.groupby(keys, sort=False, dropna=False, observed=True)[value].mean().reset_index()
