"""What a report says of a factorial design: marginal means, interactions, analysis of variance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from segbench.config.experiment import Experiment
from segbench.config.pairing import Crossing, Pairing
from segbench.quantities import is_lower_better
from segbench.records import axis_column
from segbench.report.analysis import Analysis
from segbench.report.draw.figure import (
    DASHES,
    Facet,
    Figure,
    Key,
    Look,
    Mark,
    Scale,
    colour,
    in_rows,
    linear,
    marker,
)
from segbench.report.draw.layout import shortened
from segbench.report.labels import Labels
from segbench.report.numbers import MINUS, Numbers
from segbench.report.study import Study
from segbench.report.topics.topic import Column, FigurePart, Frame, Number, TablePart, Text, Topic, interval
from segbench.report.trace import (
    Asked,
    Measured,
    Row,
    Source,
    mean_steps,
    number_text,
    rows_of,
    show_count,
    show_of,
    show_p,
    show_share,
    show_significant,
)
from segbench.stats.factorial import (
    anova,
    complete_block,
    interaction_means,
    interactions,
    marginal_means,
    measured_block,
    unbalanced_anova,
)
from segbench.wording import counted, listed

_WHAT = "Means of levels, interactions and the analysis of variance"
_MEANS = "Means of levels and interactions"
_UNBALANCED = (
    "The analysis of variance takes every measured trial; since some are missing its sums of squares are of "
    "type III (cells count alike), which do not add up to the total."
)


@dataclass(frozen=True, kw_only=True)
class Factorial:
    """The frames about factors; empty where the design is no complete crossing of two axes or more.

    Each has `trials`, a tuple of hashes. All are exploratory.
    """

    marginals: pd.DataFrame = field(default_factory=pd.DataFrame)
    """One row per level, over the cells that have it: `axis`, `level`, `n` (seeds measured in every cell),
    `mean` (of the outcome), `sd`, `low`, `high` (95 %, over seeds)."""
    interaction_means: pd.DataFrame = field(default_factory=pd.DataFrame)
    """The same for every pair of levels of two axes: `axis_a`, `level_a`, `axis_b`, `level_b`, `n`, `mean`,
    `sd`, `low`, `high`."""
    interactions: pd.DataFrame = field(default_factory=pd.DataFrame)
    """How much an effect changes with another axis: `axis_a`, `level_a`, `baseline_a`, `axis_b`, `level_b`,
    `baseline_b`, `n`, `difference` (of differences), `sd`, `low`, `high` (95 %, over seeds), `seeds`,
    `difference_by_seed`."""
    anova: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Analysis of variance with the seed as a block: `source`, `axes` (tuple; empty: `seed`, `residual`,
    `total`), `df`, `ss`, `ms`, `f`, `p`, `eta_squared`, `omega_squared`. Empty for one seed."""
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, study: Study) -> Factorial:
        """Work out the frames; several axes without a complete crossing get a note that says why."""
        experiment, table = study.experiment, study.of_cells
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
                anova=behind.beside(squares),
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
        subjects = [_pair_subject(labels.analysis, row) for row in both.to_dict(orient="records")]
        both = both.assign(subject=subjects)
        swaps = len(labels.labels_of(axis_a)) > len(labels.labels_of(axis_b))
        names = {"level_a": "along", "level_b": "line"} if swaps else {"level_b": "along", "level_a": "line"}
        return cls(both.rename(columns=names), *((axis_a, axis_b) if swaps else (axis_b, axis_a)))


def interactions_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return a plot for every pair of crossed axes, up to six; None where nothing is crossed."""
    means = analysis.interaction_means
    if means.empty:
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
    """Give every level that has a line its own look, the same in all plots."""
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
        f"{name}, {labels.name(level)}: {numbers.value(row['mean'])} "
        f"{numbers.interval(row['low'], row['high'])}, n = {row['n']}"
        for level, row in zip(map(str, means.index), rows_of(means), strict=True)
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
        traces=tuple(INTERACTION_MEANS.hover(labels, s, "mean") for s in means["subject"]),
    )
    return [
        Mark(key=f"{key}-line", name=name, look=Look(colour=look.colour, dash=look.dash), x=x, y=y),
        points,
    ]


# The topics. All are exploratory.


def _pair_subject(analysis: Analysis, row: Row) -> str:
    return f"{row['axis_a']}: {row['level_a']}, {row['axis_b']}: {row['level_b']}"


def _interaction_subject(analysis: Analysis, row: Row) -> str:
    first = f"{row['axis_a']}: {row['level_a']} - {row['baseline_a']}"
    return f"{first} by {row['axis_b']}: {row['level_b']} - {row['baseline_b']}"


def _source(measured: Measured, row: Row, number: Number) -> Source:
    """Return the trials that the row names, and what the seeds measured if it holds that."""
    trials = row.get("trials")
    found = measured.of_trials(trials if isinstance(trials, tuple) else (), number.behind)
    if not isinstance(row.get("difference_by_seed"), tuple):
        return found
    by_seed = {"difference of differences": row["difference_by_seed"]}
    return Source(trials=found.trials, seeds=row["seeds"], by_seed=by_seed)


_T = "± t(0.975, n − 1) · sd / √n over seeds."
_N = Number(name="n", title="n", words="seeds", formula="Seeds measured in every cell.", show=show_count)


def _means(analysis: Analysis) -> list[Column]:
    outcome = analysis.experiment.outcome
    show = show_of(outcome)
    return [
        _N,
        Number(
            name="mean",
            title=lambda labels: labels.metric(outcome),
            words=f"mean {outcome}",
            formula=f"Mean over seeds of {outcome}; of a seed the mean over its cells with the level.",
            show=show,
            behind=outcome,
        ),
        Number(
            name="sd",
            title="sd",
            words="sd",
            formula="sd over seeds of that mean.",
            show=show,
            behind=outcome,
            after="interval",
        ),
        interval("95 % interval", f"Mean {_T}", show, behind=outcome, title="95 % interval"),
    ]


def _marginals(analysis: Analysis) -> list[Column]:
    return [
        Text(name="axis", title="Axis", text=lambda labels, row: labels.axis(row["axis"])),
        Text(name="level", title="Level", text=lambda labels, row: labels.name(row["level"])),
        *_means(analysis),
    ]


def _interactions(analysis: Analysis) -> list[Column]:
    show = show_of(analysis.experiment.outcome, is_difference=True)
    return [
        Text(name="effect", title="Effect of", text=lambda labels, row: _effect(row, "a", labels)),
        Text(name="with", title="changes with", text=lambda labels, row: _effect(row, "b", labels)),
        _N,
        Number(
            name="difference",
            title="Difference of differences",
            words="difference of differences",
            formula="Mean over seeds of the difference of differences, paired by seed.",
            show=show,
        ),
        interval("95 % interval", f"Difference {_T}", show, title="95 % interval, this test set"),
    ]


def _anova(analysis: Analysis) -> list[Column]:
    return [
        Text(
            name="source",
            title="Source",
            text=lambda labels, row: " × ".join(labels.axis(axis) for axis in row["axes"]) or row["source"],
        ),
        Number(name="df", title="df", words="degrees of freedom", formula="Of the source.", show=show_count),
        Number(
            name="ss",
            title="Sum of squares",
            words="sum of squares",
            formula="Squared effects of the source, summed over all cells and seeds.",
            show=show_significant,
        ),
        Number(
            name="f",
            title="F",
            words="F",
            formula="Mean square / that of the residual.",
            show=show_significant,
        ),
        Number(name="p", title="p", words="p", formula="Upper tail of F, uncorrected.", show=show_p),
        Number(
            name="eta_squared",
            title="η²",
            words="η²",
            formula="Sum of squares / total sum of squares.",
            show=show_share,
        ),
        Number(
            name="omega_squared",
            title="ω²",
            words="ω²",
            formula="(Sum of squares − df · residual mean square) / (total + residual mean square).",
            show=show_share,
        ),
    ]


def _anova_steps(asked: Asked) -> Iterator[str]:
    row, others = asked.row, asked.analysis.anova.set_index("source")
    total = number_text(float(others["ss"].loc["total"]))
    df, square, mean, share, f, p, omega = (
        number_text(float(row[name])) for name in ("df", "ss", "ms", "eta_squared", "f", "p", "omega_squared")
    )
    if row["source"] == "total":
        yield "sum of squares = squared deviations of all values from their mean"
        return
    yield f"mean square = sum of squares / df = {square} / {df} = {mean}"
    yield f"η² = sum of squares / total = {square} / {total} = {share}"
    if math.isfinite(float(row["f"])):
        error, df_error = (number_text(float(others[name].loc["residual"])) for name in ("ms", "df"))
        yield f"F = mean square / residual mean square = {mean} / {error} = {f}"
        yield f"p = upper tail of F({df}, {df_error}) at {f} = {p}"
        yield f"ω² = ({square} − {df} · {error}) / ({total} + {error}) = {omega}"


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


MARGINALS: Final = Frame(
    name="marginals",
    compute=lambda study: study.once(Factorial.of).marginals,
    subject=lambda analysis, row: f"{row['axis']}: {row['level']}",
    columns=_marginals,
    source=_source,
    steps=mean_steps("mean", "mean"),
)

INTERACTION_MEANS: Final = Frame(
    name="interaction_means",
    compute=lambda study: study.once(Factorial.of).interaction_means,
    subject=_pair_subject,
    columns=_means,
    source=_source,
    steps=mean_steps("mean", "mean"),
)

INTERACTIONS: Final = Frame(
    name="interactions",
    compute=lambda study: study.once(Factorial.of).interactions,
    subject=_interaction_subject,
    columns=_interactions,
    source=_source,
    steps=mean_steps("difference", "difference of differences"),
)

ANOVA: Final = Frame(
    name="anova",
    compute=lambda study: study.once(Factorial.of).anova,
    subject=lambda analysis, row: str(row["source"]),
    columns=_anova,
    source=_source,
    steps=_anova_steps,
)

TOPIC: Final = Topic(
    name="factorial",
    section="factors",
    frames=(MARGINALS, INTERACTION_MEANS, INTERACTIONS, ANOVA),
    tables=(
        TablePart(
            name="marginals",
            frame=MARGINALS,
            caption="Means of levels, over the levels of the other axes.",
            note=lambda labels, rows: (
                "Per seed the mean over all cells that have the level; n counts seeds, interval and sd are "
                "over them. Where two axes interact, the mean of a level hides what it does at each level of "
                "the other."
            ),
        ),
        TablePart(
            name="interactions",
            frame=INTERACTIONS,
            caption="Interactions of two axes.",
            note=lambda labels, rows: (
                "By how much the first difference is larger at the second's level than at its baseline, seed "
                "by seed, over the levels of all other axes. Zero: the two effects add up. Exploratory: "
                "intervals without correction, no verdicts."
            ),
        ),
        TablePart(
            name="anova",
            frame=ANOVA,
            caption="Analysis of variance of the outcome, exploratory.",
            note=lambda labels, rows: (
                "Seed as a block; the residual, the interaction of seeds with cells, is the error of every "
                f"F. {_types(labels.analysis)} η²: share of the total sum of squares; ω²: the same less what "
                "chance would give, negative where F is below 1. The p-values take all cells to vary alike "
                "over seeds, are not corrected, and judge nothing."
            ),
        ),
    ),
    figures=(FigurePart(name="interactions", make=interactions_figure),),
)
