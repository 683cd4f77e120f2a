"""How proposals of a search or a tuning are drawn: a look a kind, and a place for those without a value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from segbench.config.experiment import SearchParameter
from segbench.records import State
from segbench.report.figures.cost import unit_of
from segbench.report.figures.figure import Key, Mark, Scale
from segbench.report.figures.geometry import shortened
from segbench.report.figures.palette import GREY, Look
from segbench.report.figures.scales import linear, logarithmic
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers, significant

OUTSIDE: Final = "breaks a constraint"
BEST: Final = "best"
LOOKS: Final = {
    "complete": Look(colour="#0072B2", marker="circle"),
    OUTSIDE: Look(colour=GREY, marker="square", is_hollow=True),
    "pruned": Look(colour=GREY, marker="cross"),
    "diverged": Look(colour="#C58800", marker="down"),
    "failed": Look(colour="#7A4FB5", marker="plus"),
}
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
    unit, suffix = unit_of(aim.metric, max(known))
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
        place: Column that a hint names; empty: the hint says the number alone.
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
            hover=tuple(_hint(row, aim, numbers, place) for row in rows.to_dict("records")),
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
    values = frame[parameter.name].tolist()
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
    at = f" at {place} = {setting_text(row[place])}" if place else ""
    return f"proposal {row['number']}{state}: {said}{at} (trial {row['trial']})"
