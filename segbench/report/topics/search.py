"""The proposals of a search, and the Pareto front where it has several goals."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

from segbench.config.experiment import Constraint, Experiment, Search, SearchParameter
from segbench.quantities import axis_unit
from segbench.records import State, parameter_column
from segbench.report.analysis import Analysis
from segbench.report.draw.figure import (
    GREY,
    Facet,
    Figure,
    Key,
    Look,
    Mark,
    Scale,
    in_rows,
    linear,
    logarithmic,
    spread,
)
from segbench.report.draw.layout import shortened
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, Numbers, count, is_score, significant
from segbench.report.study import Study
from segbench.report.table import Field
from segbench.report.topics.arrangement import slug
from segbench.report.topics.topic import Column, FigurePart, Frame, Number, TablePart, Text, Topic
from segbench.report.trace import Measured, Row, Source, is_text, rows_of, show_of
from segbench.stats.intervals import t_interval
from segbench.stats.pareto import pareto_front, spread_out
from segbench.wording import counted, listed

_ENDED = [state.value for state in State if state.has_ended]


@dataclass(frozen=True)
class Best:
    """The proposal with the best objective, and its configuration with other seeds."""

    number: int
    settings: str
    """Such as `lr = 0.001 and weight_decay = 0.01`."""
    objective: float
    num_completed: int
    """Proposals that it is the best of."""
    replicates: np.ndarray
    """(seeds,) outcome on the test images with seeds that did not choose it; folds averaged."""
    trial: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """As `apply_parameters` takes them."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Of several goals: metric -> value."""

    @property
    def name(self) -> str:
        """Such as `number 3 with lr = 0.001 (val_dice 0.91, parameters 31,000)`."""
        values = ", ".join(
            f"{name} {value:.4f}" if is_score(name) else f"{name} {significant(value)}"
            for name, value in self.values.items()
        )
        return f"number {self.number} with {self.settings} ({values})"

    def worth(self, outcome: str) -> str:
        """Say what the configuration reaches on the test images; empty without a replicate."""
        n = self.replicates.size
        if n == 0:
            return ""
        mean = f"{self.replicates.mean():.4f} in {outcome}"
        if n == 1:
            return f"{mean} with another seed, which gives no interval"
        low, high = t_interval(self.replicates)
        return (
            f"{mean} with {counted(n, 'other seed')} (95 % interval {low:.4f} to {high:.4f}, this test set)"
        )


def search_frame(study: Study) -> pd.DataFrame:
    """Return the proposals of a search; empty for other experiments."""
    if study.experiment.search is None:
        return pd.DataFrame(columns=["trial", "number", "state", "value"])
    return proposals_frame(study.experiment, study.table, study.results.epochs)


def proposals_frame(
    experiment: Experiment, table: pd.DataFrame, epochs: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return one row per proposal, in order.

    Args:
        experiment: A search.
        table: The measured table, with `search_number` and a column `search:<parameter>` a parameter.
        epochs: Rows of `epochs.csv` with `trial`.

    Returns:
        `trial`, `number`, one column per parameter, `state`, `value` (the objective; NaN unless complete),
        `last_epoch` and `last_value` (where a proposal that did not complete had come to; else NaN); with
        goals or constraints a column each, with constraints `is_feasible`, with goals `is_best` (on the
        Pareto front).
    """
    assert experiment.search is not None
    names = [parameter_column(parameter.name) for parameter in experiment.search.parameters]
    columns = {"search_number": "number", "objective": "value"}
    known = table.assign(**{c: float("nan") for c in (*columns, *names) if c not in table})
    frame = known.drop(columns=[n for n in columns.values() if n in known]).rename(columns=columns)
    frame = frame.loc[frame["number"].notna(), ["trial", "number", *names, "state", "value"]]
    frame = frame.astype({"number": int}).sort_values("number", kind="stable").reset_index(drop=True)
    frame = _with_last(frame, epochs, experiment.baseline.objective.metric)
    return _with_measures(experiment.search, frame, table)


def _with_last(frame: pd.DataFrame, epochs: pd.DataFrame | None, metric: str) -> pd.DataFrame:
    """Add the last epoch of every proposal that did not complete, and the objective at it."""
    last: dict[str, tuple[float, float]] = {}
    if epochs is not None and metric in epochs and "epoch" in epochs:
        ordered = epochs.sort_values("epoch", kind="stable").drop_duplicates("trial", keep="last")
        rows = zip(ordered["trial"], ordered["epoch"], ordered[metric], strict=True)
        last = {str(trial): (float(epoch), float(value)) for trial, epoch, value in rows}
    nothing = float("nan"), float("nan")
    is_complete = frame["state"] == State.COMPLETE.value
    reached = [
        nothing if done else last.get(str(trial), nothing)
        for trial, done in zip(frame["trial"], is_complete, strict=True)
    ]
    return frame.assign(
        last_epoch=[epoch for epoch, _ in reached], last_value=[value for _, value in reached]
    ).astype({"last_epoch": float, "last_value": float})


def _with_measures(search: Search, frame: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Add a column a goal or constraint, whether a proposal keeps the constraints, and whether it is best."""
    measured = table.drop_duplicates("trial").set_index("trial") if "trial" in table else table
    for name in search.measures:
        column = measured[name] if name in measured else pd.Series(dtype=float)
        frame[name] = pd.to_numeric(frame["trial"].map(column)).astype(float)
    if search.constraints:
        frame["is_feasible"] = [
            all(each.violation(row[each.metric]) <= 0 for each in search.constraints)
            for row in frame.to_dict("records")
        ]
    if search.goals:
        frame["is_best"] = False
        frame.loc[front_rows(search, frame), "is_best"] = True
    return frame


def eligible(proposals: pd.DataFrame) -> pd.DataFrame:
    """Return the proposals that may be best: complete, with a value, and within every constraint."""
    done = proposals[(proposals["state"] == State.COMPLETE.value) & proposals["value"].notna()]
    return done[done["is_feasible"].astype(bool)] if "is_feasible" in done else done


def front_rows(search: Search, proposals: pd.DataFrame) -> list[int]:
    """Return the index of every proposal on the Pareto front, best in the first goal first."""
    names = [goal.metric for goal in search.goals]
    known = eligible(proposals).dropna(subset=names)
    front = pareto_front(known[names].to_numpy(float).tolist(), [goal.direction for goal in search.goals])
    return [int(known.index[row]) for row in front]


def missing_text(experiment: Experiment, table: pd.DataFrame) -> str | None:
    """Say what the search still lacks: proposals, or replicates of the best; None: nothing."""
    assert experiment.search is not None
    asked = experiment.search.num_trials
    if table.empty or "search_number" not in table:
        return f"partial: 0 of {asked} proposals"
    has_ended = table["state"].isin(_ENDED)
    proposals = table[table["search_number"].notna() & has_ended]
    done = len(proposals) + int(proposals["search_repeats"].sum() if "search_repeats" in proposals else 0)
    if done < asked:
        return f"partial: {done} of {asked} proposals"
    others = len(experiment.seeds) * experiment.num_folds - 1
    frame = proposals_frame(experiment, table)
    if experiment.search.goals:
        front = [str(frame.loc[row, "trial"]) for row in front_rows(experiment.search, frame)]
        chosen, words = spread_out(front, experiment.search.num_replicated), "the Pareto front"
    else:
        best = find_best(experiment, frame, table)
        chosen, words = [] if best is None else [best.trial], "the best proposal"
    of = table["search_replicate_of"] if "search_replicate_of" in table else pd.Series(index=table.index)
    replicated = int((of.isin(chosen) & has_ended).sum())
    wanted = others * len(chosen)
    return f"partial: {replicated} of {wanted} replicates of {words}" if replicated < wanted else None


def best_points(study: Study) -> list[Best]:
    """Return the best proposal of a search, or its Pareto front; nothing of another experiment."""
    experiment, proposals = study.experiment, study.once(search_frame)
    if experiment.search is None:
        return []
    if experiment.search.goals:
        return find_front(experiment, proposals, study.table)
    best = find_best(experiment, proposals, study.table)
    return [] if best is None else [best]


def find_best(experiment: Experiment, proposals: pd.DataFrame, table: pd.DataFrame) -> Best | None:
    """Return the best complete proposal, the first of equals; None where none has completed."""
    done = eligible(proposals)
    if done.empty:
        return None
    is_maximised = experiment.baseline.objective.direction == "maximize"
    row = done["value"].idxmax() if is_maximised else done["value"].idxmin()
    return _best(experiment, proposals, table, row)


def find_front(experiment: Experiment, proposals: pd.DataFrame, table: pd.DataFrame) -> list[Best]:
    """Return every proposal on the Pareto front, best in the first goal first."""
    assert experiment.search is not None
    rows = front_rows(experiment.search, proposals)
    return [_best(experiment, proposals, table, row) for row in rows]


def _best(experiment: Experiment, proposals: pd.DataFrame, table: pd.DataFrame, index: Hashable) -> Best:
    assert experiment.search is not None
    row = proposals.loc[[index]].iloc[0]
    columns = {p.name: parameter_column(p.name) for p in experiment.search.parameters}
    settings = {name: row[column] for name, column in columns.items() if column in proposals}
    return Best(
        number=int(row["number"]),
        settings=listed([f"{name} = {_setting(value)}" for name, value in settings.items()]),
        objective=float(row["value"]),
        num_completed=len(eligible(proposals)),
        replicates=_replicates(experiment, str(row["trial"]), table),
        trial=str(row["trial"]),
        parameters={n: v.item() if hasattr(v, "item") else v for n, v in settings.items()},
        values={goal.metric: float(row[goal.metric]) for goal in experiment.search.goals},
    )


def _replicates(experiment: Experiment, trial: str, table: pd.DataFrame) -> np.ndarray:
    if "search_replicate_of" not in table or experiment.outcome not in table:
        return np.array([])
    chosen_by = table.loc[table["trial"] == trial, "seed"].iloc[0]
    rows = table[(table["search_replicate_of"] == trial) & (table["seed"] != chosen_by)]
    return np.asarray(rows.groupby("seed")[experiment.outcome].mean().dropna(), dtype=float)


def _setting(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# How proposals of a search or a tuning are drawn: a look a kind, and a place for those without a value.


OUTSIDE: Final = "breaks a constraint"
BEST: Final = "best"
_LOOKS: Final = {
    "complete": Look(colour="#0072B2", marker="circle"),
    OUTSIDE: Look(colour=GREY, marker="square", is_hollow=True),
    "pruned": Look(colour=GREY, marker="cross"),
    "diverged": Look(colour="#C58800", marker="down"),
}
_FAILED: Final = Look(colour="#7A4FB5", marker="plus")
LOOKS: Final = {**_LOOKS, **{state: _FAILED for state in _ENDED if state not in _LOOKS}}
"""By what became of a proposal; those that have not ended are not drawn."""
BEST_LOOK: Final = Look(colour="#D55E00", marker="diamond", size=1.25)
_EDGE: Final = 0.09
"""How far beyond the worst value those without one stand, as a share of the values' range."""


@dataclass(frozen=True)
class Aim:
    """A metric that proposals are drawn by."""

    metric: str
    is_lower_better: bool


@dataclass(frozen=True)
class Drawn:
    """The ended proposals with a height each."""

    frame: pd.DataFrame
    """With `kind` (a key of `LOOKS`), `reached` (the value; NaN: none), `y`, `has_value`, `is_best`."""
    scale: Scale

    @property
    def kinds(self) -> list[str]:
        return [kind for kind in LOOKS if (self.frame["kind"] == kind).any()]


def drawn(
    frame: pd.DataFrame, aim: Aim, labels: Labels, *, column: str = "value", has_last: bool = True
) -> Drawn | None:
    """Give every ended proposal a height; None where none has a value.

    A pruned one stands at the last value that it reached, others without a value at the edge.
    """
    frame = frame.copy()
    kinds = frame["state"].astype(object)
    if "is_feasible" in frame:
        kinds[(kinds == State.COMPLETE.value) & ~frame["is_feasible"].astype(bool)] = OUTSIDE
    frame["kind"] = kinds
    frame = frame[frame["kind"].isin(list(LOOKS))].reset_index(drop=True)
    values = frame[column].astype(float).where(frame["kind"].isin(["complete", OUTSIDE]))
    if has_last and "last_value" in frame:
        is_pruned = frame["kind"] == "pruned"
        values = values.where(~is_pruned, frame["last_value"].astype(float))
    known = [float(value) for value in values if math.isfinite(value)]
    if not known:
        return None
    worst, span = (max(known), 1) if aim.is_lower_better else (min(known), -1)
    edge = worst + span * _EDGE * (max(known) - min(known) or abs(worst) or 1.0)
    unit, suffix = axis_unit(aim.metric, max(known))
    frame["has_value"] = [math.isfinite(value) for value in values]
    frame["reached"] = values
    frame["y"] = values.where(frame["has_value"], edge) / unit
    is_able = frame["kind"] == "complete"
    frame["is_best"] = False
    if is_able.any():
        able = frame.loc[is_able, "y"]
        frame.loc[able.idxmin() if aim.is_lower_better else able.idxmax(), "is_best"] = True
    return Drawn(frame, linear(frame["y"], labels.metric(aim.metric) + suffix))


def points(
    found: Drawn, x: Sequence[float], key: str, aim: Aim, numbers: Numbers, place: str = ""
) -> list[Mark]:
    """Return the proposals as marks, a kind each, the best one on top.

    Args:
        found: Of `drawn`.
        x: Where each stands.
        key: Begins the names of the marks' columns.
        aim: What `found` was drawn by.
        numbers: Prints values.
        place: Parameter that a hint names; empty: the hint says the number alone.
    """
    frame = found.frame.assign(x=list(x))
    groups = [(kind, look, frame[frame["kind"] == kind]) for kind, look in LOOKS.items()]
    groups.append((BEST, BEST_LOOK, frame[frame["is_best"]]))
    return [
        Mark(
            key=f"{key}_{kind.split()[0]}",
            name=kind,
            kind="points",
            look=look,
            x=tuple(rows["x"].astype(float)),
            y=tuple(rows["y"].astype(float)),
            hover=tuple(_hint(row, aim, numbers, place) for row in rows_of(rows)),
        )
        for kind, look, rows in groups
        if not rows.empty
    ]


def keys(found: Sequence[Drawn]) -> list[Key]:
    """Return the legend of `points`."""
    known = [kind for kind in LOOKS if any(kind in each.kinds for each in found)]
    shown = [Key(text=kind, look=LOOKS[kind], kind="points") for kind in known]
    has_best = any(each.frame["is_best"].any() for each in found)
    return shown + ([Key(text=BEST, look=BEST_LOOK, kind="points")] if has_best else [])


def edge_text(found: Sequence[Drawn]) -> str:
    """Say where pruned, diverged and failed proposals stand; empty without any."""
    frames = [each.frame for each in found]
    text = ""
    if any(((f["kind"] == "pruned") & f["has_value"]).any() for f in frames):
        text += " Pruned proposals stand at the last value that they reached."
    if any((~f["has_value"]).any() for f in frames):
        text += " Proposals without a value stand at the worse edge."
    return text


def scale_of(parameter: SearchParameter, values: Sequence[Any], labels: Labels, width_cm: float) -> Scale:
    """Return the axis of a knob: logarithmic where it was sampled so, its levels by name."""
    name = labels.name(parameter.name)
    if parameter.levels:
        own = [labels.name(level.label) for level in parameter.levels]
        room = width_cm / len(own)
        ticks = tuple(float(k) for k in range(len(own)))
        shown = tuple(shortened(label, room) for label in own)
        return Scale(label=name, low=-0.5, high=len(own) - 0.5, ticks=ticks, tick_labels=shown)
    numbers = [float(value) for value in values if value is not None]
    if parameter.log:
        return logarithmic(numbers, name)
    return linear(numbers, name, num_ticks=4, pad=0.08, whole=parameter.is_integer)


def positions(parameter: SearchParameter, frame: pd.DataFrame) -> list[float]:
    """Return where proposals stand on the axis of a knob; those at one level beside each other."""
    values = frame[parameter_column(parameter.name)].tolist()
    if not parameter.levels:
        return [math.nan if value is None else float(value) for value in values]
    places = {level.label: k for k, level in enumerate(parameter.levels)}
    # Multiples of the golden ratio lie evenly, however many there are.
    return [
        places.get(str(value), math.nan) + 0.4 * ((k * 0.6180339887) % 1 - 0.5)
        for k, value in enumerate(values)
    ]


def setting_text(value: Any) -> str:
    """Write a knob's value: `0.00316`, `group`."""
    return significant(float(value)) if isinstance(value, int | float) else str(value)


def _hint(row: Mapping[str, Any], aim: Aim, numbers: Numbers, place: str) -> str:
    said = numbers.of(aim.metric, row["reached"]) if row["has_value"] else "no value"
    if row["kind"] == "pruned" and row["has_value"] and row.get("last_epoch") == row.get("last_epoch"):
        said += f" at epoch {int(row['last_epoch'])}"
    state = "" if row["kind"] == "complete" else f", {row['kind']}"
    at = f" at {place} = {setting_text(row[parameter_column(place)])}" if place else ""
    return f"proposal {row['number']}{state}: {said}{at} (trial {row['trial']})"


# A search as figures: its history, and the objective along each knob.


_HISTORY_CM = 5.0
_SLICE_CM = 4.0
_MOST_KNOBS = 12
FLATTERS = "The best of many validation values flatters: the test set has not judged these."
_BEST_SO_FAR = "best so far"


def aims_of(analysis: Analysis) -> list[tuple[Aim, str]]:
    """Return what the search is after, each with its column of `Analysis.search`."""
    search, objective = analysis.experiment.search, analysis.experiment.baseline.objective
    assert search is not None
    if search.goals:
        return [(Aim(goal.metric, goal.direction == "minimize"), goal.metric) for goal in search.goals]
    return [(Aim(objective.metric, objective.direction == "minimize"), "value")]


def drawn_of(analysis: Analysis, labels: Labels) -> list[tuple[Aim, Drawn]]:
    """Return the proposals by each aim that some of them have a value of."""
    objective = analysis.experiment.baseline.objective.metric
    found = [
        (aim, drawn(analysis.search, aim, labels, column=column, has_last=aim.metric == objective))
        for aim, column in aims_of(analysis)
    ]
    return [(aim, each) for aim, each in found if each is not None]


def knobs_of(analysis: Analysis) -> list[SearchParameter]:
    """Return the knobs that are drawn: those of the largest shares of variance first."""
    assert analysis.experiment.search is not None
    searched = analysis.experiment.search.parameters
    known = [p for p in searched if parameter_column(p.name) in analysis.search]
    shares: dict[str, float] = {}
    for row in rows_of(analysis.importance):
        shares[row["knob"]] = max(shares.get(row["knob"], 0.0), float(row["share"]))
    return sorted(known, key=lambda p: -shares.get(p.name, 0.0))[:_MOST_KNOBS]


def fewer_text(knobs: Sequence[SearchParameter], search: Search) -> str:
    """Say that not all knobs are drawn; empty where they are."""
    num = len(search.parameters)
    return f" Of {num} knobs the {len(knobs)} of the largest shares." if num > len(knobs) else ""


def history_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return what each proposal reached, in their order, with the best so far; None without a search."""
    if analysis.search.empty or analysis.experiment.search is None:
        return None
    found = drawn_of(analysis, labels)
    if not found:
        return None
    numbers = Numbers(labels.style.digits)
    best_look = Look(colour="#D55E00")
    facets = []
    for aim, each in found:
        able = each.frame[each.frame["kind"] == "complete"]
        best = able["y"].cummin() if aim.is_lower_better else able["y"].cummax()
        line = Mark(
            key=f"best_{slug(aim.metric)}",
            name=_BEST_SO_FAR,
            look=best_look,
            x=tuple(able["number"].astype(float)),
            y=tuple(best.astype(float)),
        )
        numbered = list(each.frame["number"].astype(float))
        marks = points(each, numbered, f"number_{slug(aim.metric)}", aim, numbers)
        facets.append(
            Facet(
                x=linear(each.frame["number"], "Proposal", whole=True, num_ticks=8 // len(found), pad=0.02),
                y=each.scale,
                marks=(*((line,) if len(line.x) > 1 else ()), *marks),
            )
        )
    has_line = any(mark.kind == "line" for facet in facets for mark in facet.marks)
    names = " and ".join(labels.metric(aim.metric) for aim, _ in found)
    return Figure(
        name="search-history",
        title="History of the search",
        caption=f"{names} of every proposal in their order.{edge_text([d for _, d in found])} {FLATTERS}",
        facets=in_rows(facets, 2),
        width_cm=labels.style.width_cm,
        row_height_cm=_HISTORY_CM,
        left_cm=1.5,
        shares_y=False,
        legend=(
            *keys([each for _, each in found]),
            *((Key(text=_BEST_SO_FAR, look=best_look),) if has_line else ()),
        ),
    )


def slices_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return what each proposal reached along every knob; None without a search."""
    if analysis.search.empty or analysis.experiment.search is None:
        return None
    found, knobs = drawn_of(analysis, labels), knobs_of(analysis)
    if not found or not knobs:
        return None
    numbers = Numbers(labels.style.digits)
    columns = 2 if len(knobs) in (2, 4) else min(3, len(knobs))
    width = labels.style.width_cm / columns - 0.8
    rows: list[tuple[Facet, ...]] = []
    for aim, each in found:
        facets = [
            Facet(
                x=scale_of(knob, each.frame[parameter_column(knob.name)].tolist(), labels, width),
                y=each.scale,
                marks=tuple(
                    points(
                        each,
                        positions(knob, each.frame),
                        f"{slug(knob.name)}_{slug(aim.metric)}",
                        aim,
                        numbers,
                        knob.name,
                    )
                ),
            )
            for knob in knobs
        ]
        rows += in_rows(facets, columns)
    return Figure(
        name="search-slices",
        title="Along each knob",
        caption=(
            f"Every proposal along each knob.{fewer_text(knobs, analysis.experiment.search)}"
            f"{edge_text([d for _, d in found])} The other knobs differ from point to point, and a sampler "
            "tries more where it found better: a slice shows what was seen, not the effect of the knob alone."
        ),
        facets=tuple(rows),
        width_cm=labels.style.width_cm,
        row_height_cm=_SLICE_CM,
        left_cm=1.5,
        legend=tuple(keys([each for _, each in found])),
    )


# The topic: the best proposals, or the Pareto front of several goals.


def proposal_subject(analysis: Analysis, row: Row) -> str:
    return f"proposal {int(row['number'])}"


def proposal_column(analysis: Analysis) -> Text:
    """Return the column that numbers the proposals."""
    return Text(
        name="number",
        title="Proposal",
        text=lambda labels, row: Field(text=count(row["number"]), sort=row["number"]),
        is_number=True,
    )


def parameter_columns(parameters: Sequence[SearchParameter]) -> list[Text]:
    """Return a column per knob with the value that was set."""

    def of(parameter: SearchParameter) -> Text:
        return Text(
            name=parameter_column(parameter.name),
            title=lambda labels: labels.name(parameter.name),
            text=lambda labels, row: _value(row[parameter_column(parameter.name)], labels),
            is_number=not parameter.levels,
        )

    return [of(parameter) for parameter in parameters]


def _value(value: object, labels: Labels) -> Field:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Field(text=NONE) if value != value else Field(text=f"{value:.3g}", sort=float(value))
    return Field(text=NONE if value is None else labels.name(str(value)))


def one_trial(measured: Measured, row: Row, number: Number) -> Source:
    """Return the source of a row that is one trial."""
    return measured.of_trials([row["trial"]] if is_text(row.get("trial")) else [], number.behind)


def _columns(analysis: Analysis) -> list[Column]:
    spec, objective = analysis.experiment.search, analysis.experiment.baseline.objective.metric
    if spec is None:
        return []
    names = {"value": objective, **{goal.metric: goal.metric for goal in spec.goals}}

    def reached(name: str, metric: str) -> Number:
        is_shown = not spec.goals or name != "value"
        return Number(
            name=name,
            title=(lambda labels: labels.metric(metric)) if is_shown else "",
            words=metric,
            formula=f"{metric} of the proposal's one trial, at its selected epoch.",
            show=show_of(metric),
            behind="objective" if name == "value" else metric,
        )

    return [
        proposal_column(analysis),
        *(reached(name, metric) for name, metric in names.items()),
        *parameter_columns([p for p in spec.parameters if parameter_column(p.name) in analysis.search]),
        Text(name="trial", title="Trial", text=lambda labels, row: row["trial"]),
    ]


def _shown(labels: Labels) -> list[Row]:
    """Return the ten best proposals, or the Pareto front, the best in the first goal first."""
    search, spec = labels.analysis.search, labels.analysis.experiment.search
    if search.empty or spec is None:
        return []
    if spec.goals:
        first = spec.goals[0]
        front = search[search["is_best"].astype(bool)]
        best = front.sort_values(first.metric, ascending=first.direction != "maximize", kind="stable")
        return list(rows_of(best))
    is_maximised = labels.analysis.experiment.baseline.objective.direction == "maximize"
    return list(
        rows_of(eligible(search).sort_values("value", ascending=not is_maximised, kind="stable").head(10))
    )


def _has_goals(analysis: Analysis) -> bool:
    return analysis.experiment.search is not None and bool(analysis.experiment.search.goals)


def _note(labels: Labels, rows: Sequence[Row]) -> str:
    spec = labels.analysis.experiment.search
    assert spec is not None
    if spec.goals:
        note = (
            "No other proposal is as good in every goal and better in one; which of these is best, the "
            "goals do not say. Validation values that were chosen flatter; confirm the settings with "
            "fresh seeds in a design."
        )
    else:
        note = (
            "The best of many validation values flatters; confirm the settings with fresh seeds in a design."
        )
    if "is_feasible" in labels.analysis.search:
        bounds = ", ".join(_bounds(each, labels) for each in spec.constraints)
        note += f" Proposals outside {bounds} are left out."
    return note


def _bounds(constraint: Constraint, labels: Labels) -> str:
    ends = [f"≥ {constraint.low:,g}"] if constraint.low is not None else []
    ends += [f"≤ {constraint.high:,g}"] if constraint.high is not None else []
    return f"{labels.metric(constraint.metric)} {' and '.join(ends)}"


SEARCH: Final = Frame(
    name="search",
    compute=search_frame,
    subject=proposal_subject,
    columns=_columns,
    source=one_trial,
    measured=lambda analysis, row: "objective",
)

TOPIC: Final = Topic(
    name="search",
    section="search",
    frames=(SEARCH,),
    tables=(
        TablePart(
            name="search",
            frame=SEARCH,
            caption=lambda labels: (
                "Pareto front of the search."
                if _has_goals(labels.analysis)
                else "Best proposals of the search."
            ),
            rows=_shown,
            note=_note,
        ),
    ),
    figures=(
        FigurePart(name="search-history", make=history_figure),
        FigurePart(name="search-slices", make=slices_figure),
    ),
)


_HEIGHT_CM = 5.2
_FRONT_LOOKS = {
    "on the Pareto front": Look(colour="#D55E00", marker="circle"),
    "another is better": Look(colour="#0072B2", marker="circle"),
    "breaks a constraint": Look(colour=GREY, marker="cross"),
}


def front_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return the first goal against each other goal.

    None without several goals, or where no proposal has completed.
    """
    spec = analysis.experiment.search
    if analysis.search.empty or spec is None or not spec.goals:
        return None
    names = [goal.metric for goal in spec.goals]
    done = analysis.search[analysis.search["state"] == "complete"].dropna(subset=names)
    if done.empty:
        return None
    kinds = _kinds(done)
    found = [kind for kind in _FRONT_LOOKS if (kinds == kind).any()]
    y = linear(done[names[0]], labels.metric(names[0]))
    facets = []
    for name in names[1:]:
        unit, suffix = axis_unit(name, float(done[name].max()))
        x = spread([float(v) / unit for v in done[name]], labels.metric(name) + suffix)
        # The front comes last: it lies over what it beats.
        marks = [_points(done[kinds == kind], names[0], name, kind, unit, labels) for kind in reversed(found)]
        facets.append(Facet(x=x, y=y, marks=tuple(marks)))
    return Figure(
        name="search-front",
        title="The goals against each other",
        caption=(
            f"Every complete proposal of the search by its goals ({_better(spec, labels)}). On the Pareto "
            "front no other is as good in every goal and better in one. Chosen validation values flatter: "
            "the test set has not judged these."
        ),
        facets=(tuple(facets),),
        width_cm=labels.style.width_cm,
        row_height_cm=_HEIGHT_CM,
        left_cm=1.5,
        legend=tuple(Key(text=kind, look=_FRONT_LOOKS[kind], kind="points") for kind in found),
    )


def _kinds(done: pd.DataFrame) -> pd.Series:
    kinds = pd.Series("another is better", index=done.index)
    kinds[done["is_best"].astype(bool)] = "on the Pareto front"
    if "is_feasible" in done:
        kinds[~done["is_feasible"].astype(bool)] = "breaks a constraint"
    return kinds


def _points(rows: pd.DataFrame, first: str, other: str, kind: str, unit: float, labels: Labels) -> Mark:
    numbers = Numbers(labels.style.digits)
    return Mark(
        key=f"{slug(other)}_{slug(kind)}",
        name=kind,
        kind="points",
        look=_FRONT_LOOKS[kind],
        x=tuple(rows[other].astype(float) / unit),
        y=tuple(rows[first].astype(float)),
        hover=tuple(
            f"proposal {row['number']}: {numbers.of(first, row[first])} at "
            f"{other} {numbers.of(other, row[other])}"
            for row in rows.to_dict(orient="records")
        ),
        traces=tuple(
            SEARCH.hover(labels, proposal_subject(labels.analysis, row), other)
            for row in rows.to_dict(orient="records")
        ),
    )


def _better(search: Search, labels: Labels) -> str:
    ways = {"maximize": "more", "minimize": "less"}
    goals = [f"{ways[goal.direction]} {labels.metric(goal.metric)}" for goal in search.goals]
    return f"{', '.join(goals)} is better"


FRONT_TOPIC: Final = Topic(
    name="search-front",
    section="search",
    figures=(FigurePart(name="search-front", make=front_figure),),
)
