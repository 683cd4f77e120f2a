"""`report.html`: one file that needs no network, in light and dark, on a phone and on paper."""

from __future__ import annotations

import base64
from html import escape
from importlib import resources

from segbench.report.figures.draw_svg import colour_of, colour_style, draw_svg, series_names
from segbench.report.figures.figure import Figure
from segbench.report.pages.content import Content, PanelPicture, Section
from segbench.report.tables.table import Field, Table

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""The browser itself refuses anything from outside, also if a label were to smuggle it in."""

_MIME = {"jpg": "image/jpeg", "png": "image/png"}


def write_html(content: Content) -> str:
    """Return the page; every text is escaped."""
    links = "".join(f'<li><a href="#{s.key}">{escape(s.title)}</a></li>' for s in content.sections)
    head = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in content.head.items())
    sections = "\n".join(_section(section) for section in content.sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(content.name)}</title>
<style>
{_package_file("report.css")}</style>
</head>
<body>
<header>
<div class="top"><p class="name">{escape(content.name)}</p>
<button class="theme" type="button" hidden>Theme</button></div>
<h1>{escape(content.question)}</h1>
<p class="answer">{escape(content.answer)}</p>
<dl>{head}</dl>
</header>
<nav aria-label="Sections"><ul>{links}</ul></nav>
<main>
{sections}
</main>
<footer>Written by segbench from the records alone. Point at a mark to read its numbers.</footer>
<script>
{_package_file("report.js")}</script>
</body>
</html>
"""


def _package_file(name: str) -> str:
    return (resources.files("segbench.report.pages") / name).read_text(encoding="utf-8")


def _section(section: Section) -> str:
    parts = [f'<section id="{section.key}"><h2>{escape(section.title)}</h2>']
    parts += [_table(table, has_title=len(section.tables) > 1) for table in section.tables]
    parts += [_figure(figure) for figure in section.figures]
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


def _table(table: Table, *, has_title: bool) -> str:
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
    return (
        f'{title}<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.caption)}">'
        f'<table class="sortable"><thead><tr>{heads}</tr></thead>\n<tbody>\n'
        f"{rows}\n</tbody></table></div>{note}"
    )


def _field(field: Field, is_number: bool) -> str:
    text = escape(field.text)
    if field.tone:
        text = f'<span class="{field.tone}">{text}</span>'
    elif field.is_bold:
        text = f"<b>{text}</b>"
    has_key = field.sort is not None and field.sort == field.sort
    key = f' data-sort="{field.sort:.9g}"' if has_key else ""
    return f'<td class="{"num" if is_number else "text"}"{key}>{text}</td>'


def _figure(figure: Figure) -> str:
    names = series_names(figure)
    toggles = "".join(
        f'<button type="button" aria-pressed="true" data-name="{escape(name)}" '
        f'style="{colour_style(colour_of(figure, name))}">{escape(name)}</button>'
        for name in names
    )
    row = f'<div class="toggles" role="group" aria-label="Show or hide">{toggles}</div>' if names else ""
    return (
        f'<figure id="figure-{figure.name}"><h3>{escape(figure.title)}</h3>{row}'
        f'<div class="picture" tabindex="0" role="region" aria-label="{escape(figure.title)}">'
        f"{draw_svg(figure)}</div>"
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
