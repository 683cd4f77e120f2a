"""What a report says of a factorial design: marginal means, interactions, analysis of variance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from segbench.config.experiment import Experiment
from segbench.config.pairing import Crossing, Pairing
from segbench.report.phrases import count, listed
from segbench.stats.factorial import (
    anova,
    complete_block,
    interaction_means,
    interactions,
    marginal_means,
    measured_block,
    unbalanced_anova,
)

_WHAT = "Means of levels, interactions and the analysis of variance"
_MEANS = "Means of levels and interactions"
_UNBALANCED = (
    "The analysis of variance takes every measured trial; since some are missing its sums of squares are of "
    "type III (cells count alike), which do not add up to the total."
)


@dataclass(frozen=True, kw_only=True)
class Factorial:
    """The frames of `Analysis` about factors; None where the design is no complete crossing."""

    marginals: pd.DataFrame | None = None
    interaction_means: pd.DataFrame | None = None
    interactions: pd.DataFrame | None = None
    anova: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, experiment: Experiment, table: pd.DataFrame) -> Factorial:
        """Work out the frames; several axes without a complete crossing get a note that says why.

        Args:
            experiment: The design.
            table: A row a planned trial, measured.
        """
        if len(experiment.axes) < 2 or experiment.outcome not in table:
            return cls()
        crossing = Pairing.of(experiment).crossing(experiment.cells)
        if crossing.reason:
            return cls(notes=(_refused(experiment, crossing.reason),))
        block = complete_block(table, crossing, experiment.outcome)
        measured = measured_block(table, crossing, experiment.outcome)
        present = {axis: {cell.levels[axis] for cell in crossing.cells} for axis in crossing.factors}
        levels = {
            axis: [label for label in experiment.axis(axis).labels if label in present[axis]]
            for axis in crossing.factors
        }
        is_balanced = len(measured) == len(block)
        squares = (anova if is_balanced else unbalanced_anova)(measured, levels)
        behind = _Trials.of(table, crossing, measured)
        notes = _notes(experiment, table, crossing, block)
        if not is_balanced and not squares.empty:
            notes.append(_UNBALANCED)
        if block.empty:
            return cls(
                anova=None if squares.empty else behind.beside(squares),
                notes=(_refused(experiment, "no seed is measured in every cell", what=_MEANS), *notes),
            )
        # A baseline that `exclude:` took out of every cell leaves nothing to measure an interaction from.
        baselines = {axis: experiment.axis(axis).baseline for axis in levels}
        baselines = {a: own if own in levels[a] else levels[a][0] for a, own in baselines.items()}
        whole = _Trials.of(table, crossing, block)
        return cls(
            marginals=whole.beside(marginal_means(block, levels), ""),
            interaction_means=whole.beside(interaction_means(block, levels), "_a", "_b"),
            interactions=whole.beside(interactions(block, levels, baselines), "_a", "_b"),
            anova=behind.beside(squares),
            notes=tuple(notes),
        )


@dataclass(frozen=True)
class _Trials:
    """The trials of a block of cells and seeds."""

    hashes: tuple[str, ...]
    places: Mapping[tuple[str, str], frozenset[int]]
    """Axis and level -> which of `hashes`."""

    @classmethod
    def of(cls, table: pd.DataFrame, crossing: Crossing, block: pd.DataFrame) -> _Trials:
        keys = [*crossing.factors, "seed"]
        in_crossing = table["cell"].isin([cell.label for cell in crossing.cells])
        used = table[in_crossing].merge(block[keys], on=keys).sort_values(["seed", "fold"], kind="stable")
        places = {
            (axis, str(label)): frozenset(map(int, own))
            for axis in crossing.factors
            for label, own in used.reset_index(drop=True).groupby(axis, sort=False).indices.items()
        }
        return cls(tuple(map(str, used["trial"])), places)

    def beside(self, frame: pd.DataFrame, *sides: str) -> pd.DataFrame:
        """Return a frame with the column `trials`: those with the row's levels.

        Args:
            frame: A row a combination of levels.
            sides: Ends of the columns `axis`, `level` and `baseline` that name an axis and its levels.
        """
        trials = []
        for row in frame.to_dict("records"):
            found = set(range(len(self.hashes)))
            for side in sides:
                axis = str(row[f"axis{side}"])
                labels = [str(row[name]) for name in (f"level{side}", f"baseline{side}") if name in row]
                found &= frozenset().union(*(self.places.get((axis, label), frozenset()) for label in labels))
            trials.append(tuple(self.hashes[k] for k in sorted(found)))
        return frame.assign(trials=pd.Series(trials, index=frame.index, dtype=object))


def _refused(experiment: Experiment, reason: str, *, what: str = _WHAT) -> str:
    axes = listed([axis.name for axis in experiment.axes])
    return f"{what} of {axes} need a complete crossing: {reason}."


def _notes(experiment: Experiment, table: pd.DataFrame, crossing: Crossing, block: pd.DataFrame) -> list[str]:
    notes = []
    seeds = [seed for seed in table["seed"].unique() if seed not in set(block["seed"])]
    if seeds:
        names = ", ".join(str(seed) for seed in seeds)
        total = count(table["seed"].nunique(), "seed")
        if not block.empty:
            notes.append(f"{_MEANS} leave out {len(seeds)} of {total}, not measured in every cell: {names}.")
    if crossing.held:
        held = listed([f"{axis} {label}" for axis, label in crossing.held.items()])
        cells = f"{len(crossing.cells)} of {len(experiment.cells)} cells"
        notes.append(f"{_WHAT} are over {cells}: those at {held}, and those without it.")
    return notes
