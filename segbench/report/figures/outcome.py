"""The outcome of every cell: a dot a seed, the mean and its interval."""

from __future__ import annotations

from segbench.metrics import is_lower_better
from segbench.report.analysis import Analysis
from segbench.report.figures.design import lay_out, unique_slugs
from segbench.report.figures.figure import Facet, Figure, Key, Mark, Note
from segbench.report.figures.geometry import ROW_CM, TALL_ROW_CM, text_width, wrapped
from segbench.report.figures.palette import Look, marker
from segbench.report.figures.scales import categories, linear
from segbench.report.labels import Labels
from segbench.report.numbers import Numbers


def outcome_figure(analysis: Analysis, labels: Labels) -> Figure | None:
    """Return one row a cell; None where no trial is complete."""
    seeds = analysis.seeds[analysis.seeds["value"].notna()] if not analysis.seeds.empty else analysis.seeds
    if seeds.empty:
        return None
    numbers = Numbers(labels.style.digits)
    layout = lay_out(labels)
    slugs = unique_slugs(list(analysis.cells["cell"]))
    rows = labels.ordered(analysis.cells).to_dict(orient="records")
    names = [labels.cell(row["cell"]) for row in rows]
    marks, right = [], []
    for k, row in enumerate(rows):
        own = seeds[seeds["cell"] == row["cell"]]
        level = layout.level_of(labels.levels(row["cell"]))
        number = layout.levels.index(level)
        name = labels.name(level) or names[k]
        if not own.empty:
            marks.append(
                Mark(
                    key=f"{slugs[row['cell']]}_seeds",
                    name=name,
                    kind="points",
                    look=Look(colour=layout.colour(level), is_hollow=True, size=0.7, alpha=0.9),
                    x=tuple(own["value"].astype(float)),
                    y=tuple(-k + 0.2 for _ in range(len(own))),
                    hover=tuple(
                        f"{names[k]}, seed {seed.seed}: {numbers.value(seed.value)} (trial {seed.trial})"
                        for seed in own.itertuples()
                    ),
                )
            )
            has_interval = row["low"] == row["low"]
            marks.append(
                Mark(
                    key=f"{slugs[row['cell']]}_mean",
                    name=name,
                    kind="points",
                    look=Look(colour=layout.colour(level), marker=marker(number)),
                    x=(float(row["mean"]),),
                    y=(-k - 0.08,),
                    low=(float(row["low"]),) if has_interval else (),
                    high=(float(row["high"]),) if has_interval else (),
                    hover=(
                        f"{names[k]}: mean {numbers.value(row['mean'])} "
                        f"{numbers.interval(row['low'], row['high'])}, n = {row['n']}",
                    ),
                    traces=(labels.traces.hover("cells", row["cell"], "mean"),),
                )
            )
        lost = int(row["diverged"] + row["failed"] + row["missing"])
        text = (
            f"{numbers.value(row['mean'])} {numbers.interval(row['low'], row['high'])}, n = {int(row['n'])}"
        )
        right.append(Note(y=float(-k), text=text + (f" (+{lost} lost)" if lost else "")))
    extent = [*seeds["value"], *analysis.cells["low"], *analysis.cells["high"]]
    outcome = labels.metric(analysis.experiment.outcome)
    better = ", lower is better" if is_lower_better(analysis.experiment.outcome) else ""
    room = 0.34 * labels.style.width_cm
    shown = [wrapped(name, room) for name in names]
    row_cm = TALL_ROW_CM if any("\n" in name for name in shown) else ROW_CM
    return Figure(
        name="outcome",
        title="Outcome of every cell",
        caption=(
            f"{outcome} of every cell{better}: a ring a seed, the mean over seeds with its 95 % t-interval "
            "below. "
            "Intervals of two cells do not judge their difference: the effects do, paired by seed."
        ),
        facets=(
            (
                Facet(
                    x=linear([v for v in extent if v == v], outcome, num_ticks=4),
                    y=categories(shown),
                    marks=tuple(marks),
                    right=tuple(right),
                ),
            ),
        ),
        width_cm=labels.style.width_cm,
        row_height_cm=row_cm * len(rows) + 0.4,
        left_cm=min(max(map(text_width, names)), room) + 0.35,
        right_cm=max(text_width(note.text) for note in right) + 0.3,
        legend=(
            Key(text="one seed", look=Look(is_hollow=True, size=0.7), kind="points"),
            Key(text="mean and 95 % interval", look=Look(), kind="points"),
        ),
    )
