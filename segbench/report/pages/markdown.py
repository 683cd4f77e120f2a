"""`report.md`: the page that a repository shows."""

from __future__ import annotations

import re

from segbench.report.pages.content import Content, Section
from segbench.report.table import Table

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$&])")


def write_markdown(content: Content) -> str:
    """Return the report as GitHub-flavoured Markdown with figures as links to `figures/*.png`."""
    parts = [
        f"# {escape(content.name)}",
        f"**{escape(content.question)}**",
        escape(content.answer),
    ]
    verdicts, others = content.verdicts_first()
    for section in verdicts:
        parts += _section(section)
    if content.head:
        parts.append("## Setting")
        parts.append("\n".join(f"- {escape(term)}: {escape(text)}" for term, text in content.head.items()))
    for section in others:
        parts += _section(section)
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """Return text that Markdown prints as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def table(of: Table) -> str:
    """Return a pipe table; numbers to the right."""
    head = "| " + " | ".join(escape(column.title) for column in of.columns) + " |"
    rule = "| " + " | ".join("---:" if column.is_number else ":---" for column in of.columns) + " |"
    rows = [
        "| "
        + " | ".join(f"**{escape(f.text)}**" if f.is_bold and f.text else escape(f.text) for f in row)
        + " |"
        for row in of.rows
    ]
    return "\n".join([head, rule, *rows])


def _section(section: Section) -> list[str]:
    parts = [f"## {escape(section.title)}"]
    for of in section.tables:
        parts += [escape(of.caption), table(of)]
        parts.append(f"<sub>{_html(of.note)}</sub>" if of.note else "")
    for figure in section.figures:
        parts.append(f"![{escape(figure.title)}](figures/{figure.name}.png)")
        parts.append(f"<sub>{_html(figure.caption)}</sub>")
    if section.panels:
        parts.append(f"![Test images](figures/{section.panels.file_name})")
        parts.append(f"<sub>{_html(section.panels.caption)}</sub>")
    lines = [f"- {escape(line)}" for line in section.lines]
    lines += [f"- {escape(term)}: {escape(text)}" for term, text in (section.terms or {}).items()]
    return [*parts, "\n".join(lines)]


def _html(text: str) -> str:
    return escape(text).replace("\\<", "&lt;").replace("\\>", "&gt;")
