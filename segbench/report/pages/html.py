"""`report.html`: one file that needs no network, in light and dark, on a phone and on paper.

`reports/index.html` and `index.md` list every experiment's question, answer and verdicts.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources

from segbench.records import State
from segbench.report.analysis import Analysis
from segbench.report.draw.figure import Figure
from segbench.report.draw.matplotlib_files import colour_style, draw_files, page_colours, page_svg
from segbench.report.numbers import typographic
from segbench.report.pages.content import Content, PanelPicture, Section
from segbench.report.pages.latex import write_table
from segbench.report.pages.markdown import escape as md_escape
from segbench.report.table import Field, Table

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""The browser itself refuses anything from outside, also if a label were to smuggle it in."""

_MIME = {"jpg": "image/jpeg", "png": "image/png"}
_MOST_VERDICTS = 8
"""On the first screen; the section has all."""
_MOST_LATEX_ROWS = 100
"""Rows of a table that the page offers as LaTeX; the file in `tables/` has all."""
_LONG = 14
"""Characters of a word that may be broken."""


def write_html(
    content: Content, *, drawn: Mapping[str, Mapping[str, bytes]] | None = None, is_watched: bool = False
) -> str:
    """Return the page; every text is escaped.

    Args:
        content: What it says.
        drawn: The files of each figure by its name, if they are drawn already.
        is_watched: Let the page load itself anew every few seconds, and say so.
    """
    links = "".join(f'<li><a href="#{s.key}">{escape(s.title)}</a></li>' for s in content.sections)
    sections = "\n".join(_section(section, drawn or {}) for section in content.sections)
    watched = '<p class="watched">follows the sweep</p>' if is_watched else ""
    watching = f"<script>\n{_package_file('watch.js')}</script>\n" if is_watched else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(content.name)}</title>
<style>
{page_css()}{page_colours()}{_package_file("trace.css")}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the results</a>
<header>
<div class="top"><p class="name">{escape(content.name)}</p>{watched}
<button class="theme" type="button" hidden>Theme</button></div>
<h1>{escape(content.question)}</h1>
<div class="first"><p class="answer">{escape(content.answer)}</p>
{_verdicts(content)}</div>
{_facts(content)}
</header>
<nav aria-label="Sections"><ul>{links}</ul></nav>
<main id="content" tabindex="-1">
{sections}
</main>
<footer>Written by segbench from the records alone. Point at a figure to read its numbers, or press
the arrow keys in it; press a column's title to sort by it. Point at a number of a table, or walk there with
Tab and the arrow keys, to see which trials it rests on.</footer>
<script>
{_package_file("report.js")}
{_package_file("trace.js")}</script>
{watching}</body>
</html>
"""


def page_css() -> str:
    """Return the style sheet of the pages."""
    return _package_file("report.css")


def _package_file(name: str) -> str:
    return (resources.files("segbench.report.pages") / name).read_text(encoding="utf-8")


def _verdicts(content: Content) -> str:
    if not content.verdicts:
        return ""
    section = next((s.key for s in content.sections if s.key in ("claims", "effects")), "content")
    items = "".join(
        f'<li><span class="{v.tone or "open"}">{escape(v.word)}</span> {_broken(v.about)}</li>'
        for v in content.verdicts[:_MOST_VERDICTS]
    )
    left = len(content.verdicts) - _MOST_VERDICTS
    more = f'<li><a href="#{section}">{left} more</a></li>' if left > 0 else ""
    return (
        '<section class="verdicts" aria-labelledby="verdicts-title"><h2 id="verdicts-title">'
        f'<a href="#{section}">Verdicts</a></h2><ul>{items}{more}</ul></section>'
    )


def _facts(content: Content) -> str:
    terms = "".join(
        f"<div{' class=wide' if len(text) > 60 else ''}><dt>{escape(term)}</dt><dd>{escape(text)}</dd></div>"
        for term, text in content.head.items()
    )
    return f'<dl class="facts">{terms}</dl>' if terms else ""


def _section(section: Section, drawn: Mapping[str, Mapping[str, bytes]]) -> str:
    parts = [f'<section id="{section.key}"><h2>{escape(section.title)}</h2>']
    parts += [write_sheet(table, has_title=len(section.tables) > 1) for table in section.tables]
    parts += [_figure(figure, drawn.get(figure.name)) for figure in section.figures]
    if section.panels:
        parts.append(_panels(section.panels))
    if section.lines:
        parts.append("<ul>" + "".join(f"<li>{escape(line)}</li>" for line in section.lines) + "</ul>")
    if section.terms:
        terms = "".join(
            f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in section.terms.items()
        )
        parts.append(f"<dl>{terms}</dl>")
    return "\n".join([*parts, "</section>"])


def write_sheet(table: Table, *, has_title: bool) -> str:
    """Return a table with its note and its LaTeX, which the page's script offers as a copy."""
    heads = "".join(
        f'<th scope="col"{" class=num" if column.is_number else ""}>'
        f'<button type="button">{escape(column.title)}</button></th>'
        for column in table.columns
    )
    rows = "\n".join(
        "<tr>" + "".join(_field(f, c.is_number) for f, c in zip(row, table.columns, strict=True)) + "</tr>"
        for row in table.rows
    )
    title = f"<h3>{escape(table.caption)}</h3>" if has_title else ""
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    has_latex = len(table.rows) <= _MOST_LATEX_ROWS
    latex = f'<template class="latex">{escape(write_table(table))}</template>' if has_latex else ""
    return (
        f'<div class="sheet">{title}<div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escape(table.caption)}">'
        f'<table class="sortable"><thead><tr>{heads}</tr></thead>\n<tbody>\n'
        f"{rows}\n</tbody></table></div>{note}{latex}</div>"
    )


def _field(field: Field, is_number: bool) -> str:
    text = escape(field.text) if is_number else _broken(field.text)
    if field.tone:
        text = f'<span class="{field.tone}">{text}</span>'
    elif field.is_bold:
        text = f"<b>{text}</b>"
    has_key = field.sort is not None and field.sort == field.sort
    key = f' data-sort="{field.sort:.9g}"' if has_key else ""
    traced = f' data-trace="{escape(field.hover)}"' if field.hover else ""
    return f'<td class="{"num" if is_number else "text"}"{key}{traced}>{text}</td>'


def _broken(text: str) -> str:
    """Escape a text and let long words, such as identifiers, go on in the next line."""
    if max(map(len, text.split(" "))) <= _LONG:
        return escape(text)
    pieces = re.findall(rf".{{1,{_LONG}}}?[_/,.=-]+|.{{1,{_LONG}}}? |.{{1,{_LONG}}}", text, re.DOTALL)
    return "<wbr>".join(escape(piece) for piece in pieces).replace(" <wbr>", " ")


def _figure(figure: Figure, drawn: Mapping[str, bytes] | None) -> str:
    svg = (drawn or draw_files(figure, ["svg"]))["svg"]
    looks = {mark.name: mark.look for mark in figure.marks}
    toggles = "".join(
        f'<button type="button" aria-pressed="true" data-name="{escape(name)}" '
        f'style="{colour_style(look)}">{escape(name)}</button>'
        for name, look in looks.items()
    )
    row = f'<div class="toggles" role="group" aria-label="Show or hide">{toggles}</div>'
    return (
        f'<figure id="figure-{figure.name}"><h3>{escape(figure.title)}</h3>{row if len(looks) > 1 else ""}'
        f'<div class="picture" tabindex="0" role="group" aria-label="{escape(figure.title)}; arrow keys read '
        f'its numbers">{page_svg(figure, svg)}</div>'
        f"<figcaption>{escape(figure.caption)}</figcaption></figure>"
    )


def _panels(picture: PanelPicture) -> str:
    data = base64.b64encode(picture.content).decode("ascii")
    mime = _MIME[picture.file_name.rsplit(".", 1)[-1]]
    return (
        '<figure><div class="picture" tabindex="0" role="region" aria-label="Test images">'
        f'<img alt="{escape(picture.caption)}" width="{picture.width_px}" '
        f'src="data:{mime};base64,{data}"></div>'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


_MOST_CHARACTERS = 440


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One report on the index."""

    name: str
    question: str
    answer: str
    """Its first sentences."""
    verdicts: str
    """Such as `2 supported, 1 unresolved`; empty: nothing was judged."""
    trials: str
    """Such as `18 of 18`."""
    last: str
    """Date of the last trial, from the records; empty: none has ended."""

    @classmethod
    def of(cls, analysis: Analysis) -> Entry:
        """Summarise a report."""
        return cls(
            name=analysis.experiment.name,
            question=analysis.experiment.question,
            answer=typographic(short(analysis.answer)),
            verdicts=verdict_counts(analysis),
            trials=_trials(analysis),
            last=analysis.provenance.get("last trial finished", "")[:10],
        )


def short(text: str) -> str:
    """Return the first sentences of a text, as many as fit in a few lines; at least one."""
    sentences = text.split(". ")
    kept = sentences[0]
    for sentence in sentences[1:]:
        if len(kept) + len(sentence) > _MOST_CHARACTERS:
            return kept + "."
        kept += f". {sentence}"
    return kept


def verdict_counts(analysis: Analysis) -> str:
    """Count the verdicts of the claims, else those of the family."""
    if not analysis.claims.empty:
        words = [str(word) for word in analysis.claims["verdict"]]
    elif not analysis.effects.empty:
        words = [str(v) for v in analysis.effects.loc[analysis.effects["is_family"], "verdict"] if v]
    else:
        words = []
    return ", ".join(f"{number} {word}" for word, number in sorted(Counter(words).items()))


def write_index_markdown(entries: Sequence[Entry]) -> str:
    """Return `index.md`."""
    parts = ["# Reports"]
    for entry in entries:
        facts = ", ".join(filter(None, (f"{entry.trials} trials", entry.last, entry.verdicts)))
        parts += [
            f"## [{md_escape(entry.name)}]({entry.name}/report.md)",
            f"**{md_escape(entry.question)}**",
            md_escape(entry.answer),
            f"<sub>{md_escape(facts)}</sub>",
        ]
    return "\n\n".join(parts) + "\n"


def write_index_html(entries: Sequence[Entry]) -> str:
    """Return `index.html`: one file, offline, like the reports."""
    cards = "\n".join(
        f'<section><h2><a href="{escape(entry.name)}/report.html">{escape(entry.name)}</a></h2>\n'
        f"<p><b>{escape(entry.question)}</b></p>\n"
        f'<p class="answer">{escape(entry.answer)}</p>\n'
        f"<dl>{_index_facts(entry)}</dl></section>"
        for entry in entries
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>Reports</title>
<style>
{_css()}</style>
</head>
<body>
<header><h1>Reports</h1></header>
<main>
{cards}
</main>
</body>
</html>
"""


def _css() -> str:
    """Return the style of the pages; without a script the system alone says whether it is dark."""
    dark = "@media screen and (prefers-color-scheme: dark) {"
    css = page_css().replace("@media screen {", dark).replace(':root[data-theme="dark"]', ":root")
    return css + ".answer + dl { margin-top: .7rem; }\n"


def _index_facts(entry: Entry) -> str:
    facts = {"verdicts": entry.verdicts, "trials": entry.trials, "last trial": entry.last}
    return "".join(f"<dt>{escape(t)}</dt><dd>{escape(text)}</dd>" for t, text in facts.items() if text)


def _trials(analysis: Analysis) -> str:
    measured = analysis.measured
    if measured is None or measured.empty:
        return str(len(analysis.seeds))
    done = int((measured["state"] == State.COMPLETE.value).sum())
    return f"{done:,} of {len(measured):,}"
