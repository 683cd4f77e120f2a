r"""Every number of a report for programs and for running text: `numbers.json` and `numbers.tex`.

`numbers.json` holds each with its formula, its trials and their values by seed. `numbers.tex` defines
`\segval{experiment}{row}{name}`: rows of the report under the names that running text uses.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from segbench.records import DECIMALS
from segbench.report.analysis import Analysis
from segbench.report.labels import Labels
from segbench.report.latex_text import escape
from segbench.report.numbers import count
from segbench.report.topics.arrangement import slug, unique_slugs
from segbench.report.topics.contrast import contrast_subject
from segbench.report.topics.walk import FRAMES, trace_all
from segbench.report.trace import Source, Trace, Traces

FORMAT = 1


def write_numbers_json(traces: Traces, *, name: str, made_from: Mapping[str, Any]) -> str:
    """Return the file; docs/results-format.md explains it.

    Numbers that rest on the same values share an entry of `sources`.

    Args:
        traces: Every number.
        name: The experiment's.
        made_from: What the report was made from, for `segbench report --check`.
    """
    sources: dict[str, int] = {}
    known: dict[int, int] = {}  # most numbers share the very object with those of their row
    numbers = []
    for trace in traces.all:
        place = known.get(id(trace.source))
        if place is None:
            place = sources.setdefault(_json(_source(trace.source)), len(sources))
            known[id(trace.source)] = place
        entry = {
            "what": trace.quantity,
            "value": _plain(trace.value),
            "printed": trace.printed,
            "formula": trace.formula,
            "source": place,
        }
        numbers.append(f"{_json(trace.key)}: {_json(entry)}")
    head = {"format": FORMAT, "experiment": name, "made_from": dict(made_from)}
    lines = ",\n".join(f"{_json(key)}: {_json(value)}" for key, value in head.items())
    all_numbers, all_sources = ",\n".join(numbers), ",\n".join(sources)
    return f'{{\n{lines},\n"numbers": {{\n{all_numbers}\n}},\n"sources": [\n{all_sources}\n]\n}}\n'


def _source(source: Source) -> dict[str, Any]:
    by_seed = {name: _rounded(values) for name, values in source.by_seed.items()}
    return {"trials": list(source.trials), "seeds": list(source.seeds), "by_seed": by_seed}


def _rounded(values: Sequence[Any]) -> list[Any]:
    """Return values as `_plain` does; finite numbers, of which there are very many, all at once."""
    if set(map(type, values)) == {float}:
        text = f"%.{DECIMALS}g " * len(values) % tuple(values)
        if "n" not in text:  # neither nan nor inf
            return list(map(float, text.split()))
    return [_plain(each) for each in values]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return _rounded(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
        return float(f"{value:.{DECIMALS}g}")
    return value


_json: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, kw_only=True)
class MacroRow:
    """A cell, a contrast, a marginal mean or another row of the report."""

    key: str
    """Safe in TeX: `unet-BatchNorm`, `norm.DyT`, `norm.DyT.at-model-unet`."""
    frame: str
    subject: str
    aliases: tuple[str, ...] = ()
    """Other names, as they are in the experiment: `unet, BatchNorm`, `norm: DyT - BatchNorm`."""
    printed: dict[str, str] = field(default_factory=dict)
    """Name of a number -> how it is printed."""


def macro_rows(analysis: Analysis, traces: Traces) -> list[MacroRow]:
    """Return every row, cells first; keys and aliases are unique, the first row keeps a name."""
    in_text = {frame.name for frame in FRAMES if frame.in_text}
    of_row: dict[tuple[str, str], list[Trace]] = {}
    for trace in (trace for trace in traces.all if trace.frame in in_text):
        of_row.setdefault((trace.frame, trace.subject), []).append(trace)
    taken: set[str] = set()
    rows = []
    for frame, subject, key, aliases in _names(analysis, of_row):
        found = of_row.get((frame, subject))
        if found is None:
            continue
        free = [name for name in dict.fromkeys((subject, *aliases)) if name not in taken | {key}]
        taken |= {key, *free}
        values = _values(analysis, frame, found)
        rows.append(MacroRow(key=key, frame=frame, subject=subject, aliases=tuple(free), printed=values))
    return rows


def _names(
    analysis: Analysis, of_row: dict[tuple[str, str], list[Trace]]
) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Yield frame, subject, key and aliases of every row."""
    cells = [subject for frame, subject in of_row if frame == "cells"]
    slugs = unique_slugs(cells)
    for cell in cells:
        yield "cells", cell, slugs[cell], ()
    marginals = getattr(analysis, "marginals", None)
    if marginals is not None and not marginals.empty:
        labels = Counter(str(label) for label in marginals["level"])
        for row in marginals.to_dict("records"):
            axis, label = str(row["axis"]), str(row["level"])
            plain = (label, slug(label)) if labels[label] == 1 else ()
            yield "marginals", f"{axis}: {label}", f"mean.{slug(axis)}.{slug(label)}", plain
    effects = [] if analysis.effects.empty else analysis.effects.to_dict("records")
    # Those on the outcome keep the short keys.
    effects.sort(key=lambda row: row["metric"] != analysis.experiment.outcome)
    used: Counter[str] = Counter()
    for row in effects:
        place = f".at-{slug(str(row['at']))}" if row["at"] else ""
        other = "" if row["metric"] == analysis.experiment.outcome else f".{slug(str(row['metric']))}"
        key = f"{slug(str(row['axis']))}.{slug(str(row['level']))}{place}{other}"
        used[key] += 1
        number = f"-{used[key]}" if used[key] > 1 else ""
        yield "effects", contrast_subject(analysis, row), f"{key}{number}", ()
    others = [(frame, s) for frame, s in of_row if frame not in ("cells", "marginals", "effects")]
    keys = unique_slugs([f"{frame} {subject}" for frame, subject in others])
    for frame, subject in others:
        yield frame, subject, keys[f"{frame} {subject}"], ()


def _values(analysis: Analysis, frame: str, traces: list[Trace]) -> dict[str, str]:
    outcome = analysis.experiment.outcome
    values = {trace.name: trace.printed for trace in traces}
    for trace in traces:
        if trace.name == "parameters" and isinstance(trace.value, float):
            values["parameters"] = count(trace.value)
    if "mean" in values:
        values[outcome] = values["mean"]
        if "mean_last" in values:
            values[f"{outcome}_last"] = values["mean_last"]
        if "val_mean" in values:
            values[analysis.experiment.baseline.objective.metric] = values["val_mean"]
    if frame == "effects":
        values[outcome] = values["difference"]
        values["p"] = values.get("p_holm", values.get("p", ""))
    return values


# `numbers.tex`: `\segval{experiment}{row}{name}` prints a number of the report in running text.


_SAFE: Final = re.compile(r"[A-Za-z0-9_ .,:;=+\-*/()<>|!?@'\[\]]+")
"""Characters that TeX reads as they are where a name is expected."""

_LOOKUP: Final = r"""% \segval{experiment}{row}{name}: this report's numbers for your own text.
% Names may be written as in the experiment (test_dice, {unet, BatchNorm}) or as in the comments below.
\def\segvalof#1#2{\ifcsname #1@\detokenize{#2}\endcsname
  \csname #1@\detokenize{#2}\endcsname\else\detokenize{#2}\fi}
\def\segvalkey#1#2#3{segval@\segvalof{segexp}{#1}@\segvalof{segrow@\segvalof{segexp}{#1}}{#2}@\segvalof{segnum}{#3}}
\protected\def\segvalunknown#1#2#3{\textbf{??}%
  \PackageWarning{segbench}{\string\segval: the report has no number
    `\detokenize{#3}' of `\detokenize{#2}' in `\detokenize{#1}'}}
\def\segval#1#2#3{\ifcsname\segvalkey{#1}{#2}{#3}\endcsname
  \csname\segvalkey{#1}{#2}{#3}\endcsname\else\segvalunknown{#1}{#2}{#3}\fi}"""


def write_numbers(analysis: Analysis, labels: Labels) -> str:
    r"""Return `numbers.tex`.

    A row is a cell, a marginal mean, a contrast or another row of the report (`macro_rows`). A name
    that the report does not know prints ?? and is a LaTeX warning.
    """
    name = slug(analysis.experiment.name)
    rows = macro_rows(analysis, trace_all(analysis, labels.style.digits))
    lines = [_LOOKUP, *_alias("segexp", analysis.experiment.name, name)]
    names = dict.fromkeys(number for row in rows for number in row.printed)
    lines += [line for number in names for line in _alias("segnum", number, slug(number))]
    for row in rows:
        lines.append(f"% {row.key}: {_comment(row.subject)}")
        for alias in row.aliases:
            lines += _alias(f"segrow@{name}", alias, row.key)
        values = {slug(number): text for number, text in row.printed.items()}
        lines += [
            rf"\expandafter\def\csname segval@{name}@{row.key}@{number}\endcsname{{{escape(text)}}}"
            for number, text in values.items()
        ]
    return "\n".join([*lines, ""])


def _alias(kind: str, alias: str, key: str) -> list[str]:
    if alias == key or not _SAFE.fullmatch(alias) or "  " in alias or alias != alias.strip():
        return []
    return [rf"\expandafter\def\csname {kind}@\detokenize{{{alias}}}\endcsname{{{key}}}"]


def _comment(text: object) -> str:
    return " ".join(str(text).split())
