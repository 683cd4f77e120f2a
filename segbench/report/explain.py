"""What a number rests on, in plain text: its trials, the interval step by step, Holm's place."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from segbench.errors import ExperimentError, did_you_mean, message
from segbench.report.analysis import Analysis
from segbench.report.macros import MacroRow
from segbench.report.numbers import p_value
from segbench.report.phrases import percent
from segbench.report.trace import Measured, Row, Trace, Traces
from segbench.report.trace_frames import FRAMES
from segbench.stats.intervals import LEVEL, t_quantile

_CONTRASTS = ("effects", "claims", "subgroups")


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
    known = list(dict.fromkeys(subject for _, subject in subjects))
    nearest = did_you_mean(_plain(asked), map(_plain, known)) or did_you_mean(_turned(_plain(asked)), known)
    text = message("explain", "no number of the report is about this", got=asked)
    text += "".join(f" Did you mean {s!r}?" for s in known if nearest and _plain(s) == _plain(nearest))
    lines = "\n".join(f"  {subject}" for subject in known)
    raise ExperimentError(f"{text} It has numbers of:\n{lines}\nnumbers.json lists the key of each.")


def explain(analysis: Analysis, traces: Traces, frame: str, subject: str, *, records: Path) -> str:
    """Return the text.

    Args:
        analysis: The report.
        traces: Its numbers.
        frame: The frame of `Analysis`, such as `effects`.
        subject: The row, as `Traces` calls it.
        records: The folder of trials, as paths of records are to be shown.
    """
    found = traces.of_subject(frame, subject)
    row = _row(analysis, frame, subject)
    measured = Measured(analysis)
    lines = [f"{subject} ({frame})", "", *_printed(found)]
    if frame in _CONTRASTS and isinstance(row.get("seeds"), tuple):
        lines += ["", *_seeds(found[0]), "", *_contrast_steps(analysis, row, frame)]
        column = str(row.get("metric", analysis.experiment.outcome))
    else:
        column = analysis.experiment.outcome if frame == "cells" else "objective"
        lines += ["", *_cell_steps(row, found)] if frame == "cells" else []
    trials = tuple(dict.fromkeys(trial for trace in found for trial in trace.trials))
    return "\n".join([*lines, "", *_trials(trials, measured, column, records)])


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
    rows = getattr(analysis, frame).to_dict(orient="records")
    return next(row for row in rows if spec.subject(analysis, row) == subject)


def _printed(traces: Sequence[Trace]) -> list[str]:
    rows = [(t.quantity.removesuffix(f", {t.subject}"), t.printed, t.formula) for t in traces]
    rows = [row for row, trace in zip(rows, traces, strict=True) if trace.value not in (None, "")]
    return _columns([("number", "printed", "formula"), *rows])


def _seeds(trace: Trace) -> list[str]:
    names = list(trace.source.by_seed)
    rows = [
        (str(seed), *(_number(trace.source.by_seed[name][k]) for name in names))
        for k, seed in enumerate(trace.source.seeds)
    ]
    return _columns([("seed", *names), *rows])


def _contrast_steps(analysis: Analysis, row: Row, frame: str) -> Iterator[str]:
    differences = [float(value) for value in row["difference_by_seed"]]
    is_family = frame == "claims" or row.get("is_family") is True
    level = analysis.level if is_family else LEVEL
    yield from _steps(differences, level, "difference")
    variance, units = float(row["images_variance"]), int(row["num_units"])
    n = len(differences)
    if n > 1 and not math.isnan(variance):
        t, t_new = (float(t_quantile((1 - level) / 2, df)) for df in (n - 1, units - 1))
        sd = float(row["sd"])
        half = math.sqrt(t**2 * sd**2 / n + t_new**2 * variance)
        mean = float(row["difference"])
        yield ""
        yield f"interval for new images: {units:,} images (or groups) were seen"
        yield f"  variance that other images would add = {_number(variance)}, t({units - 1}) = {t_new:.4f}"
        parts = f"{t:.4f}² · sd² / {n} + {t_new:.4f}² · {_number(variance)}"
        yield f"  half-width = sqrt({parts}) = {_number(half)}"
        yield f"  interval = {_ends(mean, half)}"
    if is_family:
        yield from _holm(analysis, row)
    else:
        yield from ("", "exploratory: outside the family, so without p and verdict")
    if isinstance(row.get("note"), str) and row["note"]:
        yield from ("", f"note: {row['note']}")


def _cell_steps(row: Row, traces: Sequence[Trace]) -> Iterator[str]:
    trace = next(trace for trace in traces if trace.name == "mean")
    yield from _seeds(trace)
    yield ""
    values = next(iter(trace.source.by_seed.values()), ())
    yield from _steps([value for value in values if value == value], LEVEL, "mean")


def _steps(values: Sequence[float], level: float, what: str) -> Iterator[str]:
    n = len(values)
    if n == 0:
        yield f"{what}: no seed was measured"
        return
    mean = math.fsum(values) / n
    yield f"{percent(level)} interval for this test set, over {n} seed{'s' * (n > 1)}"
    yield f"  {what} = mean over seeds = {_number(mean)}"
    if n == 1:
        yield "  one seed gives no interval"
        return
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    t = float(t_quantile((1 - level) / 2, n - 1))
    half = t * sd / math.sqrt(n)
    yield f"  sd = sqrt(sum of (value − mean)² / {n - 1}) = {_number(sd)}"
    yield f"  t({(1 + level) / 2:.4g}, {n - 1}) = {t:.4f}"
    yield f"  half-width = t · sd / sqrt({n}) = {_number(half)}"
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
            adjusted = min(1.0, each * factor)
            yield f"{mark} {place + 1}. {_number(each)} · {factor} = {_number(adjusted)}  {about}"
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


def _trials(trials: Sequence[str], measured: Measured, column: str, records: Path) -> list[str]:
    if not trials:
        return ["no trial of the records stands behind it"]
    known = {} if measured.frame is None else measured.frame.drop_duplicates("trial").set_index("trial")
    rows = []
    for trial in trials:
        facts = known.loc[trial] if trial in getattr(known, "index", ()) else {}
        rows.append(
            (
                trial,
                str(facts.get("cell", "")),
                str(facts.get("seed", "")),
                _number(measured.value(trial, column)),
                (records / trial / "trial.json").as_posix(),
            )
        )
    return [
        f"{len(rows)} trial{'s' * (len(rows) > 1)}",
        *_columns([("trial", "cell", "seed", column, "record"), *rows]),
    ]


def _ends(mean: float, half: float) -> str:
    return f"{_number(mean - half)} to {_number(mean + half)}"


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.6g}"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
