"""What every page of a report says, in its order: the pages only write it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from segbench.report.analysis import Analysis
from segbench.report.draw.figure import Figure
from segbench.report.labels import Labels, Style
from segbench.report.numbers import NONE, typographic
from segbench.report.table import Table
from segbench.report.topics.topic import FigurePart, TablePart
from segbench.report.topics.walk import SECTIONS, TOPICS, make_figures, make_tables, parts_of


@dataclass(frozen=True, kw_only=True)
class PanelPicture:
    """The grid of test images, as it lies in `figures/`."""

    file_name: str
    content: bytes
    caption: str
    width_px: int


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One line of what was found."""

    about: str
    """A claim as written, or a contrast."""
    word: str
    tone: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading with tables and figures under it."""

    key: str
    title: str
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    panels: PanelPicture | None = None
    lines: tuple[str, ...] = ()
    terms: Mapping[str, str] | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.tables or self.figures or self.panels or self.lines or self.terms)


@dataclass(frozen=True, kw_only=True)
class Content:
    """One report."""

    name: str
    question: str
    answer: str
    head: Mapping[str, str]
    sections: tuple[Section, ...]
    verdicts: tuple[Verdict, ...] = ()
    """The claims' verdicts; without claims those of the judged contrasts."""

    def verdicts_first(self) -> tuple[tuple[Section, ...], tuple[Section, ...]]:
        """Return the sections before the terms of the head, on a page of one column, and the others."""
        claims = tuple(section for section in self.sections if section.key == "claims")
        return claims, tuple(section for section in self.sections if section.key != "claims")

    @property
    def tables(self) -> list[Table]:
        return [table for section in self.sections for table in section.tables]

    @property
    def figures(self) -> list[Figure]:
        return [figure for section in self.sections for figure in section.figures]


def make_content(
    analysis: Analysis,
    style: Style,
    *,
    figures: Iterable[Figure] | None = None,
    panels: PanelPicture | None = None,
    panels_missing: str | None = None,
) -> Content:
    """Arrange an analysis.

    Args:
        analysis: What to say.
        style: The user's looks.
        figures: What `make_figures` gave, where it was asked before.
        panels: The grid of test images.
        panels_missing: Why there is none, or why it is an older one.
    """
    labels = Labels(analysis, style)
    drawn = {each.name: each for each in (make_figures(analysis, labels) if figures is None else figures)}
    tables = make_tables(analysis, labels)
    lines: dict[str, tuple[str, ...]] = {
        "panels": (panels_missing,) if panels_missing else (),
        "notes": tuple(typographic(note) for note in analysis.notes),
    }
    for topic in TOPICS:
        own = topic.section_of(analysis)
        lines[own] = (*lines.get(own, ()), *topic.lines(analysis))
    sections = []
    for key, title in SECTIONS.items():
        parts = list(parts_of(analysis, key))
        sections.append(
            Section(
                key=key,
                title=title,
                tables=tuple(tables[p.name] for p in parts if isinstance(p, TablePart) and p.name in tables),
                figures=tuple(drawn[p.name] for p in parts if isinstance(p, FigurePart) and p.name in drawn),
                panels=panels if key == "panels" else None,
                lines=lines.get(key, ()),
                terms=dict(analysis.provenance) if key == "provenance" else None,
            )
        )
    return Content(
        name=analysis.experiment.name,
        question=analysis.experiment.question,
        answer=typographic(analysis.answer),
        head={term: typographic(text) for term, text in analysis.head.items()},
        sections=tuple(section for section in sections if not section.is_empty),
        verdicts=_verdicts(tables),
    )


def _verdicts(tables: Mapping[str, Table]) -> tuple[Verdict, ...]:
    of = tables.get("claims") or tables.get("effects")
    titles = [column.title for column in of.columns] if of is not None else []
    if of is None or "Verdict" not in titles:
        return ()
    where = titles.index("Verdict")
    return tuple(
        Verdict(about=row[0].text, word=row[where].text, tone=row[where].tone)
        for row in of.rows
        if row[where].text not in ("", NONE)
    )
