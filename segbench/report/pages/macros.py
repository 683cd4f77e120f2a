r"""`numbers.tex`: `\segval{experiment}{row}{name}` prints a number of the report in running text."""

from __future__ import annotations

import re
from typing import Final

from segbench.report.analysis import Analysis
from segbench.report.figures.design import slug
from segbench.report.labels import Labels
from segbench.report.latex_text import escape
from segbench.report.macros import macro_rows

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

    A row is a cell, a marginal mean, a contrast or another row of the report (`macros.macro_rows`). A name
    that the report does not know prints ?? and is a LaTeX warning.
    """
    name = slug(analysis.experiment.name)
    rows = macro_rows(analysis, labels.traces)
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
