"""The table of what tuning changed."""

from __future__ import annotations

from functools import partial

from segbench.report.analysis import Analysis
from segbench.report.best_design import value_at
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, Numbers, count
from segbench.report.tables.numbered import Numbered
from segbench.report.tables.parts import rows_of
from segbench.report.tables.table import Column, Field, Table
from segbench.report.trace_search import untuned_subject


def untuned_table(analysis: Analysis, labels: Labels) -> Table:
    """Return a row a cell: as designed, tuned, and the difference where seeds have both."""
    frame = analysis.untuned
    if frame is None or frame.empty or analysis.experiment.tune is None:
        return Table(name="untuned", caption="", columns=(), rows=())
    experiment = analysis.experiment
    outcome, objective = experiment.outcome, experiment.baseline.objective.metric
    numbers = Numbers(labels.style.digits)
    has_val = frame["val_default"].notna().any()
    metric = labels.metric(objective)
    compared = Numbered(
        labels,
        "untuned",
        (
            ("Difference", "difference"),
            ("95 % interval", "interval"),
            *(((f"{metric}, as designed", "val_default"), ("winner", "val_winner")) if has_val else ()),
        ),
    )
    rows = []
    for row in rows_of(labels.ordered(frame)):
        subject = untuned_subject(analysis, row)
        hover = partial(labels.traces.hover, "untuned", subject)
        rows.append(
            (
                Field(text=labels.cell(row["cell"])),
                Field(text=_as_designed(analysis, row["cell"], labels)),
                _mean(
                    numbers.of(outcome, row["default"]), row["n_default"], row["default"], hover("default")
                ),
                _mean(numbers.of(outcome, row["tuned"]), row["n_tuned"], row["tuned"], hover("tuned")),
                *compared.fields(subject),
                Field(text=row["missing"] or NONE),
            )
        )
    columns = (
        Column(title="Cell", is_number=False),
        Column(title="As designed", is_number=False),
        Column(title=f"{labels.metric(outcome)}, as designed"),
        Column(title="tuned"),
        *compared.columns,
        Column(title="Missing", is_number=False),
    )
    sources = [name for text in frame["source"] for name in text.split(", ") if name]
    others = [name for name in dict.fromkeys(sources) if name != experiment.name]
    note = (
        "Tuned minus as designed, paired by seed over replicates on the test images, (n) seeds each; "
        "exploratory, and for this one tuning. No tuning trial enters it."
    )
    if others:
        note += f" Trials as designed are those of {', '.join(others)}."
    if has_val:
        note += (
            f" {metric}: tuning trials of one seed; the winner's is the best of "
            f"{count(experiment.tune.search.num_trials)}, so its lead flatters."
        )
    return Table(
        name="untuned",
        caption="Tuned against untuned.",
        columns=columns,
        rows=tuple(rows),
        note=note,
    )


def _mean(text: str, n: int, value: float, hover: str) -> Field:
    return Field(text=f"{text} ({count(n)})" if n else NONE, sort=value, hover=hover if n else "")


def _as_designed(analysis: Analysis, cell: str, labels: Labels) -> str:
    """Return the tuned knobs as the cell was designed: `lr 0.001, momentum 0.9`."""
    tune = analysis.experiment.tune
    assert tune is not None
    found = next(each for each in analysis.experiment.cells if each.label == cell)
    parts = []
    for knob in tune.search_of(found).parameters:
        if knob.levels:
            continue
        try:
            value = value_at(found.config, knob.path)
        except KeyError:
            continue
        shown = f"{value:.3g}" if isinstance(value, int | float) else str(value)
        parts.append(f"{labels.name(knob.name)} {shown}")
    return ", ".join(parts) or NONE
