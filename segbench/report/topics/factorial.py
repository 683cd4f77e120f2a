"""What a report says of a factorial design: marginal means, interactions, analysis of variance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from segbench.config.experiment import Experiment
from segbench.config.pairing import Crossing, Pairing
from segbench.quantities import is_lower_better
from segbench.records import axis_column
from segbench.report.analysis import Analysis
from segbench.report.columns import Numbered, rows_of
from segbench.report.draw.figure import DASHES, Facet, Figure, Key, Look, Mark, Scale, colour, in_rows, marker
from segbench.report.draw.layout import shortened
from segbench.report.draw.scales import linear
from segbench.report.labels import Labels
from segbench.report.numbers import MINUS, Numbers, counted, listed
from segbench.report.table import Column, Field, Table
from segbench.report.trace_frames import interaction_subject, marginal_subject, pair_subject
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
        keys = [*map(axis_column, crossing.factors), "seed"]
        in_crossing = table["cell"].isin([cell.label for cell in crossing.cells])
        used = table[in_crossing].merge(block[keys], on=keys).sort_values(["seed", "fold"], kind="stable")
        places = {
            (axis, str(label)): frozenset(map(int, own))
            for axis in crossing.factors
            for label, own in used.reset_index(drop=True)
            .groupby(axis_column(axis), sort=False)
            .indices.items()
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
        total = counted(table["seed"].nunique(), "seed")
        if not block.empty:
            notes.append(f"{_MEANS} leave out {len(seeds)} of {total}, not measured in every cell: {names}.")
    if crossing.held:
        held = listed([f"{axis} {label}" for axis, label in crossing.held.items()])
        cells = f"{len(crossing.cells)} of {len(experiment.cells)} cells"
        notes.append(f"{_WHAT} are over {cells}: those at {held}, and those without it.")
    return notes


# Interactions as lines: the mean of every pair of levels of two axes. Parallel lines: the effects add up.


_HEIGHT_CM = 4.6
_MOST_FACETS = 6
_LEFT_CM = 1.45
_APART = 0.07
"""Distance of two lines along x, in steps between levels: their intervals must not hide each other."""


@dataclass(frozen=True)
class _Pair:
    """One plot: levels of one axis side by side, a line for each level of the other."""

    means: pd.DataFrame
    along: str
    lines: str

    @classmethod
    def of(cls, means: pd.DataFrame, axis_a: str, axis_b: str, labels: Labels) -> _Pair:
        """Put the axis of more levels along x, the second where they have as many."""
        both = means[(means["axis_a"] == axis_a) & (means["axis_b"] == axis_b)]
        subjects = [pair_subject(labels.analysis, row) for row in both.to_dict(orient="records")]
        both = both.assign(subject=subjects)
        swaps = len(labels.labels_of(axis_a)) > len(labels.labels_of(axis_b))
        names = {"level_a": "along", "level_b": "line"} if swaps else {"level_b": "along", "level_a": "line"}
        return cls(both.rename(columns=names), *((axis_a, axis_b) if swaps else (axis_b, axis_a)))


def interactions_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return a plot for every pair of crossed axes, up to six; None where nothing is crossed."""
    means = analysis.interaction_means
    if means is None or means.empty:
        return None
    named = means[["axis_a", "axis_b"]].drop_duplicates().itertuples(index=False)
    pairs = [_Pair.of(means, a, b, labels) for a, b in named]
    shown = pairs[:_MOST_FACETS]
    looks = _looks(shown, labels)
    outcome = labels.metric(analysis.experiment.outcome)
    y = linear([v for v in [*means["mean"], *means["low"], *means["high"]] if v == v], outcome, num_ticks=4)
    columns = 1 if len(shown) == 1 else 2
    # A facet's room for the names along x; the figure's left side holds the ticks of y.
    width = (labels.style.width_cm - _LEFT_CM - 0.45 * (columns - 1) - 0.3) / columns
    facets = [_facet(pair, number, y, looks, labels, width) for number, pair in enumerate(shown)]
    better = " Lower is better." if is_lower_better(analysis.experiment.outcome) else ""
    more = f" {len(pairs) - len(shown)} further pairs of axes are in the tables alone." * (
        len(pairs) > len(shown)
    )
    held = " over the levels of all other axes" * (len({a for p in pairs for a in (p.along, p.lines)}) > 2)
    has_intervals = bool(means["low"].notna().any())
    return Figure(
        name="interactions",
        title="Interactions",
        caption=(
            f"{outcome}: means{held} over seeds"
            + (", with 95 % t-intervals" if has_intervals else "")
            + ". Lines that are parallel: the two effects add up. The intervals are of the means; whether "
            f"lines differ in slope, paired by seed, stands in the table of interactions.{better}{more}"
        ),
        facets=in_rows(facets, columns),
        width_cm=labels.style.width_cm,
        row_height_cm=_HEIGHT_CM,
        left_cm=_LEFT_CM,
        legend=tuple(
            Key(text=f"{labels.axis(axis)}: {labels.name(level)}", look=look, kind="points")
            for (axis, level), look in looks.items()
        ),
    )


def _looks(pairs: list[_Pair], labels: Labels) -> dict[tuple[str, str], Look]:
    """Give every level that has a line a look of its own, the same in all plots."""
    axes = dict.fromkeys(pair.lines for pair in pairs)
    known = [
        (axis, level) for axis in axes for level in labels.labels_of(axis) if _is_drawn(axis, level, pairs)
    ]
    return {
        name: Look(colour=colour(k), marker=marker(k), dash=DASHES[k % len(DASHES)])
        for k, name in enumerate(known)
    }


def _is_drawn(axis: str, level: str, pairs: list[_Pair]) -> bool:
    return any(pair.lines == axis and (pair.means["line"] == level).any() for pair in pairs)


def _facet(
    pair: _Pair, number: int, y: Scale, looks: dict[tuple[str, str], Look], labels: Labels, width: float
) -> Facet:
    present = set(pair.means["along"])
    along = [level for level in labels.labels_of(pair.along) if level in present]
    lines = [name for name in looks if name[0] == pair.lines]
    marks = []
    for k, (axis, level) in enumerate(lines):
        own = pair.means[pair.means["line"] == level].set_index("along").loc[along]
        shift = (k - (len(lines) - 1) / 2) * min(_APART, 0.5 / len(lines))
        marks += _line(f"p{number + 1}-{k + 1}", own, shift, labels.name(level), looks[axis, level], labels)
    room = width / len(along) - 0.15
    return Facet(
        x=Scale(
            label=labels.axis(pair.along),
            low=-0.5,
            high=len(along) - 0.5,
            ticks=tuple(float(k) for k in range(len(along))),
            tick_labels=tuple(shortened(labels.name(level), room) for level in along),
        ),
        y=y,
        marks=tuple(marks),
        title=f"{labels.axis(pair.lines)} × {labels.axis(pair.along)}",
    )


def _line(key: str, means: pd.DataFrame, shift: float, name: str, look: Look, labels: Labels) -> list[Mark]:
    numbers = Numbers(labels.style.digits)
    x = tuple(k + shift for k in range(len(means)))
    y = tuple(means["mean"].astype(float))
    has_interval = bool(means["low"].notna().any())
    hover = tuple(
        f"{name}, {labels.name(str(row.Index))}: {numbers.value(row.mean)} "
        f"{numbers.interval(row.low, row.high)}, n = {row.n}"
        for row in means.itertuples()
    )
    points = Mark(
        key=f"{key}-mean",
        name=name,
        kind="points",
        look=Look(colour=look.colour, marker=look.marker),
        x=x,
        y=y,
        low=tuple(means["low"].astype(float)) if has_interval else (),
        high=tuple(means["high"].astype(float)) if has_interval else (),
        is_horizontal=False,
        hover=hover,
        traces=tuple(labels.traces.hover("interaction_means", s, "mean") for s in means["subject"]),
    )
    return [
        Mark(key=f"{key}-line", name=name, look=Look(colour=look.colour, dash=look.dash), x=x, y=y),
        points,
    ]


# The tables of factors: means of levels, interactions, analysis of variance. All are exploratory.


def marginals_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the outcome of every level, averaged over the levels of the other axes."""
    outcome = labels.metric(analysis.experiment.outcome)
    shown = (("n", "n"), (outcome, "mean"), ("95 % interval", "interval"), ("sd", "sd"))
    numbers = Numbered(labels, "marginals", shown)
    rows = [
        (
            Field(text=labels.axis(row["axis"])),
            Field(text=labels.name(row["level"])),
            *numbers.fields(marginal_subject(analysis, row)),
        )
        for row in rows_of(analysis.marginals)
    ]
    columns = (
        Column(title="Axis", is_number=False),
        Column(title="Level", is_number=False),
        *numbers.columns,
    )
    note = (
        "Per seed the mean over all cells that have the level; n counts seeds, interval and sd are over "
        "them. Where two axes interact, the mean of a level hides what it does at each level of the other."
    )
    return Table(
        name="marginals",
        caption="Means of levels, over the levels of the other axes.",
        columns=columns,
        rows=tuple(rows),
        note=note,
    )


def interactions_table(analysis: Analysis, labels: Labels) -> Table:
    """Return how much each effect changes with a level of another axis."""
    shown = (
        ("n", "n"),
        ("Difference of differences", "difference"),
        ("95 % interval, this test set", "interval"),
    )
    numbers = Numbered(labels, "interactions", shown)
    rows = [
        (
            *(Field(text=_effect(row, side, labels)) for side in ("a", "b")),
            *numbers.fields(interaction_subject(analysis, row)),
        )
        for row in rows_of(analysis.interactions)
    ]
    columns = (
        Column(title="Effect of", is_number=False),
        Column(title="changes with", is_number=False),
        *numbers.columns,
    )
    note = (
        "By how much the first difference is larger at the second's level than at its baseline, seed by "
        "seed, over the levels of all other axes. Zero: the two effects add up. Exploratory: intervals "
        "without correction, no verdicts."
    )
    return Table(
        name="interactions",
        caption="Interactions of two axes.",
        columns=columns,
        rows=tuple(rows),
        note=note,
    )


def anova_table(analysis: Analysis, labels: Labels) -> Table:
    """Return the analysis of variance."""
    shown = (
        ("df", "df"),
        ("Sum of squares", "ss"),
        ("F", "f"),
        ("p", "p"),
        ("η²", "eta_squared"),
        ("ω²", "omega_squared"),
    )
    numbers = Numbered(labels, "anova", shown)
    rows = [
        (Field(text=_source(row["source"], row["axes"], labels)), *numbers.fields(row["source"]))
        for row in rows_of(analysis.anova)
    ]
    columns = (Column(title="Source", is_number=False), *numbers.columns)
    note = (
        "Seed as a block; the residual, the interaction of seeds with cells, is the error of every F. "
        f"{_types(analysis)} η²: share of the total sum of squares; ω²: the same less what chance would "
        "give, negative where F is below 1. "
        "The p-values take all cells to vary alike over seeds, are not corrected, and judge nothing."
    )
    return Table(
        name="anova",
        caption="Analysis of variance of the outcome, exploratory.",
        columns=columns,
        rows=tuple(rows),
        note=note,
    )


def _types(analysis: Analysis) -> str:
    """Say which sums of squares the analysis of variance has; without losses all types are the same."""
    rows = rows_of(analysis.anova)
    df = {row["source"]: row["df"] for row in rows if not row["axes"]}
    cells = 1 + sum(row["df"] for row in rows if row["axes"])
    if df and df["total"] + 1 != cells * (df["seed"] + 1):
        return "Some trials are missing: sums of squares are of type III and do not add up to the total."
    return "The crossing is complete and balanced, so sums of squares of types I, II and III agree."


def _effect(row: Mapping[str, Any], side: str, labels: Labels) -> str:
    level, baseline = labels.name(row[f"level_{side}"]), labels.name(row[f"baseline_{side}"])
    return f"{labels.axis(row[f'axis_{side}'])}: {level} {MINUS} {baseline}"


def _source(source: str, axes: Sequence[str], labels: Labels) -> str:
    return " × ".join(labels.axis(axis) for axis in axes) or source
