"""Effects of levels: differences paired by seed, with intervals for this test set and for new images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from segbench.config.pairing import Pairing
from segbench.quantities import Quantity
from segbench.stats.decisions import Evidence, p_of_counts
from segbench.stats.images import ImageTable
from segbench.stats.intervals import LEVEL, Spread
from segbench.stats.moments import Moments, resolution, step_of
from segbench.stats.pairs import Contrast, Pairs


@dataclass(frozen=True, kw_only=True)
class Effect:
    """An estimated contrast. Seeds are the replicates; folds and cells of a seed are averaged."""

    contrast: Contrast
    n: int
    """Seeds."""
    difference: float
    """Mean over seeds of level minus baseline; NaN without a pair."""
    sd: float
    """Standard deviation of the per-seed differences."""
    level_mean: float
    baseline_mean: float
    spread: Spread
    spread_new: Spread | None = None
    """With the images' part; None: images were not recorded, or one seed."""
    num_units: int = 0
    """Images, or groups, that `spread_new` rests on."""
    hedges_g: float = float("nan")
    per_seed: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    """The seed of each of `per_seed`, `level_per_seed` and `baseline_per_seed`."""
    level_per_seed: tuple[float, ...] = ()
    baseline_per_seed: tuple[float, ...] = ()
    trials: tuple[str, ...] = ()
    num_diverged: tuple[int, int, int] = (0, 0, 0)
    """At the level, at the baseline, and trials of each."""
    p_counts: float = float("nan")
    """Fisher's exact p of the seeds that diverged; NaN where no pair differs in it."""
    counts_sign: int = 0
    """Sign of the difference that these counts speak for."""
    worst: Effect | None = None
    """The contrast with the worst value for diverged trials, where the arms differ in divergences."""
    has_unbounded_worst: bool = False
    """The arms differ in divergences, and the metric has no worst value to stand for them."""
    note: str = ""

    @property
    def has_spread(self) -> bool:
        """Whether the seeds differ by more than the values' own resolution; False for one seed."""
        return bool(np.isfinite(self.spread.var))

    def spread_on(self, on: str) -> Spread:
        """Return the spread for `test_set` or `new_images`."""
        if on == "test_set":
            return self.spread
        return self.spread_new or Spread(float("nan"), 0)

    def evidence(self, on: str = "test_set") -> Evidence:
        """Return what the tests of verdicts ask for."""
        worst = self.worst
        return Evidence(
            difference=self.difference,
            spread=self.spread_on(on),
            n=self.n,
            has_unequal_divergence=worst is not None or self.has_unbounded_worst,
            worst_difference=float("nan") if worst is None else worst.difference,
            worst_spread=None if worst is None else worst.spread,
            p_counts=self.p_counts,
            counts_sign=self.counts_sign,
        )

    def interval(self, on: str = "test_set", level: float = LEVEL) -> tuple[float, float]:
        """Return the two-sided interval of this coverage; NaN for one seed."""
        half = float(self.spread_on(on).half_width(level))
        return self.difference - half, self.difference + half


def estimate(
    table: pd.DataFrame,
    contrast: Contrast,
    pairing: Pairing,
    metric: Quantity,
    images: ImageTable | None = None,
) -> Effect:
    """Estimate one contrast from the measured table.

    Per seed the difference is averaged over the pairs (cells where both levels exist, and folds) of a
    complete block (`Pairs.balanced`); the interval for this test set is Student's over seeds.

    Reference: for pairing by seed, Bouthillier et al. (2021), Accounting for Variance in ML Benchmarks,
    MLSys.
    """
    return estimate_pairs(Pairs.of(table, contrast, pairing), contrast, metric, images)


def estimate_pairs(
    planned: Pairs, contrast: Contrast, metric: Quantity, images: ImageTable | None = None
) -> Effect:
    """Estimate one contrast from its pairs."""
    effect = _from_pairs(planned, contrast, images)
    if not (metric.has_worst_case and planned.has_unequal_divergence):
        return effect
    level, baseline, seeds = planned.num_seeds_diverged
    return replace(
        effect,
        p_counts=float(p_of_counts(level, baseline, seeds)),
        counts_sign=int(np.sign(level - baseline)) * (1 if metric.is_lower_better else -1),
        worst=None if metric.worst is None else _from_pairs(planned.with_worst(metric.worst), contrast, None),
        has_unbounded_worst=metric.worst is None,
    )


def log_ratio(effect: Effect, planned: Pairs) -> Effect:
    """Return the contrast of logarithms: per seed log(level / baseline) of the means over pairs.

    NaN where some mean is not positive. The interval of a ratio of costs is not symmetric; that of its
    logarithm is.
    """
    per_seed = planned.balanced().per_seed()
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(per_seed["level"].to_numpy()) - np.log(per_seed["baseline"].to_numpy())
    if not np.isfinite(logs).all():
        logs = np.full(logs.shape, np.nan)
    moments = Moments.of(logs)
    has_worst = effect.worst is not None or effect.has_unbounded_worst  # its logarithm has none
    return replace(
        effect,
        n=int(moments.n),
        difference=float(moments.difference),
        sd=float(moments.sd),
        spread=moments.spread,
        per_seed=tuple(logs.tolist()),
        spread_new=None,
        worst=None,
        has_unbounded_worst=has_worst,
    )


def hedges_g(level: np.ndarray, baseline: np.ndarray) -> float:
    """Return the difference in units of the arms' average sd, corrected for few seeds; NaN for one seed.

    Reference: Hedges (1981), J. Educational Statistics 6:107; average sd as in Lakens (2013), Frontiers
    4:863.
    """
    if level.size < 2:
        return float("nan")
    sd = np.sqrt((level.var(ddof=1) + baseline.var(ddof=1)) / 2)
    correction = 1 - 3 / (8 * (level.size - 1) - 1)
    return float(correction * (level - baseline).mean() / sd) if sd > 0 else float("nan")


def _from_pairs(planned: Pairs, contrast: Contrast, images: ImageTable | None) -> Effect:
    kept = planned.balanced()
    per_seed = kept.per_seed()
    measured = kept.frame[["level", "baseline"]].to_numpy(float).ravel()
    finest = float(resolution(measured, len(kept.frame) // max(1, len(per_seed))))
    moments = Moments.of(per_seed["difference"].to_numpy(), resolution=finest)
    spread_new, num_units = None, 0
    layout = images.layout(kept) if images is not None and moments.has_spread else None
    if layout is not None:
        wider = moments.spread_new(*layout)
        num_units = int(wider.df_new) + 1
        spread_new = wider if np.isfinite(wider.var_new) else None
    has_seeds = len(per_seed) > 0
    return Effect(
        contrast=contrast,
        n=int(moments.n),
        difference=float(moments.difference),
        sd=float(moments.sd),
        spread=moments.spread,
        level_mean=float(per_seed["level"].mean()) if has_seeds else float("nan"),
        baseline_mean=float(per_seed["baseline"].mean()) if has_seeds else float("nan"),
        spread_new=spread_new,
        num_units=num_units,
        hedges_g=hedges_g(per_seed["level"].to_numpy(), per_seed["baseline"].to_numpy()),
        per_seed=tuple(per_seed["difference"].tolist()),
        seeds=tuple(int(seed) for seed in per_seed.index),
        level_per_seed=tuple(per_seed["level"].tolist()),
        baseline_per_seed=tuple(per_seed["baseline"].tolist()),
        trials=kept.trials,
        num_diverged=planned.num_diverged,
        note="; ".join(filter(None, (_what_was_dropped(planned, kept), _why_no_test(moments, measured)))),
    )


def _why_no_test(moments: Moments, values: np.ndarray) -> str:
    if moments.n < 2 or moments.has_spread:
        return ""
    step = float(step_of(values))
    if moments.sd > max(1e-12, 1e-3 * step):
        return (
            f"no test: the seeds differ by less than the step of the values, which look rounded to {step:g}"
        )
    return (
        "no test: the difference is the same for every seed to the last digit (are the values rounded, or "
        "does the seed change nothing?)"
    )


def _what_was_dropped(planned: Pairs, kept: Pairs) -> str:
    if planned.frame.empty:
        return "no cell has both levels"
    parts = []
    seeds = [s for s in planned.frame["seed"].unique() if s not in set(kept.frame["seed"])]
    if seeds:
        names = ", ".join(str(s) for s in seeds)
        total = planned.frame["seed"].nunique()
        where = "every cell" if planned.is_fraction else "both arms"
        parts.append(f"{len(seeds)} of {total} seeds left out, not measured in {where}: {names}")
    blocks, all_blocks = kept.frame["block"].nunique(), planned.frame["block"].nunique()
    if 0 < blocks < all_blocks:
        parts.append(f"over the {blocks} of {all_blocks} cells measured in both arms")
    return "; ".join(parts)
