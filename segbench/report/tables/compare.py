"""The tables of `segbench compare`: cells, outcomes side by side, contrasts that both reports show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from segbench.report.compare import OTHER, SAME, Comparison
from segbench.report.numbers import MINUS, NONE, Numbers, count
from segbench.report.tables.parts import is_known, rows_of, tone_of
from segbench.report.tables.table import Column, Field, Table
from segbench.report.trace import Source, Trace, Traces, key_of

FRAME: Final = "outcomes"


def compare_tables(found: Comparison, digits: int = 3) -> tuple[Table, ...]:
    """Return the tables that have rows."""
    numbers = Numbers(digits)
    tables = (_cells(found), _outcomes(found, numbers), _contrasts(found, numbers))
    return tuple(table for table in tables if table.rows)


def trace_outcomes(found: Comparison, digits: int = 3) -> Traces:
    """Return where the numbers of the outcomes come from: hash and values by seed."""
    numbers = Numbers(digits)
    traces = [trace for row in rows_of(found.outcomes) for trace in _traces(found, row, numbers)]
    return Traces(tuple(traces))


def _cells(found: Comparison) -> Table:
    rows = []
    for cell in found.cells:
        is_shared = cell.kind in (SAME, OTHER)
        seeds = [
            {record.seed for record in side.of(of)} for side, of in ((found.a, cell.a), (found.b, cell.b))
        ]
        rows.append(
            (
                Field(text=cell.label),
                Field(text=cell.kind, is_bold=cell.kind == OTHER),
                Field(text=cell.differs or NONE),
                Field(text=count(len(seeds[0])), sort=len(seeds[0])),
                Field(text=count(len(seeds[1])), sort=len(seeds[1])),
                Field(text=count(len(seeds[0] & seeds[1])) if is_shared else NONE),
            )
        )
    columns = (
        Column(title="Cell", is_number=False),
        Column(title="Match", is_number=False),
        Column(title="Differs in (A -> B)", is_number=False),
        Column(title="Seeds in A"),
        Column(title="in B"),
        Column(title="in both"),
    )
    return Table(
        name="compare-cells",
        caption="Cells of the two designs.",
        columns=columns,
        rows=tuple(rows),
        note="Same configuration: every key that can change a number is equal, whatever the level is called. "
        "Same name: the label is equal and the configuration is not. Seeds: of complete trials.",
    )


def _outcomes(found: Comparison, numbers: Numbers) -> Table:
    metric = found.a.experiment.outcome
    traces = {trace.key: trace for trace in trace_outcomes(found, numbers.digits).all}
    frame = rows_of(found.outcomes)
    has_new = any(is_known(row["low_new"]) for row in frame)
    rows = []
    for row in frame:

        def traced(name: str, subject: str = str(row["cell"])) -> str:
            trace = traces.get(key_of(FRAME, subject, name))
            return "" if trace is None else trace.hover

        mean_a, mean_b = (numbers.of(metric, row[name]) for name in ("mean_a", "mean_b"))
        this = numbers.interval_of(metric, row["low"], row["high"])
        new = numbers.interval_of(metric, row["low_new"], row["high_new"])
        rows.append(
            (
                Field(text=str(row["cell"])),
                Field(text=str(row["differs"]) or NONE),
                Field(text=count(row["n"]), sort=row["n"]),
                Field(text=mean_a, sort=row["mean_a"], hover=traced("mean_a")),
                Field(text=mean_b, sort=row["mean_b"], hover=traced("mean_b")),
                Field(
                    text=numbers.of(metric, row["difference"], is_difference=True),
                    sort=row["difference"],
                    hover=traced("difference"),
                ),
                Field(text=this, sort=row["low"], high=row["high"], hover=traced("interval")),
                *(
                    [Field(text=new, sort=row["low_new"], high=row["high_new"], hover=traced("interval_new"))]
                    if has_new
                    else []
                ),
                Field(text=str(row["remark"]) or NONE),
            )
        )
    columns = (
        Column(title="Cell", is_number=False),
        Column(title="Differs in (A -> B)", is_number=False),
        Column(title="n"),
        Column(title="A"),
        Column(title="B"),
        Column(title=f"B {MINUS} A"),
        Column(title="95 % interval, this test set"),
        *([Column(title="new images")] if has_new else []),
        Column(title="Remark", is_number=False),
    )
    return Table(
        name="compare-outcomes",
        caption=f"{metric} of the cells in both, exploratory.",
        columns=columns,
        rows=tuple(rows),
        note="Means over the n seeds that both have; the difference is paired by seed. Exploratory: "
        "intervals without correction, no verdicts. The same trials: both experiments report the same ones.",
    )


def _contrasts(found: Comparison, numbers: Numbers) -> Table:
    rows = []
    for row in rows_of(found.contrasts):
        at = f" ({row['at']})" if row["at"] else ""
        rows.append(
            (
                Field(text=f"{row['axis']}: {row['level']} {MINUS} {row['baseline']}{at}"),
                Field(text=str(row["metric"])),
                *_said(row, "", numbers),
                *_said(row, "_b", numbers),
            )
        )
    titles = ("difference", "95 % interval", "verdict")
    columns = (
        Column(title="Contrast", is_number=False),
        Column(title="Metric", is_number=False),
        *(
            Column(title=f"{side}: {title}", is_number=title != "verdict")
            for side in "AB"
            for title in titles
        ),
    )
    return Table(
        name="compare-contrasts",
        caption="Contrasts that both reports show.",
        columns=columns,
        rows=tuple(rows),
        note="As each experiment's own report has them, judged within its own family; intervals are those of "
        "that report. That one of them is resolved and the other is not does not show that the two differ.",
    )


def _said(row: Mapping[str, Any], ending: str, numbers: Numbers) -> Iterable[Field]:
    metric, verdict = row["metric"], str(row[f"verdict{ending}"] or "")
    low, high = row[f"low{ending}"], row[f"high{ending}"]
    difference = row[f"difference{ending}"]
    yield Field(text=numbers.of(metric, difference, is_difference=True), sort=difference)
    yield Field(text=numbers.interval_of(metric, low, high), sort=low, high=high)
    yield Field(text=verdict or NONE, tone=tone_of(verdict))


def _traces(found: Comparison, row: Mapping[str, Any], numbers: Numbers) -> Iterable[Trace]:
    metric, subject = found.a.experiment.outcome, str(row["cell"])
    by_seed = {
        f"{metric} in A": row["baseline_by_seed"],
        f"{metric} in B": row["level_by_seed"],
        "B minus A": row["difference_by_seed"],
    }
    trials = tuple(str(trial) for trial in row["trials"])
    mean = "Mean over the seeds that both have, of the means over a seed's cells and folds."
    interval = "Student's t-interval over the seeds' differences, 95 %"
    for name, columns, what, formula, keys in (
        ("mean_a", ("mean_a",), "mean in A", mean, [f"{metric} in A"]),
        ("mean_b", ("mean_b",), "mean in B", mean, [f"{metric} in B"]),
        ("difference", ("difference",), "B minus A", "Mean over seeds of B minus A.", list(by_seed)),
        ("interval", ("low", "high"), "interval, this test set", f"{interval}.", ["B minus A"]),
        (
            "interval_new",
            ("low_new", "high_new"),
            "interval, new images",
            f"{interval}, with the images' part.",
            ["B minus A"],
        ),
    ):
        values = tuple(row[column] for column in columns)
        if not all(is_known(value) for value in values):
            continue
        plain = float(values[0]) if len(values) == 1 else tuple(float(value) for value in values)
        yield Trace(
            key=key_of(FRAME, subject, name),
            frame=FRAME,
            subject=subject,
            name=name,
            quantity=f"{what}, {subject}",
            value=plain,
            printed=(
                numbers.interval_of(metric, *values)
                if len(values) > 1
                else numbers.of(metric, values[0], is_difference=name == "difference")
            ),
            formula=formula,
            source=Source(
                trials=tuple(t for t in trials if not name.startswith("mean") or t[0].lower() == name[-1]),
                seeds=tuple(row["seeds"]),
                by_seed={key: by_seed[key] for key in keys},
            ),
        )
