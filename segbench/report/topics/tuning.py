"""What a report says of a tuned design: the winners, the budget, and how far the verdicts reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pandas as pd

from segbench.config.experiment import Experiment, SearchParameter
from segbench.records import State, axis_column, parameter_column
from segbench.report.analysis import Analysis
from segbench.report.draw.figure import Facet, Figure, Key, Look, Scale, in_rows
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, Numbers, count
from segbench.report.table import Field
from segbench.report.topics.arrangement import slug
from segbench.report.topics.search import (
    Aim,
    Drawn,
    drawn,
    edge_text,
    keys,
    one_trial,
    parameter_columns,
    points,
    positions,
    scale_of,
)
from segbench.report.topics.topic import Column, FigurePart, Frame, Number, TablePart, Text, Topic
from segbench.report.trace import Row, rows_of, show_count, show_of
from segbench.store.tuning import CellTuning
from segbench.wording import counted, listed

TUNED_PROTOCOL = (
    "Every cell is trained at settings of its own: those that won its tuning on the validation images, with "
    "seeds that no tuning trial had. Tuning trials never saw the test images and enter no contrast; all else "
    "is one protocol."
)
AT_THESE_SETTINGS = (
    "The tuning was done once: verdicts hold at these tuned settings, and the intervals leave out that "
    "another tuning may choose others. `tune: {repeats: ...}` repeats it."
)


def tuning_frame(experiment: Experiment, tunings: Sequence[CellTuning]) -> pd.DataFrame:
    """Return `Analysis.tuning`: a row a cell and repeat."""
    axes = {axis_column(axis.name): axis.name for axis in experiment.axes}
    searched = experiment.tune.search.parameters if experiment.tune is not None else ()
    parameters = {parameter_column(parameter.name): parameter.name for parameter in searched}
    rows = []
    for tuning in sorted(tunings, key=lambda t: experiment.cells.index(t.cell)):
        winner = tuning.winner
        chosen = dict(winner.parameters) if winner is not None else {}
        rows.append(
            {
                "cell": tuning.cell.label,
                **{column: tuning.cell.levels.get(axis) for column, axis in axes.items()},
                "repeat": tuning.repeat,
                "ended": tuning.num_ended,
                "diverged": tuning.count(State.DIVERGED),
                "failed": tuning.count(State.FAILED),
                "trial": winner.hash if winner is not None else "",
                "value": winner.objective if winner is not None else float("nan"),
                **{column: chosen.get(name) for column, name in parameters.items()},
            }
        )
    names = ("repeat", "ended", "diverged", "failed", "trial", "value")
    return pd.DataFrame(rows, columns=["cell", *axes, *names, *parameters])


def tuning_trials_frame(experiment: Experiment, tunings: Sequence[CellTuning]) -> pd.DataFrame:
    """Return `Analysis.tuning_trials`: one row per tuning trial."""
    assert experiment.tune is not None
    axes = {axis_column(axis.name): axis.name for axis in experiment.axes}
    parameters = {parameter_column(p.name): p.name for p in experiment.tune.search.parameters}
    rows = []
    for tuning in sorted(tunings, key=lambda t: experiment.cells.index(t.cell)):
        winner = tuning.winner
        for number, trial in sorted(tuning.trials.items()):
            is_complete = trial.state is State.COMPLETE and trial.objective is not None
            rows.append(
                {
                    "cell": tuning.cell.label,
                    **{column: tuning.cell.levels.get(axis) for column, axis in axes.items()},
                    "repeat": tuning.repeat,
                    "number": number,
                    "trial": trial.hash,
                    "state": trial.state.value,
                    "value": trial.objective if is_complete else float("nan"),
                    "is_winner": winner is not None and trial.hash == winner.hash,
                    **{column: trial.parameters.get(name) for column, name in parameters.items()},
                }
            )
    names = ("repeat", "number", "trial", "state", "value", "is_winner")
    return pd.DataFrame(rows, columns=["cell", *axes, *names, *parameters])


def without_hope(table: pd.DataFrame, tunings: Sequence[CellTuning]) -> pd.DataFrame:
    """Have the replicates of a cell that could not be tuned say so: they failed, none will be trained.

    Args:
        table: A row a planned trial, with `cell`, `seed`, `state`.
        tunings: Of the design.
    """
    hopeless = [tuning for tuning in tunings if tuning.is_hopeless]
    if not hopeless:
        return table
    table = table.assign(**{name: None for name in ("failure", "reason") if name not in table})
    table = table.astype({"failure": object, "reason": object, "trial": object})
    for tuning in hopeless:
        of_cell = (table["cell"] == tuning.cell.label) & table["seed"].isin(tuning.seeds)
        table.loc[of_cell, ["state", "reason", "trial"]] = [
            State.FAILED.value,
            tuning.failure_text(),
            "",
        ]
    return table


def unfinished_text(tunings: Sequence[CellTuning]) -> str | None:
    """Say how far an unfinished tuning is; None: every budget is spent."""
    if all(tuning.is_over for tuning in tunings):
        return None
    ended = sum(tuning.num_ended for tuning in tunings)
    return f"partial: {ended} of {sum(tuning.num_trials for tuning in tunings)} tuning trials"


def reach_text(experiment: Experiment) -> str:
    """Say what was tuned and whether the intervals include it, for the head of a report."""
    tune = experiment.tune
    assert tune is not None
    space = listed([_dimension_text(parameter) for parameter in tune.search.parameters])
    trials = f"{counted(tune.search.num_trials, 'trial')} a cell by {tune.search.sampler} over {space}"
    metric = experiment.baseline.objective.metric
    num_seeds = len(experiment.seeds)
    repeats = min(tune.repeats, num_seeds)
    by = f"{trials}; best {metric}"
    if repeats == 1:
        seed = f"seed {tune.seed}"
        return f"at these tuned settings ({by}, {seed})"
    times = f"tuning repeated {repeats} times ({by}, seeds {tune.seed} to {tune.seed + repeats - 1})"
    if repeats == num_seeds:
        return f"{times}; intervals include it"
    return f"{times} for {num_seeds} seeds, which share winners; intervals include a part of its scatter"


def tuned_sentence(experiment: Experiment, *, partial: str | None) -> list[str]:
    """Close the answer with how far it reaches; nothing where nothing is tuned or judged."""
    if experiment.tune is None or partial is not None:
        return []
    if min(experiment.tune.repeats, len(experiment.seeds)) == 1:
        return ["Every cell was tuned, once: this holds at these tuned settings."]
    return [f"Every cell was tuned {min(experiment.tune.repeats, len(experiment.seeds))} times afresh."]


def tuning_notes(experiment: Experiment, tunings: Sequence[CellTuning]) -> list[str]:
    """Return the caveats of a tuned design."""
    notes = []
    if experiment.tune is not None and min(experiment.tune.repeats, len(experiment.seeds)) == 1:
        notes.append(AT_THESE_SETTINGS)
    failed = [(t, t.count(State.FAILED)) for t in tunings if t.is_over]
    if len({n for _, n in failed}) > 1:
        short = listed([f"{t.cell.label} ({n} of {t.num_trials})" for t, n in failed if n])
        notes.append(f"Budgets were not equal: tuning trials failed in {short}.")
    notes += [f"{t.cell.label} {t.failure_text()}." for t in tunings if t.is_hopeless]
    return notes


def _dimension_text(parameter: SearchParameter) -> str:
    if parameter.levels:
        return f"{parameter.name} ({', '.join(level.label for level in parameter.levels)})"
    log = ", log" if parameter.log else ""
    return f"{parameter.name} ({parameter.low:g} to {parameter.high:g}{log})"


# The tuning of every cell: what its trials reached along each knob, and which settings won.


_HEIGHT_CM = 3.6
_COLUMNS = 4
MOST_CELLS: Final = 12
_MOST_KNOBS = 4
_DEFAULT: Final = "as designed"


def tuning_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return the tuning trials, a column a cell and a row a knob; None where nothing was tuned."""
    trials, tune = analysis.tuning_trials, analysis.experiment.tune
    if trials is None or trials.empty or tune is None:
        return None
    objective = analysis.experiment.baseline.objective
    aim = Aim(objective.metric, objective.direction == "minimize")
    found = drawn(trials, aim, labels)
    if found is None:
        return None
    found.frame["is_best"] = found.frame["is_winner"].astype(bool)
    cells = list(dict.fromkeys(str(cell) for cell in labels.ordered(trials)["cell"]))
    shown, knobs = cells[:MOST_CELLS], tune.search.parameters[:_MOST_KNOBS]
    numbers = Numbers(labels.style.digits)
    width = labels.style.width_cm / min(_COLUMNS, len(shown)) - 0.8
    rows: list[tuple[Facet, ...]] = []
    has_default = False
    for knob in knobs:
        values = [value for value in found.frame[parameter_column(knob.name)].tolist() if _is_known(value)]
        x = scale_of(knob, values, labels, width)
        facets = []
        for number, cell in enumerate(shown):
            own = found.frame[
                (found.frame["cell"] == cell) & found.frame[parameter_column(knob.name)].map(_is_known)
            ]
            own = own.reset_index(drop=True)
            if own.empty:
                continue  # a knob that the cell has not
            at = _as_designed(analysis.experiment, cell, knob, x)
            has_default |= bool(at)
            marks = points(
                Drawn(own, found.scale),
                positions(knob, own),
                f"c{number + 1}_{slug(knob.name)}",
                aim,
                numbers,
                knob.name,
            )
            facets.append(
                Facet(title=labels.cell(cell), x=x, y=found.scale, marks=tuple(marks), verticals=at)
            )
        rows += in_rows(facets, _COLUMNS)
    left = [f"the first {len(shown)} of {len(cells)} cells"] if len(shown) < len(cells) else []
    if len(knobs) < len(tune.search.parameters):
        left.append(f"the first {len(knobs)} of {len(tune.search.parameters)} knobs")
    line = " Upright line: the cell as it was designed." if has_default else ""
    return Figure(
        name="tuning",
        title="Tuning trials of every cell",
        caption=(
            f"{labels.metric(aim.metric)} of every tuning trial along each knob"
            f"{' (' + ', '.join(left) + ')' if left else ''}.{line}{edge_text([found])} A best setting at an "
            "end of its range asks for a wider one. These are validation values, the winner's the best of "
            "many; no contrast uses them."
        ),
        facets=tuple(rows),
        width_cm=labels.style.width_cm,
        row_height_cm=_HEIGHT_CM,
        left_cm=1.5,
        legend=(
            *keys([found]),
            *([Key(text=_DEFAULT, look=Look(colour="#555555", size=0.6))] if has_default else []),
        ),
    )


def _as_designed(experiment: Experiment, cell: str, knob: SearchParameter, x: Scale) -> tuple[float, ...]:
    """Return where the cell's own setting stands; nothing where it has none, or lies outside the plot."""
    config = next(each.config for each in experiment.cells if each.label == cell)
    if knob.levels:
        return ()
    try:
        value = float(config.at(knob.path))
    except (KeyError, TypeError, ValueError):
        return ()
    return (value,) if x.low <= value <= x.high else ()


def _is_known(value: Any) -> bool:
    return value is not None and value is not pd.NA and not (isinstance(value, float) and math.isnan(value))


# The topic.


def _columns(analysis: Analysis) -> list[Column]:
    objective, tune = analysis.experiment.baseline.objective.metric, analysis.experiment.tune
    if tune is None:
        return []
    num_trials = tune.search.num_trials

    def counted_trials(name: str, title: str, formula: str, **others: Any) -> Number:
        return Number(
            name=name,
            title=title,
            words=f"tuning trials, {name}",
            formula=formula,
            show=show_count,
            **others,
        )

    return [
        Text(name="cell", title="Cell", text=lambda labels, row: labels.cell(row["cell"])),
        Text(
            name="repeat",
            title="Repeat",
            text=lambda labels, row: Field(text=count(row["repeat"]), sort=row["repeat"]),
            is_number=True,
            when=lambda labels, rows: len({row["repeat"] for row in rows}) > 1,
        ),
        *parameter_columns(tune.search.parameters),
        Number(
            name="value",
            title=lambda labels: labels.metric(objective),
            words=f"{objective} of the winner",
            formula=f"The best {objective} of the cell's complete tuning trials.",
            show=show_of(objective),
        ),
        counted_trials(
            "ended",
            "Tuning trials",
            "Tuning trials of the cell that ended.",
            dress=lambda labels, row, found: replace(found, text=f"{found.text}/{count(num_trials)}"),
        ),
        counted_trials("diverged", "Diverged", "Tuning trials of the cell that have diverged."),
        counted_trials("failed", "Failed", "Tuning trials of the cell that have failed."),
        Text(name="trial", title="Trial", text=lambda labels, row: row["trial"] or NONE, in_print=False),
    ]


TUNING: Final = Frame(
    name="tuning",
    subject=lambda analysis, row: f"{row['cell']}, repeat {int(row['repeat'])}",
    columns=_columns,
    source=one_trial,
    measured=lambda analysis, row: "objective",
)


def _ordered(labels: Labels) -> list[Row]:
    frame, tune = labels.analysis.tuning, labels.analysis.experiment.tune
    return [] if frame is None or tune is None else list(rows_of(labels.ordered(frame)))


def _note(labels: Labels, rows: Sequence[Row]) -> str:
    tune = labels.analysis.experiment.tune
    assert tune is not None
    return (
        f"Each cell's best of {count(tune.search.num_trials)} tuning trials on the validation images: as the "
        "largest of many its value flatters, and no contrast uses it."
    )


TOPIC: Final = Topic(
    name="tuning",
    section="tuning",
    frames=(TUNING,),
    tables=(
        TablePart(
            name="tuning",
            frame=TUNING,
            caption="Tuned settings of every cell.",
            rows=_ordered,
            note=_note,
        ),
    ),
    figures=(FigurePart(name="tuning", make=tuning_figure),),
    data=("tuning_trials",),
)
