"""`report.tex` with its tables and `numbers.tex`, for pdflatex here and on Overleaf; and `report.pdf`.

pdflatex runs in a folder of its own, so that nothing but the PDF comes back.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from segbench.report.draw.figure import Figure
from segbench.report.draw.layout import place
from segbench.report.latex_text import escape
from segbench.report.pages.content import Content, Section
from segbench.report.table import Column, Field, Table
from segbench.report.topics.arrangement import slug

_TIME_LIMIT_S: Final = 300
_MOST_ERROR_LINES: Final = 8
_NEEDED: Final = (".tex", ".csv", ".jpg")


@dataclass(frozen=True)
class Compiled:
    """The PDF, or why there is none."""

    pdf: bytes | None = None
    warning: str | None = None
    is_failure: bool = False
    """pdflatex is there and refused: an older PDF would contradict the other pages."""


def compile_pdf(folder: Path, files: Mapping[str, bytes]) -> Compiled:
    """Run pdflatex twice on `report.tex`.

    Args:
        folder: The report's folder, named in warnings.
        files: Name relative to the folder -> content.
    """
    program = shutil.which("pdflatex")
    if program is None:
        return Compiled(
            warning="report.pdf is not written: pdflatex is not installed "
            "(Debian: apt-get install texlive-latex-extra texlive-pictures; or upload it to Overleaf)."
        )
    with tempfile.TemporaryDirectory(prefix="segbench-") as temporary:
        build = Path(temporary)
        for name, content in files.items():
            if name.endswith(_NEEDED):
                (build / name).parent.mkdir(parents=True, exist_ok=True)
                (build / name).write_bytes(content)
        # A fixed time: the dates inside a PDF must not differ between two runs on the same records.
        environment = {
            **os.environ,
            "SOURCE_DATE_EPOCH": "0",
            "FORCE_SOURCE_DATE": "1",
            "max_print_line": "1000",
        }
        command = [program, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "report.tex"]
        for _ in range(2):
            try:
                done = subprocess.run(
                    command,
                    cwd=build,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=_TIME_LIMIT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                text = f"report.pdf is not written: pdflatex took more than {_TIME_LIMIT_S} s in {folder}."
                return Compiled(warning=text, is_failure=True)
            if done.returncode:
                lines = "\n".join(f"  {line}" for line in error_lines(build / "report.log"))
                text = f"report.pdf is not written: pdflatex failed on {folder / 'report.tex'}:\n{lines}"
                return Compiled(warning=text, is_failure=True)
        return Compiled(pdf=(build / "report.pdf").read_bytes())


def error_lines(log: Path) -> list[str]:
    """Return the lines of a TeX log that say what went wrong and where."""
    if not log.is_file():
        return ["(pdflatex left no log)"]
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [line for line in lines if line.startswith(("!", "l."))]
    return (found or lines[-3:])[:_MOST_ERROR_LINES]


_MOST_ROWS = 30
"""Rows of one table; longer ones go on in another."""
_TALLEST_CM = 20.5
_SHORT = 14
"""Characters of a text that needs no line break."""

_PREAMBLE = r"""% Written by segbench. Run pdflatex twice, or upload the folder to Overleaf.
\documentclass[10pt,a4paper]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{lmodern,textcomp,microtype}
\usepackage[margin=2.5cm]{geometry}
\usepackage{graphicx,booktabs,tabularx,array,caption,multicol}
\usepackage{needspace}
\usepackage{pgfplots}
\pgfplotsset{compat=1.16}
\usepgfplotslibrary{fillbetween}
\usepackage[hidelinks]{hyperref}
\newcolumntype{L}{>{\raggedright\arraybackslash}X}
\captionsetup{font=small,labelfont=bf,skip=4pt}
% Here tables stand under their headings, and figures float, so that what follows fills the page; in your
% own text both float.
\makeatletter
\setlength{\@fptop}{0pt}
\newenvironment{segblock}[1]{\par\addvspace{8pt}\noindent\begin{minipage}{\linewidth}\def\@captype{#1}}%
  {\end{minipage}\par\addvspace{8pt}}
\renewenvironment{table}[1][]{\begin{segblock}{table}}{\end{segblock}}
\makeatother
\setcounter{topnumber}{4}\setcounter{bottomnumber}{3}\setcounter{totalnumber}{6}
\renewcommand{\topfraction}{.95}\renewcommand{\bottomfraction}{.9}\renewcommand{\textfraction}{.03}
\renewcommand{\floatpagefraction}{.75}
\raggedbottom
\setlength{\parindent}{0pt}\setlength{\parskip}{5pt plus 2pt}
\setlength{\emergencystretch}{3em}
\providecommand{\segreportdir}{.}
% the same source gives the same file
\ifdefined\pdfinfoomitdate\pdfinfoomitdate=1\fi
\ifdefined\pdftrailerid\pdftrailerid{}\fi
\ifdefined\pdfsuppressptexinfo\pdfsuppressptexinfo=-1\fi
"""


def write_latex(content: Content) -> str:
    """Return `report.tex`; it reads `numbers.tex`, `tables/`, `figures/` and `data/` beside it."""
    head = "\n".join(rf"\item[{escape(term)}] {escape(text)}" for term, text in content.head.items())
    parts = [
        _PREAMBLE,
        rf"\hypersetup{{pdftitle={{{slug(content.name)}}}}}",
        r"\begin{document}",
        r"\input{\segreportdir/numbers.tex}",
        rf"{{\Large\bfseries {escape(content.name)}\par}}",
        rf"{{\large {escape(content.question)}\par}}",
        rf"\medskip {escape(content.answer)}",
    ]
    verdicts, others = content.verdicts_first()
    for section in verdicts:
        parts += _section(section)
    parts += [r"\Needspace{.1\textheight}\section*{Setting}", _description(head)] if head else []
    for section in others:
        parts += _section(section)
    return "\n".join([*(part for part in parts if part), r"\end{document}", ""])


def write_table(table: Table) -> str:
    """Return `tables/NAME.tex`: one or more `table` floats, to be `\\input` with booktabs and tabularx."""
    chunks = [table.rows[k : k + _MOST_ROWS] for k in range(0, len(table.rows), _MOST_ROWS)]
    columns = [column for column in table.columns if column.in_print]
    texts = []
    for number, chunk in enumerate(chunks):
        rows = [[f for f, column in zip(row, table.columns, strict=True) if column.in_print] for row in chunk]
        caption = table.caption if number == 0 else f"{table.caption} (continued)"
        note = table.note if number == len(chunks) - 1 else ""
        texts.append(_float(table.name, columns, rows, caption, note, is_first=number == 0))
    return (
        "% needs: booktabs, tabularx, array and "
        r"\newcolumntype{L}{>{\raggedright\arraybackslash}X}" + "\n" + "\n".join(texts)
    )


def _section(section: Section) -> list[str]:
    # A heading stays with what follows it: TeX breaks no page behind one.
    # Two columns of terms are not broken: they go to the next page with their heading.
    room = ".2" if section.terms else ".1"
    title = rf"\section*{{{escape(section.title)}}}"
    pictures = [(_fitted(figure), figure.caption) for figure in section.figures]
    if section.panels:
        source = rf"{{\segreportdir/figures/{section.panels.file_name}}}"
        size = r"[width=\linewidth,height=0.58\textheight,keepaspectratio]"
        pictures.append((rf"\includegraphics{size}{source}", section.panels.caption))
    is_title_in_float = bool(pictures) and not section.tables
    parts = [] if is_title_in_float else [rf"\Needspace{{{room}\textheight}}{title}"]
    parts += [rf"\input{{\segreportdir/tables/{table.name}.tex}}" for table in section.tables]
    for number, (picture, caption) in enumerate(pictures):
        parts += [
            r"\begin{figure}[!htbp]",
            title if is_title_in_float and number == 0 else "",
            rf"\centering {picture}",
            rf"\caption{{{escape(caption)}}}",
            r"\end{figure}",
        ]
    if section.lines:
        items = "\n".join(rf"\item {escape(line)}" for line in section.lines)
        parts.append(
            "\\begin{itemize}\\setlength{\\itemsep}{1pt}\\setlength{\\parskip}{0pt}\n"
            + items
            + "\n\\end{itemize}"
        )
    if section.terms:
        terms = [rf"\item[{escape(term)}] {_breakable(text)}" for term, text in section.terms.items()]
        parts += [r"\begin{multicols}{2}\raggedright", _description("\n".join(terms)), r"\end{multicols}"]
    return [part for part in parts if part]


def _fitted(figure: Figure) -> str:
    """Return the input of a figure, smaller where it is taller than a page with heading and caption."""
    source = rf"\input{{\segreportdir/figures/{figure.name}.tex}}"
    if place(figure).height <= _TALLEST_CM:
        return source
    return rf"\resizebox{{!}}{{{_TALLEST_CM}cm}}{{{source}}}"


def _description(items: str) -> str:
    if not items:
        return ""
    return (
        "\\begin{description}\\setlength{\\itemsep}{0pt}\\setlength{\\parskip}{1pt}\\small\n"
        + items
        + "\n\\end{description}"
    )


def _breakable(text: str) -> str:
    """Allow a break inside words of more than 40 characters, such as hashes and paths."""
    words = []
    for word in text.split(" "):
        pieces = [word[k : k + 16] for k in range(0, len(word), 16)] if len(word) > 40 else [word]
        words.append("\\allowbreak{}".join(escape(piece) for piece in pieces))
    return " ".join(words)


def _float(
    name: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Field]],
    caption: str,
    note: str,
    *,
    is_first: bool,
) -> str:
    shape = _shape(columns, rows)
    size = (
        r"\small\setlength{\tabcolsep}{4pt}"
        if len(columns) < 8
        else r"\footnotesize\setlength{\tabcolsep}{3pt}"
    )
    head = " & ".join(_head(column) for column in columns)
    body = "\n".join(" & ".join(_field(f) for f in row) + r" \\" for row in rows)
    kind = "tabularx" if "L" in shape else "tabular*"
    lines = [
        r"\begin{table}[!htbp]\centering" + size,
        rf"\caption{{{escape(caption)}}}" + (rf"\label{{tab:{slug(name)}}}" if is_first else ""),
        rf"\begin{{{kind}}}{{\linewidth}}{{{shape}}}",
        r"\toprule",
        head + r" \\",
        r"\midrule",
        body,
        r"\bottomrule",
        rf"\end{{{kind}}}",
    ]
    if note:
        lines.append(
            rf"\par\smallskip\begin{{minipage}}{{\linewidth}}\footnotesize {escape(note)}\end{{minipage}}"
        )
    return "\n".join([*lines, r"\end{table}", ""])


def _shape(columns: Sequence[Column], rows: Sequence[Sequence[Field]]) -> str:
    """Return the column types: numbers right, short words left, long texts share the rest by their length."""
    longest = [
        max([len(column.title), *(len(row[k].text_in_print or row[k].text) for row in rows)])
        for k, column in enumerate(columns)
    ]
    wraps = [not c.is_number and n > _SHORT for c, n in zip(columns, longest, strict=True)]
    if not any(wraps):
        letters = "".join("r" if column.is_number else "l" for column in columns)
        return f"@{{\\extracolsep{{\\fill}}}}{letters}@{{}}"
    weights = [n**0.6 if wrap else 0.0 for n, wrap in zip(longest, wraps, strict=True)]
    shares = [weight * sum(wraps) / sum(weights) for weight in weights]
    kinds = []
    for column, wrap, share in zip(columns, wraps, shares, strict=True):
        wide = "L" if sum(wraps) == 1 else rf">{{\hsize={share:.2f}\hsize}}L"
        kinds.append(wide if wrap else "r" if column.is_number else "l")
    return "".join(kinds)


def _head(column: Column) -> str:
    """Break the titles of number columns at spaces: they are wider than their numbers."""
    if not column.is_number or len(column.title) <= 12:
        return escape(column.title)
    words, lines = column.title.split(" "), [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > 13:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    broken = " \\\\ ".join(escape(line) for line in lines)
    return rf"\shortstack[r]{{{broken}}}"


def _field(field: Field) -> str:
    text = _hyphenable(field.text_in_print or field.text)
    return rf"\textbf{{{text}}}" if field.is_bold and field.text else text


def _hyphenable(text: str) -> str:
    """Allow breaks behind `_`, `-` and `/` of long words: labels are often identifiers."""
    if max(map(len, text.split(" "))) <= 14:
        return escape(text)
    return "".join(escape(c) + ("\\allowbreak{}" if c in "_-/," else "") for c in text)
