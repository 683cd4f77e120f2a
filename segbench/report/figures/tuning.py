"""The tuning of every cell: what its trials reached along each knob, and which settings won."""

from __future__ import annotations

import math
from typing import Any, Final

import pandas as pd

from segbench.config.experiment import Experiment, SearchParameter
from segbench.report.analysis import Analysis
from segbench.report.best_design import value_at
from segbench.report.figures.design import slug
from segbench.report.figures.figure import Facet, Figure, Key, Scale, in_rows
from segbench.report.figures.palette import Look
from segbench.report.figures.proposals import (
    Aim,
    Drawn,
    drawn,
    edge_text,
    keys,
    points,
    positions,
    scale_of,
)
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers

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
        values = [value for value in found.frame[knob.name].tolist() if _is_known(value)]
        x = scale_of(knob, values, labels, width)
        facets = []
        for number, cell in enumerate(shown):
            own = found.frame[(found.frame["cell"] == cell) & found.frame[knob.name].map(_is_known)]
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
        value = float(value_at(config, knob.path))
    except (KeyError, TypeError, ValueError):
        return ()
    return (value,) if x.low <= value <= x.high else ()


def _is_known(value: Any) -> bool:
    return value is not None and value is not pd.NA and not (isinstance(value, float) and math.isnan(value))
