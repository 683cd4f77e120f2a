"""What a number rests on, in plain text: its trials, the interval step by step, Holm's place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segbench.errors import ExperimentError, did_you_mean, message
from segbench.report.analysis import Analysis
from segbench.report.pages.number_files import MacroRow
from segbench.report.topics.walk import frame_of
from segbench.report.trace import Asked, Measured, Row, Trace, Traces, columns_of, number_text
from segbench.wording import counted

if TYPE_CHECKING:
    import pandas as pd


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
    found, of = traces.of_subject(frame, subject), frame_of(frame)
    row = next(row for row in of.rows_of(analysis) if of.subject(analysis, row) == subject)
    steps = list(of.steps(Asked(analysis=analysis, frame=frame, row=row, traces=found, epochs=epochs)))
    column = of.measured(analysis, row)
    trials = tuple(dict.fromkeys(trial for trace in found for trial in trace.trials))
    lines = [f"{subject} ({frame})", "", *_printed(found), *(["", *steps] if steps else []), ""]
    return "\n".join([*lines, *_trials(trials, Measured.of(analysis), column, records)])


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
        facts: Row = {} if known is None or trial not in known.index else known.loc[trial].to_dict()
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
        counted(len(rows), "trial"),
        *columns_of([("trial", "cell", "seed", column, "record"), *rows]),
    ]
