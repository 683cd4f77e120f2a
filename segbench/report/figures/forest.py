"""Effects as a forest: differences with two intervals, the margin shaded, verdicts by colour and marker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from segbench.metrics import is_lower_better
from segbench.report.analysis import Analysis
from segbench.report.figures.figure import Facet, Figure, Key, Mark, Note
from segbench.report.figures.geometry import ROW_CM, TALL_ROW_CM, shortened, text_width, wrapped
from segbench.report.figures.palette import GREY, VERDICT_COLOURS, Look, verdict_look
from segbench.report.figures.scales import categories, linear
from segbench.report.labels import Labels
from segbench.report.numbers import MINUS, Numbers
from segbench.report.phrases import percent
from segbench.report.trace_frames import contrast_subject
from segbench.stats.intervals import LEVEL
from segbench.stats.questions import is_ranked

_MOST_ROWS = 24


def forest_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return the contrasts on the outcome, the judged family first; None without any."""
    effects = analysis.effects
    if effects.empty:
        return None
    outcome = analysis.experiment.outcome
    effects = effects[(effects["metric"] == outcome) & effects["difference"].notna()]
    if effects.empty:
        return None
    family = effects["is_family"].astype(bool)
    effects = pd.concat([effects[family], effects[~family]]).head(_MOST_ROWS)
    ranked = is_ranked(analysis.experiment)
    if ranked:
        effects = effects.sort_values("difference", ascending=is_lower_better(outcome), kind="stable")
    numbers = Numbers(labels.style.digits)
    rows = list(effects.to_dict(orient="records"))
    names = [contrast_name(row, labels) for row in rows]
    margin = analysis.experiment.margin
    extent = [row[key] for row in rows for key in ("low", "high", "difference", "low_new", "high_new")]
    extent += [row["difference_last"] for row in rows] + [0.0]
    extent += [-margin, margin] if margin is not None else []
    marks: list[Mark] = []
    has_new = any(row["low_new"] == row["low_new"] for row in rows)
    for k, row in enumerate(rows):
        look = verdict_look(row["verdict"] or "")
        hover = (
            f"{names[k]}: {numbers.difference(row['difference'])} {numbers.interval(row['low'], row['high'])}"
        )
        hover += f", n = {row['n']}" + (f", {row['verdict']}" if row["verdict"] else ", exploratory")
        shared = {"kind": "points", "name": _group(row)}
        subject = contrast_subject(analysis, row)
        if row["low_new"] == row["low_new"]:
            marks.append(
                Mark(
                    key=f"r{k + 1}_new",
                    x=(row["difference"],),
                    y=(-k - 0.2,),
                    low=(row["low_new"],),
                    high=(row["high_new"],),
                    look=Look(colour=look.colour, marker="none", dash="dotted", size=0.8),
                    hover=(f"{names[k]}, new images: {numbers.interval(row['low_new'], row['high_new'])}",),
                    traces=(labels.traces.hover("effects", subject, "interval_new"),),
                    **shared,
                )
            )
        if row["difference_last"] == row["difference_last"]:
            marks.append(
                Mark(
                    key=f"r{k + 1}_last",
                    x=(row["difference_last"],),
                    y=(-k + 0.24,),
                    look=Look(colour=look.colour, marker="cross", size=0.75),
                    hover=(f"{names[k]}, last epoch: {numbers.difference(row['difference_last'])}",),
                    traces=(labels.traces.hover("effects", subject, "difference_last"),),
                    **shared,
                )
            )
        has_interval = row["low"] == row["low"]
        marks.append(
            Mark(
                key=f"r{k + 1}",
                x=(row["difference"],),
                y=(float(-k),),
                low=(row["low"],) if has_interval else (),
                high=(row["high"],) if has_interval else (),
                look=look,
                hover=(hover,),
                traces=(labels.traces.hover("effects", subject, "difference"),),
                **shared,
            )
        )
    right = tuple(
        Note(
            y=float(-k),
            text=f"{numbers.difference(row['difference'])} {numbers.interval(row['low'], row['high'])}"
            + (f" {row['verdict']}" if row["verdict"] else ""),
        )
        for k, row in enumerate(rows)
    )
    caption = (
        f"Differences in {labels.metric(outcome)}, level minus baseline, paired by seed. Thick: "
        f"{percent(analysis.level)} interval for this test set{_exploratory_level(analysis)}."
        + (" Dotted: for new images." if has_new else "")
        + (" Small cross: the same difference at the last epoch's weights." if _has_last(rows) else "")
        + (f" Shaded: differences within the margin ±{margin:g} do not matter." if margin is not None else "")
        + " Grey, hollow: exploratory, without a verdict."
        + (" Lower is better: a negative difference favours the level." if is_lower_better(outcome) else "")
    )
    room = 0.34 * labels.style.width_cm
    aliases = [aliases_name(row, labels) for row in rows]
    shown = [_row_name(name, alias, room) for name, alias in zip(names, aliases, strict=True)]
    widest = max(text_width(line) for name in shown for line in name.split("\n"))
    if any(aliases):
        caption += " After =: interactions that the fraction cannot tell from the effect."
    row_cm = TALL_ROW_CM if any("\n" in name for name in shown) else ROW_CM
    return Figure(
        name="effects",
        title="Effects on the outcome, the best first" if ranked else "Effects on the outcome",
        caption=caption,
        facets=(
            (
                Facet(
                    x=linear(extent, f"Difference in {labels.metric(outcome)}", num_ticks=4),
                    y=categories(shown),
                    marks=tuple(marks),
                    region=(-margin, margin) if margin is not None else None,
                    verticals=(0.0,),
                    right=right,
                ),
            ),
        ),
        width_cm=labels.style.width_cm,
        row_height_cm=row_cm * len(rows) + 0.4,
        left_cm=widest + 0.35,
        right_cm=max(text_width(note.text) for note in right) + 0.3,
        legend=_legend(rows, has_new, margin),
    )


def contrast_name(row: dict[str, object], labels: Labels) -> str:
    """Return `norm: DyT − BatchNorm (unet)`; without the axis where the design has only one."""
    name = f"{labels.name(str(row['level']))} {MINUS} {labels.name(str(row['baseline']))}"
    axis = f"{labels.name(str(row['axis']))}: " if len(labels.analysis.experiment.axes) > 1 else ""
    return f"{axis}{name} ({labels.at(str(row['at']))})" if row["at"] else f"{axis}{name}"


def aliases_name(row: Mapping[str, Any], labels: Labels) -> str:
    """Return what an effect cannot be told from as it is printed: `lr × flips, model × size`."""
    others = [other.split(" x ") for other in str(row["aliases"]).split(", ")] if row["aliases"] else []
    return ", ".join(" × ".join(labels.name(axis) for axis in other) for other in others)


def _row_name(name: str, aliases: str, room: float) -> str:
    """Return a row's name on at most two lines; what it is aliased with takes the second."""
    if not aliases:
        return wrapped(name, room)
    return f"{shortened(name, room)}\n{shortened(f'= {aliases}', room)}"


def _exploratory_level(analysis: Analysis) -> str:
    return "" if analysis.level == LEVEL else f" ({percent(LEVEL)} where exploratory)"


def _group(row: dict[str, object]) -> str:
    return "judged" if row["is_family"] else "exploratory"


def _has_last(rows: list[dict[str, Any]]) -> bool:
    return any(row["difference_last"] == row["difference_last"] for row in rows)


def _legend(rows: list[dict[str, object]], has_new: bool, margin: float | None) -> tuple[Key, ...]:
    verdicts = [str(row["verdict"] or "") for row in rows]
    keys = [
        Key(text=word, look=verdict_look(word), kind="points")
        for word in (*VERDICT_COLOURS, "unresolved")
        if any(word in verdict for verdict in verdicts)
    ]
    if any(not verdict for verdict in verdicts):
        keys.append(Key(text="exploratory", look=Look(colour=GREY, is_hollow=True), kind="points"))
    if has_new:
        keys.append(Key(text="new images", look=Look(dash="dotted"), kind="line"))
    if _has_last(rows):
        keys.append(Key(text="last epoch", look=Look(marker="cross", size=0.75), kind="points"))
    if margin is not None:
        keys.append(Key(text="margin", look=Look(alpha=0.2), kind="region"))
    return tuple(keys)
