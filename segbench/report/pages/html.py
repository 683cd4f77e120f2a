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
from typing import Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from segbench.records import State
from segbench.report.analysis import Analysis
from segbench.report.draw.figure import Figure
from segbench.report.draw.matplotlib_files import colour_style, draw_files, page_colours, page_svg
from segbench.report.numbers import typographic
from segbench.report.pages.content import Content, PanelPicture
from segbench.report.pages.latex import write_table
from segbench.report.pages.markdown import escape as md_escape
from segbench.report.table import Table

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

    def svg_of(figure: Figure) -> str:
        files = (drawn or {}).get(figure.name) or draw_files(figure, ["svg"])
        return page_svg(figure, files["svg"])

    return _PAGES.get_template("report.html.jinja").render(
        content=content,
        css=page_css() + page_colours() + _package_file("trace.css"),
        judged=next((s.key for s in content.sections if s.key in ("claims", "effects")), "content"),
        most_verdicts=_MOST_VERDICTS,
        svg_of=svg_of,
        is_watched=is_watched,
    )


def page_css() -> str:
    """Return the style sheet of the pages."""
    return _package_file("report.css")


def write_sheet(table: Table, *, has_title: bool) -> str:
    """Return a table with its note and its LaTeX, which the page's script offers as a copy."""
    parts: Any = _PAGES.get_template("parts.html.jinja").module
    return str(parts.sheet(table, has_title, _latex_of(table)))


def _package_file(name: str) -> str:
    return (resources.files("segbench.report.pages") / name).read_text(encoding="utf-8")


def _escaped(value: object) -> Markup:
    return value if isinstance(value, Markup) else Markup(escape(str(value)))


def _broken(text: str) -> Markup:
    """Escape a text and let long words, such as identifiers, go on in the next line."""
    if max(map(len, text.split(" "))) <= _LONG:
        return _escaped(text)
    pieces = re.findall(rf".{{1,{_LONG}}}?[_/,.=-]+|.{{1,{_LONG}}}? |.{{1,{_LONG}}}", text, re.DOTALL)
    return Markup("<wbr>".join(escape(piece) for piece in pieces).replace(" <wbr>", " "))


def _latex_of(table: Table) -> str | None:
    return write_table(table) if len(table.rows) <= _MOST_LATEX_ROWS else None


def _data_of(picture: PanelPicture) -> str:
    mime = _MIME[picture.file_name.rsplit(".", 1)[-1]]
    return f"data:{mime};base64,{base64.b64encode(picture.content).decode('ascii')}"


_PAGES: Final = Environment(
    loader=FunctionLoader(_package_file),
    autoescape=True,
    finalize=_escaped,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_PAGES.globals |= {
    "broken": _broken,
    "colour_style": colour_style,
    "data_of": _data_of,
    "file": _package_file,
    "latex_of": _latex_of,
    "looks_of": lambda figure: {mark.name: mark.look for mark in figure.marks},
    "zip": zip,
}


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

    @property
    def facts(self) -> dict[str, str]:
        known = {"verdicts": self.verdicts, "trials": self.trials, "last trial": self.last}
        return {term: text for term, text in known.items() if text}

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
    return _PAGES.get_template("index.html.jinja").render(css=_css(), entries=entries)


def _css() -> str:
    """Return the style of the pages; without a script the system alone says whether it is dark."""
    dark = "@media screen and (prefers-color-scheme: dark) {"
    css = page_css().replace("@media screen {", dark).replace(':root[data-theme="dark"]', ":root")
    return css + ".answer + dl { margin-top: .7rem; }\n"


def _trials(analysis: Analysis) -> str:
    measured = analysis.measured
    if measured is None or measured.empty:
        return str(len(analysis.seeds))
    done = int((measured["state"] == State.COMPLETE.value).sum())
    return f"{done:,} of {len(measured):,}"
