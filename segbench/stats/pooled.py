"""The pooled-error analysis, a sensitivity: what intervals would be if all cells varied alike over seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from segbench.config.pairing import Pairing
from segbench.stats.intervals import Spread
from segbench.stats.pairs import Contrast, Pairs


@dataclass(frozen=True)
class PooledError:
    """The residual of outcomes by cell and seed, when the means of cells and of seeds are taken out."""

    variance: float
    """Mean square."""
    df: int
    """(cells - 1) x (seeds - 1)."""
    seeds: frozenset[object]
    """The seeds that are measured in every cell."""
    trials: tuple[str, ...] = ()
    """Of these seeds."""

    @classmethod
    def of(cls, table: pd.DataFrame, metric: str) -> PooledError | None:
        """Pool the error of all cells; None for fewer than two whole seeds or three cells.

        With two cells it is the paired t-test. Only seeds measured in every cell, fold by fold, count.

        Args:
            table: One row per planned trial: `cell`, `seed`, the metric (NaN unless complete).
            metric: Which column.

        Reference: repeated-measures analysis of variance, Winer, Brown & Michels (1991), Statistical
        Principles in Experimental Design, chapter 4. It takes the variances of all differences of cells to be
        equal (sphericity; Huynh & Feldt, 1970, JASA 65:1582), which a level that collapses now and then
        breaks.
        """
        is_whole = table[metric].notna().groupby(table["seed"]).transform("all")
        means = table[is_whole].groupby(["cell", "seed"])[metric].mean()
        num_cells, seeds = table["cell"].nunique(), frozenset(table.loc[is_whole, "seed"])
        if num_cells < 3 or len(seeds) < 2:
            return None
        values = means.to_numpy(float).reshape(num_cells, len(seeds))
        error = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
        df = (num_cells - 1) * (len(seeds) - 1)
        trials = tuple(map(str, table.loc[is_whole, "trial"])) if "trial" in table else ()
        return cls(float((error**2).sum()) / df, df, seeds, trials)

    def spread(self, table: pd.DataFrame, contrast: Contrast, pairing: Pairing) -> Spread:
        """Return the spread of a contrast of means over m cells each: variance 2·MS / (m·seeds).

        NaN where the contrast rests on other seeds than the pooled error.
        """
        pairs = Pairs.of(table, contrast, pairing).balanced().frame
        if pairs.empty or frozenset(pairs["seed"]) != self.seeds:
            return Spread(float("nan"), 0)
        num_folds = table["fold"].nunique()
        num_cells = pairs["block"].nunique() / num_folds
        return Spread(2 * self.variance / (num_cells * len(self.seeds)), self.df)


def changes_side(own: tuple[float, float], pooled: tuple[float, float]) -> bool:
    """Whether one interval alone excludes 0, or both on opposite sides."""
    return bool(_side(own) != _side(pooled)) and not np.isnan([*own, *pooled]).any()


def _side(interval: tuple[float, float]) -> int:
    return int(interval[0] > 0) - int(interval[1] < 0)
