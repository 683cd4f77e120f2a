"""What a topic of a report is: its frames with their columns, its tables, its figures and its section.

Each module of this folder declares one `Topic` or a few; `walk.TOPICS` lists them in the order of the page.
Pages, `numbers.json`, `numbers.tex`, `report.xlsx` and `segbench explain` walk that list and know no topic by
name. A new column is one more `Number` among the columns of a frame. A new figure is one more `FigurePart`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from segbench.records import axis_column
from segbench.report.analysis import Analysis
from segbench.report.draw.figure import Figure
from segbench.report.labels import Labels
from segbench.report.numbers import NONE, Numbers
from segbench.report.table import Column as Head
from segbench.report.table import Field, Table
from segbench.report.trace import Asked, Measured, Row, Show, Source, Trace, Traces, key_of, plain, rows_of

if TYPE_CHECKING:
    import pandas as pd

    from segbench.report.study import Study

Words = str | Callable[[Labels], str]


@dataclass(frozen=True, kw_only=True)
class Column(ABC):
    """A column of a frame, as tables show it."""

    name: str
    title: Words = ""
    """Heading in tables; empty: no table shows the column."""
    tables: tuple[str, ...] = ()
    """Names of the tables that show it; empty: all tables of the frame."""
    after: str = ""
    """The column that it follows in tables, if another than the one declared before it."""
    is_number: bool = False
    """Whether it is set to the right."""
    in_print: bool = True
    """Whether the PDF has room for it."""
    is_optional: bool = False
    """Whether tables leave it out if no row has a value."""
    when: Callable[[Labels, Sequence[Row]], bool] = lambda labels, rows: True
    """Whether a table of these rows shows it."""

    @abstractmethod
    def field(self, labels: Labels, frame: Frame, row: Row) -> Field:
        """Return what stands in a row of a table."""


@dataclass(frozen=True, kw_only=True)
class Text(Column):
    """A column that names a row or explains it; nothing in it was measured."""

    text: Callable[[Labels, Row], str | Field]

    def field(self, labels: Labels, frame: Frame, row: Row) -> Field:
        found = self.text(labels, row)
        return Field(text=found) if isinstance(found, str) else found


@dataclass(frozen=True, kw_only=True)
class Number(Column):
    """A column of numbers or intervals, each of which is traced to its trials."""

    words: str
    """What it is."""
    formula: str | Callable[[Row], str]
    """How it comes from the values by seed, in one sentence."""
    show: Show
    """Prints the values of `columns`."""
    columns: tuple[str, ...] = ()
    """Columns of the frame; empty: the one called `name`."""
    behind: str = ""
    """The measured column that it is made from, if the source asks for it."""
    is_number: bool = True
    dress: Callable[[Labels, Row, Field], Field] = lambda labels, row, found: found
    """Changes what stands in a table: bold, a colour, a star."""

    def field(self, labels: Labels, frame: Frame, row: Row) -> Field:
        trace = frame.trace(labels, row, self.name)
        values = [row.get(column) for column in self.columns or (self.name,)] if self.is_number else []
        ends = [float("nan") if value is None else float(value) for value in values]
        found = Field(
            text=NONE if trace is None else trace.printed,
            sort=ends[0] if ends else None,
            high=ends[-1] if len(ends) > 1 else None,
            hover="" if trace is None or trace.printed == NONE else trace.hover,
        )
        return self.dress(labels, row, found)


def interval(
    words: str,
    formula: str,
    show: Show,
    *,
    name: str = "interval",
    columns: tuple[str, str] = ("low", "high"),
    **others: Any,
) -> Number:
    """Return an interval, whose ends are two columns of the frame."""
    return Number(name=name, columns=columns, words=words, formula=formula, show=show, **others)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A frame of the analysis: what a row is about, its columns, and what its numbers rest on."""

    name: str
    """Of the file in `data/`, in `Analysis.frames`, and the first part of the keys of its numbers."""
    compute: Callable[[Study], pd.DataFrame]
    """How it is made of the experiment and its results; empty if a report has nothing for it."""
    columns: Callable[[Analysis], Sequence[Column]] = lambda analysis: ()
    """In the order of `numbers.json` and, unless a column says otherwise, of the tables."""
    subject: Callable[[Analysis, Row], str] = lambda analysis, row: ""
    """What a row is about, in words that are unique."""
    source: Callable[[Measured, Row, Number], Source] = lambda measured, row, number: Source()
    rows: Callable[[pd.DataFrame], Sequence[Row]] = rows_of
    """What numbers are traced by, if not the rows of the frame."""
    in_text: bool = True
    """Whether `\\segval` knows its numbers."""
    in_data: bool = True
    """Whether `data/` holds it."""
    steps: Callable[[Asked], Iterator[str]] = lambda asked: iter(())
    """How `segbench explain` works a row out again."""
    measured: Callable[[Analysis, Row], str] = lambda analysis, row: analysis.experiment.outcome
    """The column that `segbench explain` lists for each trial."""

    def rows_of(self, analysis: Analysis) -> Sequence[Row]:
        """Return what each number stands in."""
        frame = analysis.frames[self.name]
        return [] if frame.empty else self.rows(frame)

    def traces(self, analysis: Analysis, digits: int) -> Traces:
        """Return its numbers, printed with so many digits; `analysis` keeps them."""
        key = (self.name, digits)
        if key not in analysis.traced:
            found = list(self._traces(analysis, Numbers(digits)))
            # If two rows are about the same, the first is meant.
            unique = {trace.key: trace for trace in reversed(found)}
            analysis.traced[key] = Traces(tuple(unique.values())[::-1])
        kept: Traces = analysis.traced[key]
        return kept

    def trace(self, labels: Labels, row: Row, name: str) -> Trace | None:
        """Return a number of a row; None if the row has no such column."""
        traces = self.traces(labels.analysis, labels.style.digits)
        return traces.by_key.get(key_of(self.name, self.subject(labels.analysis, row), name))

    def hover(self, labels: Labels, subject: str, name: str) -> str:
        """Return what a page says of a number that is pointed at; empty if there is no such number."""
        return self.traces(labels.analysis, labels.style.digits).hover(self.name, subject, name)

    def _traces(self, analysis: Analysis, numbers: Numbers) -> Iterator[Trace]:
        rows = self.rows_of(analysis)
        columns = [c for c in self.columns(analysis) if isinstance(c, Number)] if rows else []
        for row in rows if columns else ():
            measured = Measured.of(analysis)
            subject = self.subject(analysis, row)
            sources: dict[str, Source] = {}
            for number in columns:
                parts = number.columns or (number.name,)
                if any(part not in row for part in parts):
                    continue
                if number.behind not in sources:
                    sources[number.behind] = self.source(measured, row, number)
                values = tuple(row[part] for part in parts)
                yield Trace(
                    key=key_of(self.name, subject, number.name),
                    frame=self.name,
                    subject=subject,
                    name=number.name,
                    quantity=f"{number.words}, {subject}",
                    value=plain(values),
                    printed=number.show(numbers, row, values),
                    formula=number.formula if isinstance(number.formula, str) else number.formula(row),
                    source=sources[number.behind],
                )


@dataclass(frozen=True, kw_only=True)
class TablePart:
    """A table of a topic: rows of one frame under its columns."""

    name: str
    """File name without suffix."""
    frame: Frame
    caption: Words
    note: Callable[[Labels, Sequence[Row]], str] = lambda labels, rows: ""
    rows: Callable[[Labels], Sequence[Row]] | None = None
    """Which rows, in which order; None: all."""
    titles: Mapping[str, Words] = field(default_factory=dict)
    """Headings of columns, if this table has others."""
    section: str = ""
    """If another than the topic's."""
    drops_empty: Callable[[Analysis], bool] = lambda analysis: False
    """Whether every column of numbers without a value is left out."""
    finish: Callable[[Labels, Table], Table] = lambda labels, table: table
    """Changes the whole table."""

    def make(self, labels: Labels) -> Table:
        """Return the table; without rows if there is nothing to show."""
        frame, analysis = self.frame, labels.analysis
        chosen = rows_of(analysis.frames[frame.name]) if self.rows is None else self.rows(labels)
        if not chosen:
            return Table(name=self.name, caption="", columns=(), rows=())
        drops_all = self.drops_empty(analysis)
        columns = [
            column
            for column in frame.columns(analysis)
            if column.title
            and (not column.tables or self.name in column.tables)
            and column.when(labels, chosen)
        ]
        for column in [column for column in columns if column.after]:
            columns.remove(column)
            columns.insert([each.name for each in columns].index(column.after) + 1, column)
        heads, fields = [], []
        for column in columns:
            of_column = [column.field(labels, frame, row) for row in chosen]
            may_go = column.is_optional or (drops_all and column.is_number)
            if may_go and all(each.text == NONE for each in of_column):
                continue
            title = _text(self.titles.get(column.name, column.title), labels)
            heads.append(Head(title=title, is_number=column.is_number, in_print=column.in_print))
            fields.append(of_column)
        table = Table(
            name=self.name,
            caption=_text(self.caption, labels),
            columns=tuple(heads),
            rows=tuple(zip(*fields, strict=True)),
            note=self.note(labels, chosen),
        )
        return self.finish(labels, table)


@dataclass(frozen=True, kw_only=True)
class FigurePart:
    """A figure of a topic."""

    name: str
    make: Callable[[Analysis, Labels], Figure | None]
    """Returns the figure as data; None if the analysis has no numbers for it."""
    section: str = ""
    """If another than the topic's."""


@dataclass(frozen=True, kw_only=True)
class Topic:
    """A part of a report."""

    name: str
    section: str | Callable[[Analysis], str]
    """Key of the section of the page that holds its tables and figures, as in `walk.SECTIONS`."""
    frames: tuple[Frame, ...] = ()
    tables: tuple[TablePart, ...] = ()
    figures: tuple[FigurePart, ...] = ()
    lines: Callable[[Analysis], tuple[str, ...]] = lambda analysis: ()
    """Sentences below the tables and figures of the section."""

    def section_of(self, analysis: Analysis, part: TablePart | FigurePart | None = None) -> str:
        """Return the key of the section of a part of it."""
        if part is not None and part.section:
            return part.section
        return self.section if isinstance(self.section, str) else self.section(analysis)


def cell_columns(analysis: Analysis) -> list[Text]:
    """Return the columns that name a cell: one per axis."""
    known = analysis.cells
    axes = [axis.name for axis in analysis.experiment.axes if axis_column(axis.name) in known]

    def of_axis(axis: str) -> Text:
        return Text(
            name=axis_column(axis),
            title=lambda labels: labels.axis(axis),
            text=lambda labels, row: labels.name(labels.levels(row["cell"])[axis]) or NONE,
        )

    whole = Text(
        name="cell",
        title=lambda labels: labels.axis("cell"),
        text=lambda labels, row: labels.cell(row["cell"]),
    )
    return [of_axis(axis) for axis in axes] or [whole]


def _text(words: Words, labels: Labels) -> str:
    return words if isinstance(words, str) else words(labels)
