"""`report.xlsx`: one sheet per table; numbers keep all of their digits and look as on the pages."""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from segbench.errors import ExperimentError, message
from segbench.report.numbers import MINUS, NONE

if TYPE_CHECKING:
    from openpyxl.cell import Cell
    from openpyxl.worksheet.worksheet import Worksheet

    from segbench.report.pages.content import Content
    from segbench.report.table import Column, Field, Table

XLSX_FILE: Final = "report.xlsx"
ABOUT: Final = "report"
"""The first sheet: question, answer, head, what the others hold, provenance."""

_MOST_OF_A_NAME: Final = 31
_MOST_OF_A_TEXT: Final = 32_767
_NEVER_IN_A_NAME: Final = re.compile(r"[\[\]:*?/\\\x00-\x1f]")
_NEVER_IN_A_TEXT: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_LIKE_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_WIDEST: Final = 60
_DATE: Final = datetime(1980, 1, 1)
"""In the file's own properties and for its parts: the same tables give the same bytes."""
_MODIFIED: Final = re.compile(rb"(<dcterms:modified[^>]*>)[^<]*")

_NUMBER: Final = re.compile(
    rf"(?P<sign>[+{MINUS}-]?)(?P<whole>\d[\d,]*)(?:\.(?P<decimals>\d+))?(?P<exponent>e[+-]?\d+)?"
    r"(?: (?P<unit>[kMGT])(?!\w))?"
)
_UNITS: Final = {"k": 1, "M": 2, "G": 3, "T": 4}
"""Thousands that a number format divides by, one comma each."""


def check_installed(option: str = "--xlsx") -> None:
    """Refuse to write a workbook where its package is missing.

    Raises:
        ExperimentError: It is; the message names the extra.
    """
    if not is_installed():
        rule = "the package openpyxl is not installed"
        raise ExperimentError(message(option, rule, see="pip install 'segbench[xlsx]'"))


def is_installed() -> bool:
    return find_spec("openpyxl") is not None


def write_xlsx(content: Content) -> bytes:
    """Return the workbook: what the report says, then one sheet per table; same content, same bytes.

    No text is ever a formula, whatever it begins with.
    """
    from openpyxl import Workbook

    workbook = Workbook()
    workbook.properties.creator = "segbench"
    workbook.properties.title = _clean(content.name)
    workbook.properties.created = _DATE
    names = sheet_names([ABOUT, *(table.name for table in content.tables)])
    first: Worksheet = workbook.active
    first.title = names[0]
    _write_about(first, content, names[1:])
    for name, table in zip(names[1:], content.tables, strict=True):
        _write_table(workbook.create_sheet(name), table)
    written = io.BytesIO()
    workbook.save(written)
    return _without_dates(written.getvalue())


def sheet_names(wanted: Iterable[str]) -> list[str]:
    """Return names that Excel takes: 31 characters, none that it forbids, different whatever their case."""
    names: list[str] = []
    taken = {"history"}  # kept by Excel for itself
    for name in wanted:
        plain = _NEVER_IN_A_NAME.sub("_", name).strip("' ")[:_MOST_OF_A_NAME].rstrip("' ") or "table"
        found, number = plain, 1
        while found.lower() in taken:
            number += 1
            ending = f" ({number})"
            found = plain[: _MOST_OF_A_NAME - len(ending)] + ending
        taken.add(found.lower())
        names.append(found)
    return names


def number_format(text: str, value: float) -> str | None:
    """Return the format under which a number looks as it is printed; None: the text is more than a number.

    Args:
        text: As printed: `+0.012`, `31.0 M`, `<0.001`, `0.030 (TOST)`.
        value: The number itself.
    """
    if text.startswith("<"):
        bound = text[1:]
        return f'[<{bound}]"<{bound}";{_digits(bound)}' if _NUMBER.fullmatch(bound) else None
    found = _NUMBER.match(text)
    if found is None or '"' in text or not math.isfinite(value) or not _is_printed(found, value):
        return None
    if found["exponent"]:
        plain = "0" + ("." + "0" * len(found["decimals"]) if found["decimals"] else "") + "E+00"
    else:
        plain = _digits(found["whole"] + ("." + found["decimals"] if found["decimals"] else ""))
    after = text[found.end() :]
    if found["unit"]:
        plain += "," * _UNITS[found["unit"]]
        after = f" {found['unit']}{after}"
    plain += f'"{after}"' if after else ""
    return f"+{plain};-{plain};{plain}" if found["sign"] == "+" else plain


def _is_printed(found: re.Match[str], value: float) -> bool:
    """Whether the digits are those of the value: a sort key may be something else."""
    printed = float(found[0].removesuffix(f" {found['unit']}").replace(",", "").replace(MINUS, "-"))
    scale = 1000.0 ** _UNITS.get(found["unit"] or "", 0)
    last = 10.0 ** -len(found["decimals"] or "")
    if found["exponent"]:
        last *= 10.0 ** int(found["exponent"][1:])
    return abs(printed * scale - value) <= 0.51 * last * scale


def _digits(printed: str) -> str:
    whole, _, decimals = printed.partition(".")
    return ("#,##0" if "," in whole else "0") + ("." + "0" * len(decimals) if decimals else "")


def _write_about(sheet: Worksheet, content: Content, names: Sequence[str]) -> None:
    rows = [("Question", content.question), ("Answer", content.answer), *content.head.items()]
    rows += [(verdict.word, verdict.about) for verdict in content.verdicts]
    for name, table in zip(names, content.tables, strict=True):
        rows.append((f"sheet {name}", f"{table.caption} {table.note}".strip()))
    rows += [item for section in content.sections if section.terms for item in section.terms.items()]
    _write_head(sheet, ["What", content.name], [24, 100])
    for number, row in enumerate(rows, start=2):
        for column, text in enumerate(row, start=1):
            _put_text(sheet.cell(number, column), text)


def _write_table(sheet: Worksheet, table: Table) -> None:
    titles = _titles(table.columns)
    is_interval = [any(row[k].high is not None for row in table.rows) for k in range(len(titles))]
    heads: list[str] = []
    widths: list[int] = []
    for k, title in enumerate(titles):
        texts = [row[k].text for row in table.rows]
        width = min(_WIDEST, max([len(title) // 2, *map(len, texts), 6]) + 3)
        heads += [f"{title}: {end}" for end in ("low", "high")] if is_interval[k] else [title]
        widths += [max(12, width // 2)] * 2 if is_interval[k] else [width]
    _write_head(sheet, heads, widths)
    for number, row in enumerate(table.rows, start=2):
        column = 1
        for field, has_ends in zip(row, is_interval, strict=True):
            if has_ends:
                _put_ends(sheet.cell(number, column), sheet.cell(number, column + 1), field)
            else:
                _put(sheet.cell(number, column), field)
            column += 2 if has_ends else 1
    if table.rows:
        sheet.auto_filter.ref = sheet.dimensions


def _titles(columns: Sequence[Column]) -> list[str]:
    """Return the columns' titles; one that stands twice is told apart by the column before it."""
    titles = [column.title for column in columns]
    return [
        f"{titles[k - 1]}, {title}" if k and titles.count(title) > 1 else title
        for k, title in enumerate(titles)
    ]


def _write_head(sheet: Worksheet, titles: Sequence[str], widths: Sequence[int]) -> None:
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

    for column, (title, width) in enumerate(zip(titles, widths, strict=True), start=1):
        cell = sheet.cell(1, column)
        _put_text(cell, title)
        cell.font = Font(bold=True)
        cell.alignment = Alignment(wrap_text=True, vertical="top")
        sheet.column_dimensions[get_column_letter(column)].width = width
    sheet.freeze_panes = "A2"


def _put(cell: Cell, field: Field) -> None:
    from openpyxl.styles import Font

    value = field.sort
    shown = None if value is None or not math.isfinite(value) else number_format(field.text, value)
    if field.is_bold:
        cell.font = Font(bold=True)
    if value is not None and shown is not None:
        cell.value, cell.number_format = _plain(value), shown
    elif field.text != NONE:
        _put_text(cell, field.text)


def _put_ends(low: Cell, high: Cell, field: Field) -> None:
    """Write both ends of an interval, each with the digits that it is printed with."""
    printed = [found[0] for found in _NUMBER.finditer(field.text)]
    ends = [(low, field.sort), (high, field.high)]
    if field.high is None or field.text == NONE:
        _put(low, field)
        return
    for place, (cell, value) in enumerate(ends):
        if value is None or math.isnan(value):
            continue
        if math.isinf(value):
            _put_text(cell, field.text.rpartition(" to ")[2])  # `more than 10,000`
            continue
        shown = number_format(printed[min(place, len(printed) - 1)], value) if printed else None
        cell.value = _plain(value)
        if shown is not None:
            cell.number_format = shown


def _plain(value: Any) -> float | int:
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _put_text(cell: Cell, text: str) -> None:
    from openpyxl.styles import Alignment

    text = _clean(text)
    cell.value = text
    cell.data_type = "s"  # never a formula, an error or a date
    if text.startswith(_LIKE_A_FORMULA):
        cell.quotePrefix = True  # also not when somebody edits it
    cell.alignment = Alignment(wrap_text=len(text) > _WIDEST, vertical="top")


def _clean(text: str) -> str:
    """Replace what XML cannot hold, and end a text where Excel would."""
    return _NEVER_IN_A_TEXT.sub("\ufffd", text)[:_MOST_OF_A_TEXT]


def _without_dates(workbook: bytes) -> bytes:
    """Give every part of the file the same time, and the file itself too."""
    written = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook)) as parts,
        zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as fixed,
    ):
        for name in parts.namelist():
            content = parts.read(name)
            if name == "docProps/core.xml":
                content = _MODIFIED.sub(rb"\g<1>" + f"{_DATE:%Y-%m-%dT%H:%M:%SZ}".encode(), content)
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            fixed.writestr(entry, content)
    return written.getvalue()
