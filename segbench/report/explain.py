"""How a number follows from what was measured: the steps of `segbench explain`, frame by frame."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from segbench.errors import ExperimentError, did_you_mean, message
from segbench.report.analysis import Analysis
from segbench.report.numbers import p_value, percent
from segbench.report.pages.macros import MacroRow
from segbench.report.trace import Measured, Row, Trace, Traces
from segbench.report.trace_frames import FRAMES
from segbench.stats.intervals import LEVEL, t_quantile

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A row of a report that is to be explained."""

    analysis: Analysis
    frame: str
    row: Row
    traces: Sequence[Trace]
    """Its numbers."""
    epochs: pd.DataFrame | None
    """Rows of `epochs.csv` with `trial`."""

    def trace(self, name: str) -> Trace:
        return next(trace for trace in self.traces if trace.name == name)


def write_steps(asked: Asked) -> list[str]:
    """Return the lines; none where the values by seed say nothing that the numbers do not."""
    steps = _STEPS.get(asked.frame)
    return [] if steps is None else list(steps(asked))


def _contrast(asked: Asked) -> Iterator[str]:
    analysis, row, frame = asked.analysis, asked.row, asked.frame
    if not isinstance(row.get("seeds"), tuple):
        return
    yield from _by_seed(asked.traces[0])
    yield ""
    differences = [float(value) for value in row["difference_by_seed"]]
    is_family = frame == "claims" or row.get("is_family") is True
    level = analysis.level if is_family else LEVEL
    yield from _interval(differences, level, "difference")
    variance, units = float(row["images_variance"]), int(row["num_units"])
    n = len(differences)
    if n > 1 and not math.isnan(variance):
        t, t_new = (float(t_quantile((1 - level) / 2, df)) for df in (n - 1, units - 1))
        sd = float(row["sd"])
        half = math.sqrt(t**2 * sd**2 / n + t_new**2 * variance)
        mean = float(row["difference"])
        yield ""
        yield f"interval for new images: {units:,} images (or groups) were seen"
        added = f"variance that other images would add = {number_text(variance)}"
        yield f"  {added}, t({units - 1}) = {t_new:.4f}"
        parts = f"{t:.4f}² · sd² / {n} + {t_new:.4f}² · {number_text(variance)}"
        yield f"  half-width = sqrt({parts}) = {number_text(half)}"
        yield f"  interval = {_ends(mean, half)}"
    if is_family:
        yield from _holm(analysis, row)
    else:
        yield from ("", "exploratory: outside the family, so without p and verdict")
    if isinstance(row.get("note"), str) and row["note"]:
        yield from ("", f"note: {row['note']}")


def _mean(name: str, what: str) -> Callable[[Asked], Iterator[str]]:
    """Return the steps of a mean over seeds."""

    def steps(asked: Asked) -> Iterator[str]:
        trace = asked.trace(name)
        yield from _by_seed(trace)
        yield ""
        values = next(iter(trace.source.by_seed.values()), ())
        yield from _interval([value for value in values if value == value], LEVEL, what)

    return steps


def _sensitivity(asked: Asked) -> Iterator[str]:
    row, level = asked.row, asked.analysis.level
    yield from _by_seed(asked.traces[0])
    yield ""
    yield from _interval([float(value) for value in row["difference_by_seed"]], level, "difference")
    df, low, high = (float(row[name]) for name in ("df_pooled", "low_pooled", "high_pooled"))
    t, half = float(t_quantile((1 - level) / 2, df)), (high - low) / 2
    yield ""
    yield f"{percent(level)} interval with the error pooled over all cells: {df:.0f} degrees of freedom"
    error = "sqrt(2 · residual mean square / (cells of an arm · seeds))"
    yield f"  standard error = {error} = {number_text(half / t)}"
    yield f"  t({(1 + level) / 2:.4g}, {df:.0f}) = {t:.4f}"
    yield f"  half-width = {number_text(half)}"
    yield f"  interval = {number_text(low)} to {number_text(high)}"


def _anova(asked: Asked) -> Iterator[str]:
    row, frame = asked.row, asked.analysis.anova
    assert frame is not None
    others = frame.set_index("source")
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


def _dynamics(asked: Asked) -> Iterator[str]:
    yield f"the level = {number_text(float(asked.row['level']))}"
    yield ""
    measures = [
        trace for trace in asked.traces if trace.source.by_seed and not isinstance(trace.value, tuple)
    ]
    yield from _by_seed(*measures)


def _curve(asked: Asked) -> Iterator[str]:
    metric, epochs = str(asked.row["metric"]), asked.epochs
    names = ("epochs", "n", "mean", "low", "high")
    table: list[tuple[str, ...]] = [("epoch", *names[1:])]
    by_seed: dict[int, dict[int, float]] = {}
    measured = asked.analysis.measured
    if epochs is not None and measured is not None and metric in epochs:
        seeds = measured.dropna(subset=["trial"]).drop_duplicates("trial").set_index("trial")["seed"]
        own = epochs[epochs["trial"].isin(asked.traces[0].trials)]
        means = own.assign(seed=own["trial"].map(seeds)).groupby(["epoch", "seed"])[metric].mean()
        for epoch, seed, value in means.reset_index().itertuples(index=False, name=None):
            by_seed.setdefault(int(seed), {})[int(epoch)] = float(value)
        table = [("epoch", *(f"seed {seed}" for seed in by_seed), *names[1:])]
    for epoch, n, *summary in zip(*(asked.row[name] for name in names), strict=True):
        values = [own.get(int(epoch), math.nan) for own in by_seed.values()]
        table.append((str(int(epoch)), *map(number_text, values), str(int(n)), *map(number_text, summary)))
    yield from columns_of(table)


_STEPS: Final[Mapping[str, Callable[[Asked], Iterator[str]]]] = {
    "cells": _mean("mean", "mean"),
    "metrics": _mean("mean", "mean"),
    "effects": _contrast,
    "sensitivity": _sensitivity,
    "claims": _contrast,
    "subgroups": _contrast,
    "marginals": _mean("mean", "mean"),
    "interaction_means": _mean("mean", "mean"),
    "interactions": _mean("difference", "difference of differences"),
    "anova": _anova,
    "dynamics": _dynamics,
    "curves": _curve,
}


def _by_seed(*traces: Trace) -> list[str]:
    """Return what each seed measured, a column a name."""
    values = {name: own for trace in traces for name, own in trace.source.by_seed.items()}
    seeds = traces[0].source.seeds if traces else ()
    rows = [(str(seed), *(number_text(own[k]) for own in values.values())) for k, seed in enumerate(seeds)]
    return columns_of([("seed", *values), *rows])


def _interval(values: Sequence[float], level: float, what: str) -> Iterator[str]:
    n = len(values)
    if n == 0:
        yield f"{what}: no seed was measured"
        return
    mean = math.fsum(values) / n
    yield f"{percent(level)} interval for this test set, over {n} seed{'s' * (n > 1)}"
    yield f"  {what} = mean over seeds = {number_text(mean)}"
    if n == 1:
        yield "  one seed gives no interval"
        return
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    t = float(t_quantile((1 - level) / 2, n - 1))
    half = t * sd / math.sqrt(n)
    yield f"  sd = sqrt(sum of (value − mean)² / {n - 1}) = {number_text(sd)}"
    yield f"  t({(1 + level) / 2:.4g}, {n - 1}) = {t:.4f}"
    yield f"  half-width = t · sd / sqrt({n}) = {number_text(half)}"
    yield f"  interval = {_ends(mean, half)}"


def _holm(analysis: Analysis, row: Row) -> Iterator[str]:
    """Show the family in the order of p: Holm multiplies the k-th smallest by the members not before it."""
    for name, title in (("p", "difference"), ("p_equivalence", "equivalence")):
        p = float(row.get(name, math.nan))
        if math.isnan(p):
            continue
        family = _family(analysis, name)
        order = sorted(family, key=lambda member: member[0])
        places = [place for place, member in enumerate(order) if member[0] == p]
        yield ""
        yield f"Holm, {title}: {len(family)} hypothes{'i' if len(family) == 1 else 'e'}s in the order of p"
        for place, (each, about) in enumerate(order):
            factor = len(order) - place
            mark = ">" if place in places else " "
            by_place = number_text(min(1.0, each * factor))
            yield f"{mark} {place + 1}. {number_text(each)} · {factor} = {by_place}  {about}"
        adjusted = p_value(float(row[f"{name}_holm"]))
        yield f"  after Holm: the largest up to its place, {adjusted}"


def _family(analysis: Analysis, name: str) -> list[tuple[float, str]]:
    """Return the p and the words of every judged hypothesis; one that could not be tested counts as 1."""
    found: list[tuple[float, str]] = []
    specs = {spec.name: spec for spec in FRAMES}
    members: list[tuple[str, Any]] = [
        ("effects", row) for row in analysis.effects.to_dict("records") if row["is_family"]
    ]
    if "is_ratio" in analysis.claims:
        ratios = {
            spec_subject: row
            for row in analysis.claims.to_dict("records")
            if row["is_ratio"] is True
            for spec_subject in [specs["claims"].subject(analysis, row)]
        }
        members += [("claims", row) for row in ratios.values()]
    has_margin = name == "p" or analysis.experiment.margin is not None
    for frame, row in members:
        p = float(row.get(name, math.nan))
        if name != "p" and math.isnan(p):
            continue
        if has_margin:
            found.append((1.0 if math.isnan(p) else p, specs[frame].subject(analysis, row)))
    return found


def _ends(mean: float, half: float) -> str:
    return f"{number_text(mean - half)} to {number_text(mean + half)}"


def number_text(value: float) -> str:
    """Print six digits, a dash for what is missing."""
    return "–" if value != value else f"{value:.6g}"


def columns_of(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Align rows of text in columns."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


# What a number rests on, in plain text: its trials, the interval step by step, Holm's place.


_CONTRASTS: Final = ("effects", "sensitivity", "claims")
_ABOUT_OBJECTIVE: Final = ("tuning", "search", "dynamics", "curves")


def find(traces: Traces, asked: str, rows: Sequence[MacroRow] = ()) -> tuple[str, str]:
    """Return the frame and subject that are asked for.

    Args:
        traces: Every number.
        asked: A subject (`unet, BatchNorm`; `norm: none - BatchNorm`, either way round), a key of
            `numbers.json`, or what LaTeX is given: `\\segval{study}{unet-BatchNorm}{mean}`, or its row.
        rows: What `\\segval` knows.

    Raises:
        ExperimentError: There is none; the message lists what there is.
    """
    trace = traces.by_key.get(asked)
    if trace is not None:
        return trace.frame, trace.subject
    macro = re.fullmatch(r"\\segval\{[^{}]*\}\{([^{}]*)\}\{[^{}]*\}", asked.strip())
    wanted_row = macro[1].strip() if macro else asked
    for row in rows:
        if wanted_row in (row.key, *row.aliases):
            return row.frame, row.subject
    subjects = {(t.frame, t.subject): None for t in traces.all}
    for wanted in (_plain(asked), _turned(_plain(asked))):
        for frame, subject in subjects:
            if wanted and wanted in (_plain(subject), _plain(f"{frame}/{subject}")):
                return frame, subject
    known = list(dict.fromkeys(subject for frame, subject in subjects if frame != "curves"))
    nearest = did_you_mean(_plain(asked), map(_plain, known)) or did_you_mean(_turned(_plain(asked)), known)
    text = message("explain", "no number of the report is about this", got=asked)
    text += "".join(f" Did you mean {s!r}?" for s in known if nearest and _plain(s) == _plain(nearest))
    metrics = dict.fromkeys(subject.rpartition(", ")[2] for frame, subject in subjects if frame == "curves")
    lines = "\n".join(f"  {subject}" for subject in known)
    lines += f"\n  CELL, METRIC for a learning curve ({', '.join(metrics)})" if metrics else ""
    raise ExperimentError(f"{text} It has numbers of:\n{lines}\nnumbers.json lists the key of each.")


def explain(
    analysis: Analysis,
    traces: Traces,
    frame: str,
    subject: str,
    *,
    records: Path,
    epochs: pd.DataFrame | None = None,
) -> str:
    """Return the text.

    Args:
        analysis: The report.
        traces: Its numbers.
        frame: The frame of `Analysis`, such as `effects`.
        subject: The row, as `Traces` calls it.
        records: The folder of trials, as paths of records are to be shown.
        epochs: `Results.epochs`, for curves by seed.
    """
    found = traces.of_subject(frame, subject)
    row = _row(analysis, frame, subject)
    steps = write_steps(Asked(analysis=analysis, frame=frame, row=row, traces=found, epochs=epochs))
    outcome = str(row["metric"]) if frame in _CONTRASTS and "metric" in row else analysis.experiment.outcome
    column = "objective" if frame in _ABOUT_OBJECTIVE else outcome
    trials = tuple(dict.fromkeys(trial for trace in found for trial in trace.trials))
    lines = [f"{subject} ({frame})", "", *_printed(found), *(["", *steps] if steps else []), ""]
    return "\n".join([*lines, *_trials(trials, Measured(analysis), column, records)])


def _plain(text: str) -> str:
    for dash in "−–":
        text = text.replace(dash, "-")
    return " ".join(text.replace("=", " = ").split()).casefold()


def _turned(text: str) -> str:
    """Return `norm: b - a at ...` for `norm: a - b at ...`; empty where it is no contrast."""
    axis, colon, rest = text.partition(": ")
    contrast, at, place = rest.partition(" at ")
    level, minus, baseline = contrast.partition(" - ")
    if not (colon and minus):
        return ""
    baseline, comma, metric = baseline.partition(", ")
    return f"{axis}: {baseline} - {level}{comma}{metric}{at}{place}"


def _row(analysis: Analysis, frame: str, subject: str) -> Row:
    spec = next(spec for spec in FRAMES if spec.name == frame)
    return next(row for row in spec.rows_of(analysis) if spec.subject(analysis, row) == subject)


def _printed(traces: Sequence[Trace]) -> list[str]:
    rows = [(t.quantity.removesuffix(f", {t.subject}"), t.printed, t.formula) for t in traces]
    rows = [row for row, trace in zip(rows, traces, strict=True) if trace.value not in (None, "")]
    return columns_of([("number", "printed", "formula"), *rows])


def _trials(trials: Sequence[str], measured: Measured, column: str, records: Path) -> list[str]:
    if not trials:
        return ["no trial of the records stands behind it"]
    known = None if measured.frame is None else measured.frame.drop_duplicates("trial").set_index("trial")
    rows = []
    for trial in trials:
        facts: Mapping[Any, Any] = (
            {} if known is None or trial not in known.index else known.loc[trial].to_dict()
        )
        rows.append(
            (
                trial,
                str(facts.get("cell", "")),
                str(facts.get("seed", "")),
                number_text(measured.value(trial, column)),
                (records / trial / "trial.json").as_posix(),
            )
        )
    return [
        f"{len(rows)} trial{'s' * (len(rows) > 1)}",
        *columns_of([("trial", "cell", "seed", column, "record"), *rows]),
    ]
