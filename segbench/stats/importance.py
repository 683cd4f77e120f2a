"""Which knobs a search's objective depends on, by a model whose error on unseen proposals is said beside it.

The additive rank model: the rank of the objective is a sum of one smooth curve a knob and, of every two
knobs, the product of their straight parts. Curves are polynomials that are orthonormal over the knob's range
as the search samples it (logarithmic where it does), so that a knob's variance over the space is the sum of
its squared coefficients: a Sobol index of a polynomial chaos expansion, what functional ANOVA takes from a
random forest. Ranks, since a few proposals that hardly trained would else be all the variance there is.

References: Sudret (2008), Reliability Engineering & System Safety 93:964 (indices from coefficients);
Hutter, Hoos & Leyton-Brown (2014), ICML, PMLR 32:754 (shares of variance of hyperparameters, there by a
forest); Kim & Gu (2004), JRSS B 66:337 (generalised cross-validation with the factor 1.4). It is neither
fANOVA nor PED-ANOVA.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.polynomial import legendre

LEAST: Final = 10
"""Proposals below which there is no model; at least three a knob besides."""
WEAK: Final = 0.3
"""Out-of-sample R² below which shares must not be read as a ranking."""
_DEGREE: Final = 4
_GRID: Final = 101
_MOST_VALUES: Final = 50
"""Whole numbers or steps of a range up to which each counts by itself."""
_FOLDS: Final = 10
_WEIGHTS: Final = (math.inf, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
"""Penalties that are tried, as a share of the number of proposals; infinite: the knob is left out."""
_START: Final = 3
_SWEEPS: Final = 4
_GAMMA: Final = 1.4


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One dimension of a space."""

    name: str
    low: float = 0.0
    high: float = 1.0
    is_log: bool = False
    step: float | None = None
    """Distance between values; None: any value between the bounds."""
    levels: tuple[str, ...] = ()
    """Labels to choose from, instead of bounds."""

    def domain(self) -> np.ndarray:
        """Return values that stand for all of the range alike: those it has where they are few."""
        if self.levels:
            return np.arange(len(self.levels), dtype=float)
        if self.step:
            # A space may end short of its upper bound.
            num = math.floor((self.high - self.low) / self.step + 1e-9) + 1
            if num <= _MOST_VALUES and not self.is_log:
                return self.low + self.step * np.arange(num)
        ends = (math.log(self.low), math.log(self.high)) if self.is_log else (self.low, self.high)
        grid = np.linspace(*ends, _GRID)
        return np.exp(grid) if self.is_log else grid

    def numbers(self, values: Sequence[object]) -> np.ndarray:
        """Return values as numbers: labels by their place, NaN for what the space has not."""
        if self.levels:
            places = {label: float(place) for place, label in enumerate(self.levels)}
            return np.array([places.get(str(value), math.nan) for value in values])
        return np.asarray(values, float)

    def columns(self, numbers: np.ndarray) -> np.ndarray:
        """Return what the model is linear in: polynomials, or one column a level."""
        if self.levels:
            is_level: np.ndarray = numbers[:, None] == np.arange(len(self.levels))[None, :]
            return is_level.astype(float)[:, 1:]
        change = np.log if self.is_log else np.asarray
        low, high = change(self.low), change(self.high)
        if high <= low:
            return np.zeros((len(numbers), 0))
        degree = min(_DEGREE, len(self.domain()) - 1)
        scaled = np.clip(2 * (change(numbers) - low) / (high - low) - 1, -1, 1)
        return legendre.legvander(scaled, degree)[:, 1:]


@dataclass(frozen=True)
class Share:
    """What part of the variance of ranks over the space is a knob's."""

    name: str
    share: float
    low: float
    high: float
    """The smallest and the largest share of the fits that each leave out a tenth of the proposals."""
    best: object
    """The value at which the knob's own curve is best; None where it has none."""


@dataclass(frozen=True)
class Importance:
    """Shares of the knobs, of two knobs together, and what is left; they add up to 1."""

    knobs: tuple[Share, ...]
    pairs: Share
    rest: Share
    r2: float
    """Of ranks of proposals that the fit has not seen; 0: no better than their mean, and it may be less."""
    n: int

    @property
    def is_weak(self) -> bool:
        return not self.r2 >= WEAK


def importance(
    knobs: Sequence[Knob],
    values: Sequence[Sequence[object]],
    objective: Sequence[float] | np.ndarray,
    *,
    is_lower_better: bool = False,
    groups: Sequence[object] | None = None,
) -> Importance | None:
    """Fit the additive rank model.

    Args:
        knobs: The space.
        values: (knobs, proposals), numbers or labels.
        objective: (proposals,); an infinite one of the bad sign ranks last, such as that of a diverged trial.
        is_lower_better: Which end of the objective is good.
        groups: Of each proposal: ranks are taken within a group; None: all together.

    Returns:
        None where there are fewer than `LEAST` proposals or three a knob, or all have one rank.
    """
    objective = np.asarray(objective, float)
    numbers = [knob.numbers(column) for knob, column in zip(knobs, values, strict=True)]
    is_known = ~np.isnan(objective) & np.all([~np.isnan(column) for column in numbers], axis=0)
    if not knobs or is_known.sum() < max(LEAST, 3 * len(knobs)):
        return None
    named = np.asarray([0] * len(objective) if groups is None else list(groups), object)[is_known]
    ranks = _ranks(objective[is_known] * (-1 if is_lower_better else 1), named)
    if not np.ptp(ranks) > 0:
        return None
    design = _Design.of(knobs, [column[is_known] for column in numbers])
    fit = _fit(design, np.arange(len(ranks)), ranks)
    folds = np.arange(len(ranks)) % min(_FOLDS, len(ranks))
    fits, error, spread = [], 0.0, 0.0
    for fold in np.unique(folds):
        train, left = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        other = _fit(design, train, ranks)
        fits.append(other.shares)
        error += float(((ranks[left] - other.predict(design, left)) ** 2).sum())
        spread += float(((ranks[left] - ranks[train].mean()) ** 2).sum())
    ends = np.min(fits, axis=0), np.max(fits, axis=0)
    best = [*(design.best(place, knob, fit) for place, knob in enumerate(knobs)), None, None]
    names = [*(knob.name for knob in knobs), "", ""]
    found = [
        Share(name, float(share), min(float(low), float(share)), max(float(high), float(share)), at)
        for name, share, low, high, at in zip(names, fit.shares, *ends, best, strict=True)
    ]
    r2 = 1 - error / spread if spread > 0 else math.nan
    return Importance(tuple(found[:-2]), found[-2], found[-1], r2, len(ranks))


def _ranks(objective: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return ranks within each group, between 0 and 1."""
    from scipy.stats import rankdata  # takes a second to import; searches alone need it

    ranks = np.empty(len(objective))
    for group in dict.fromkeys(groups.tolist()):
        rows = groups == group
        ranks[rows] = (rankdata(objective[rows]) - 0.5) / rows.sum()
    return ranks


@dataclass(frozen=True)
class _Design:
    """The model's columns, orthonormal over the space: those of each knob, then those of pairs."""

    columns: np.ndarray
    group: np.ndarray
    """Of each column: the knob's place; of pairs, the number of knobs."""
    roughness: np.ndarray
    """Of each column: what its penalty is multiplied by."""
    grids: tuple[tuple[np.ndarray, np.ndarray], ...]
    """Of each knob: its domain, and its columns there."""

    @classmethod
    def of(cls, knobs: Sequence[Knob], numbers: Sequence[np.ndarray]) -> _Design:
        parts, groups, roughness, grids, straight = [], [], [], [], []
        for place, (knob, own) in enumerate(zip(knobs, numbers, strict=True)):
            domain = knob.domain()
            raw = knob.columns(domain)
            middle = raw.mean(axis=0)
            _, turn = np.linalg.qr(raw - middle)
            change = np.linalg.pinv(turn) * math.sqrt(len(domain))
            mine = (knob.columns(own) - middle) @ change
            grids.append((domain, (raw - middle) @ change))
            parts.append(mine)
            groups += [place] * mine.shape[1]
            roughness += [1.0 if knob.levels else float(k * k) for k in range(1, mine.shape[1] + 1)]
            straight.append(mine if knob.levels else mine[:, :1])
        for one, two in itertools.combinations(straight, 2):
            product = (one[:, :, None] * two[:, None, :]).reshape(len(one), -1)
            parts.append(product)
            groups += [len(knobs)] * product.shape[1]
            roughness += [2.0] * product.shape[1]
        return cls(np.hstack(parts), np.array(groups, int), np.array(roughness), tuple(grids))

    @property
    def num_groups(self) -> int:
        return len(self.grids) + 1

    def best(self, place: int, knob: Knob, fit: _Fit) -> object:
        domain, columns = self.grids[place]
        effect = columns @ fit.coefficients[self.group == place]
        if not effect.size or not np.ptp(effect) > 0:
            return None
        at = int(np.argmax(effect))
        return knob.levels[at] if knob.levels else float(domain[at])


@dataclass(frozen=True)
class _Fit:
    coefficients: np.ndarray
    middle: np.ndarray
    """Mean of each column in the data of the fit."""
    mean: float
    shares: np.ndarray
    """Of each knob, of pairs, of what is left."""

    def predict(self, design: _Design, rows: np.ndarray) -> np.ndarray:
        """Return ranks; beyond the first and the last there are none."""
        linear: np.ndarray = self.mean + (design.columns[rows] - self.middle) @ self.coefficients
        return linear.clip(0.0, 1.0)


def _fit(design: _Design, rows: np.ndarray, ranks: np.ndarray) -> _Fit:
    """Fit by ridge regression with a penalty a knob, chosen one after another."""
    columns, ranks = design.columns[rows], ranks[rows]
    middle, mean, n = columns.mean(axis=0), float(ranks.mean()), len(rows)
    gram = (columns - middle).T @ (columns - middle)
    target = (columns - middle).T @ (ranks - mean)
    total = float(((ranks - mean) ** 2).sum())

    def solve(weights: Sequence[float]) -> tuple[float, np.ndarray, float, float]:
        """Return the criterion, the coefficients, the squared error and the effective parameters."""
        penalty = np.asarray(weights)[design.group] * design.roughness * n
        kept = np.flatnonzero(np.isfinite(penalty))
        coefficients = np.zeros(len(penalty))
        within, own = gram[np.ix_(kept, kept)], target[kept]
        inverse = np.linalg.inv(within + np.diag(penalty[kept]))
        coefficients[kept] = inverse @ own
        fitted = coefficients[kept]
        error = max(0.0, float(total - 2 * own @ fitted + fitted @ within @ fitted))
        size = 1 + float(np.trace(inverse @ within))
        room = n - _GAMMA * size
        return (n * error / room**2 if room > 1 else math.inf), coefficients, error, size

    weights = [_WEIGHTS[_START]] * design.num_groups
    weights[-1] = math.inf
    for _ in range(_SWEEPS):
        before = list(weights)
        for group in range(design.num_groups):
            tried = [[*weights[:group], weight, *weights[group + 1 :]] for weight in _WEIGHTS]
            weights = min(tried, key=lambda each: solve(each)[0])
        if weights == before:
            break
    _, coefficients, error, size = solve(weights)
    own = [float((coefficients[design.group == group] ** 2).sum()) for group in range(design.num_groups)]
    variances = np.array([*own, error / max(n - size, 1.0)])
    return _Fit(coefficients, middle, mean, variances / max(variances.sum(), 1e-300))
