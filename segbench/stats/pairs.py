"""Contrasts and the pairs of trials that estimate them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from segbench.config.pairing import Pairing
from segbench.records import State, axis_column


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A level against another one of its axis: their difference is level minus baseline."""

    axis: str
    level: str
    baseline: str
    at: tuple[tuple[str, str], ...] = ()
    """(axis, level) pairs that are held; empty: marginal over every other axis."""
    metric: str = "test_dice"
    among: tuple[tuple[str, str], ...] = ()
    """(division, label) pairs of the test images that count; empty: all."""

    @property
    def at_text(self) -> str:
        among = [f"images of {name} {label}" for name, label in self.among]
        return ", ".join([*(f"{axis} = {level}" for axis, level in self.at), *among])

    @property
    def key(self) -> tuple[object, ...]:
        """What the contrast is about, whichever of its levels comes first."""
        return (
            self.axis,
            frozenset((self.level, self.baseline)),
            frozenset(self.at),
            self.metric,
            frozenset(self.among),
        )


@dataclass(frozen=True)
class Pairs:
    """Planned pairs of a contrast: two trials alike in the other axes, the seed and the fold.

    In a fraction of a factorial (ADR 10) no two cells are alike in all other axes: every cell at the level is
    set against some cell at the baseline: which one does not matter, as long as all of a seed's cells are
    there. Over them the other axes are in balance, so the mean difference is the level's effect.
    """

    frame: pd.DataFrame
    """One row per pair: `seed`, `block` (number of the other levels and fold), `trial_level`,
    `trial_baseline`, `level`, `baseline` (values, NaN unless complete), `state_level`, `state_baseline`."""
    is_fraction: bool = False
    """Whether a seed counts only with all of its cells."""

    @classmethod
    def of(cls, table: pd.DataFrame, contrast: Contrast, pairing: Pairing) -> Pairs:
        """Take the pairs of one contrast from the measured table; `PairedTable` is quicker for many."""
        return PairedTable(table, pairing).pairs(contrast)

    @property
    def num_diverged(self) -> tuple[int, int, int]:
        """Diverged trials at the level, at the baseline, and trials planned in each."""
        level, baseline = (
            self.frame[f"state_{arm}"] == State.DIVERGED.value for arm in ("level", "baseline")
        )
        return int(level.sum()), int(baseline.sum()), len(self.frame)

    @property
    def num_seeds_diverged(self) -> tuple[int, int, int]:
        """Seeds with a diverged trial at the level, at the baseline, and all seeds."""
        groups = self.frame.assign(
            l=self.frame["state_level"] == State.DIVERGED.value,
            b=self.frame["state_baseline"] == State.DIVERGED.value,
        ).groupby("seed")
        return int(groups["l"].any().sum()), int(groups["b"].any().sum()), groups.ngroups

    @property
    def has_unequal_divergence(self) -> bool:
        """Whether in some pair one trial diverged and the other did not."""
        frame = self.frame
        diverged = State.DIVERGED.value
        return bool(((frame["state_level"] == diverged) != (frame["state_baseline"] == diverged)).any())

    def with_worst(self, worst: float) -> Pairs:
        """Let the worst possible value stand for each diverged trial."""
        frame = self.frame.copy()
        for arm in ("level", "baseline"):
            frame[arm] = frame[arm].where(frame[f"state_{arm}"] != State.DIVERGED.value, worst)
        return replace(self, frame=frame)

    def balanced(self) -> Pairs:
        """Keep a complete block: seeds and cells of which every pair is measured.

        Otherwise a seed that lacks a cell would add that cell's effect to the noise between seeds. Whichever
        lacks the larger share of its pairs, a seed or a cell (with its fold), is left out, until nothing is
        missing; a tie costs the cell, since seeds are the replicates. Of a fraction only whole seeds are
        kept: without one cell the other axes would no longer be in balance.
        """
        frame = self.frame
        seeds, seed_names = pd.factorize(frame["seed"])
        num_blocks = int(frame["block"].max()) + 1 if len(frame) else 0
        usable = np.zeros((len(seed_names), num_blocks), bool)
        usable[seeds, frame["block"]] = frame["level"].notna() & frame["baseline"].notna()
        rows: np.ndarray = np.any(usable, axis=1)
        columns: np.ndarray = np.any(usable, axis=0)
        while not (kept := usable[np.ix_(rows, columns)]).all():
            row_share, column_share = 1 - kept.mean(axis=1), 1 - kept.mean(axis=0)
            if self.is_fraction or row_share.max() > column_share.max():
                rows[np.flatnonzero(rows)[row_share.argmax()]] = False
            else:
                columns[np.flatnonzero(columns)[column_share.argmax()]] = False
        return replace(self, frame=frame[rows[seeds] & columns[frame["block"]]])

    def per_seed(self) -> pd.DataFrame:
        """Average over cells and folds: `level`, `baseline`, `difference`, indexed by `seed`, rising."""
        frame = self.frame.assign(difference=self.frame["level"] - self.frame["baseline"])
        return frame.groupby("seed")[["level", "baseline", "difference"]].mean()

    @property
    def trials(self) -> tuple[str, ...]:
        """Every trial that takes part."""
        names = (*self.frame["trial_level"].tolist(), *self.frame["trial_baseline"].tolist())
        return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))


@dataclass(frozen=True)
class PairedTable:
    """A measured table, and which of its rows make pairs: found once, whatever metrics are asked for."""

    table: pd.DataFrame
    """One row per planned trial: one `axis:NAME` per axis, `seed`, `fold`, `trial`, `state`, metrics."""
    pairing: Pairing
    _matches: dict[tuple[object, ...], _Matches] = field(default_factory=dict, repr=False)

    def pairs(self, contrast: Contrast) -> Pairs:
        """Return the pairs of a contrast; none where no cell has both levels.

        Where a row has no level of an axis (NaN or empty) the axis's baseline stands for it, in the pairing
        alone.
        """
        key = (contrast.axis, contrast.level, contrast.baseline, contrast.at)
        if key not in self._matches:
            self._matches[key] = self._match(contrast)
        found = self._matches[key]
        columns: dict[str, object] = {"seed": self.table["seed"].to_numpy()[found.level]}
        for arm, rows in (("level", found.level), ("baseline", found.baseline)):
            for name, source in (
                (f"trial_{arm}", "trial"),
                (arm, contrast.metric),
                (f"state_{arm}", "state"),
            ):
                columns[name] = self.table[source].array[rows]
        return Pairs(pd.DataFrame({**columns, "block": found.block}), self.pairing.is_fraction)

    def _match(self, contrast: Contrast) -> _Matches:
        is_held = np.ones(len(self.table), bool)
        for axis, level in contrast.at:
            is_held &= (self.table[axis_column(axis)] == level).to_numpy(bool)
        cells = _numbered(
            [self._filled(axis) for axis in self.pairing.others(contrast.axis)], len(self.table)
        )
        place = _numbered([self.table["seed"], self.table["fold"]], len(self.table))
        arms = []
        for label in (contrast.level, contrast.baseline):
            rows = np.flatnonzero(is_held & (self.table[axis_column(contrast.axis)] == label).to_numpy(bool))
            cell = pd.factorize(cells[rows])[0] if self.pairing.is_fraction else cells[rows]
            arms.append(pd.DataFrame({"cell": cell, "place": place[rows], "row": rows}))
        joined = arms[0].merge(arms[1], on=["cell", "place"], how="inner", suffixes=("_level", "_baseline"))
        at_level = joined["row_level"].to_numpy()
        block = _numbered([joined["cell"], self.table["fold"].iloc[at_level]], len(joined))
        return _Matches(at_level, joined["row_baseline"].to_numpy(), block)

    def _filled(self, axis: str) -> pd.Series:
        labels = self.table[axis_column(axis)]
        stand_in = self.pairing.stand_ins.get(axis)
        return labels if stand_in is None else labels.where(labels.notna() & (labels != ""), stand_in)


@dataclass(frozen=True)
class _Matches:
    level: np.ndarray
    """(pairs,) row of the table at the level."""
    baseline: np.ndarray
    block: np.ndarray
    """(pairs,) number of the other levels and fold."""


def _numbered(columns: Sequence[pd.Series], length: int) -> np.ndarray:
    """Return (rows,) numbers of the combinations that stand in these columns, by first appearance."""
    numbers = np.zeros(length, np.int64)
    for column in columns:
        codes, values = pd.factorize(column.to_numpy(), use_na_sentinel=False)
        numbers = pd.factorize(numbers * max(len(values), 1) + codes)[0]
    return numbers
