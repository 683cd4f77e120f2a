"""What a cell costs and what it yields."""

from __future__ import annotations

from segbench.report.analysis import Analysis
from segbench.report.figures.design import lay_out, unique_slugs
from segbench.report.figures.figure import Facet, Figure, Key, Mark
from segbench.report.figures.palette import Look, marker
from segbench.report.figures.scales import linear, spread
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers, magnitude, significant

_HEIGHT_CM = 5.2
_COSTS = ("epoch_time_s", "parameters")


def cost_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return outcome against time and against size; None for a single cell."""
    cells = labels.ordered(analysis.cells)
    cells = cells[cells["mean"].notna()] if not cells.empty else cells
    if len(cells) < 2:
        return None
    numbers = Numbers(labels.style.digits)
    layout = lay_out(labels)
    slugs = unique_slugs(list(analysis.cells["cell"]))
    outcome = labels.metric(analysis.experiment.outcome)
    y = linear([v for key in ("mean", "low", "high") for v in cells[key] if v == v], outcome)
    facets = []
    for column in _COSTS:
        known = cells[cells[column].notna()]
        if known.empty or (column == "parameters" and known[column].nunique() < 2):
            continue
        unit, suffix = unit_of(column, known[column].max())
        marks = []
        for row in known.to_dict(orient="records"):
            levels = labels.levels(row["cell"])
            level = layout.level_of(levels)
            has_interval = row["low"] == row["low"]
            cost = magnitude(row[column]) if unit > 1 else f"{significant(row[column])} s per epoch"
            is_beaten = column not in row["front"].split()
            said = f"{labels.cell(row['cell'])}: {numbers.value(row['mean'])}, {cost}"
            marks.append(
                Mark(
                    key=f"{slugs[row['cell']]}_{column.split('_')[0]}",
                    name=labels.cell(row["cell"]),
                    kind="points",
                    is_horizontal=False,
                    look=Look(
                        colour=layout.colour(level),
                        marker=marker(layout.facets.index(layout.facet_of(levels))),
                        is_hollow=is_beaten,
                        size=0.85 if is_beaten else 1.0,
                    ),
                    x=(float(row[column]) / unit,),
                    y=(float(row["mean"]),),
                    low=(float(row["low"]),) if has_interval else (),
                    high=(float(row["high"]),) if has_interval else (),
                    hover=(said + ("" if is_beaten else ", not beaten"),),
                    traces=(labels.traces.hover("cells", row["cell"], "mean"),),
                )
            )
        scale = spread([mark.x[0] for mark in marks], labels.metric(column) + suffix)
        facets.append(Facet(x=scale, y=y, marks=tuple(marks)))
    if not facets:
        return None
    legend = [
        Key(text=labels.name(level), look=Look(colour=layout.colour(level)), kind="points")
        for level in layout.levels
        if level
    ]
    if len(layout.facets) > 1:
        legend += [
            Key(
                text=", ".join(labels.name(level) for level in combination if level),
                look=Look(marker=marker(number)),
                kind="points",
            )
            for number, combination in enumerate(layout.facets)
        ]
    looks = {mark.look.is_hollow for facet in facets for mark in facet.marks}
    if len(looks) > 1:
        legend += [
            Key(text="not beaten", look=Look(), kind="points"),
            Key(text="beaten", look=Look(is_hollow=True, size=0.85), kind="points"),
        ]
    return Figure(
        name="cost",
        title="Cost and outcome",
        caption=(
            f"{outcome} (mean and 95 % t-interval) against the median seconds of an epoch, training and "
            "validation together, on the hardware named in the report"
            + (", and against the number of parameters." if len(facets) > 1 else ".")
            + (" Filled: no other cell has as good a mean for as little." if len(looks) > 1 else "")
        ),
        facets=(tuple(facets),),
        width_cm=labels.style.width_cm,
        row_height_cm=_HEIGHT_CM,
        left_cm=1.5,
        legend=tuple(legend),
    )


def unit_of(column: str, largest: float) -> tuple[float, str]:
    """Return what values are divided by and what the axis then says."""
    if column == "flops":
        return (1e9, " (billions)") if largest >= 1e8 else (1e6, " (millions)")
    if column != "parameters":
        return 1.0, ""
    return (1e6, " (millions)") if largest >= 1e5 else (1e3, " (thousands)")
