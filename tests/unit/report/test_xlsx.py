"""The workbook: numbers as numbers, texts as texts, names that Excel takes, the same bytes."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import fake_analysis as fake
import pytest

from segbench.errors import ExperimentError
from segbench.report.build import write_report
from segbench.report.labels import Labels, Style
from segbench.report.pages.content import Content, Section, make_content
from segbench.report.pages.xlsx import XLSX_FILE, check_installed, number_format, sheet_names, write_xlsx
from segbench.report.table import Column, Field, Table
from segbench.report.topics.panels import Panels
from segbench.report.topics.walk import make_tables

openpyxl = pytest.importorskip("openpyxl")

NONE = Panels(missing="no masks.")


def opened(content: Content):
    return openpyxl.load_workbook(io.BytesIO(write_xlsx(content)))


def with_table(table: Table) -> Content:
    return Content(
        name="n", question="?", answer="!", head={}, sections=(Section(key="a", title="A", tables=(table,)),)
    )


def table_of(*rows: tuple[Field, ...], titles: tuple[str, ...], name: str = "cells") -> Table:
    columns = tuple(Column(title=title) for title in titles)
    return Table(name=name, caption="Caption.", columns=columns, rows=rows, note="Note.")


def test_a_sheet_a_table_with_every_digit_of_its_numbers():
    analysis = fake.make_analysis()
    workbook = opened(make_content(analysis, Style()))
    tables = make_tables(analysis, Labels(analysis, Style()))
    assert set(workbook.sheetnames) == {"report", *tables}
    assert workbook.sheetnames[0] == "report"
    sheet = workbook["cells"]
    assert sheet.freeze_panes == "A2"
    heads = [cell.value for cell in sheet[1]]
    assert heads[:6] == ["model", "norm", "n", "Dice (test)", "95 % interval: low", "95 % interval: high"]
    first = analysis.cells.iloc[0]
    row = dict(zip(heads, sheet[2], strict=True))
    assert row["Dice (test)"].value == float(first["mean"])
    assert row["Dice (test)"].number_format == "0.000"
    assert row["95 % interval: low"].value == float(first["low"])
    assert row["95 % interval: high"].value == float(first["high"])
    assert row["n"].value == 3
    costs = dict(zip((c.value for c in workbook["costs"][1]), workbook["costs"][2], strict=True))
    assert costs["Parameters"].value == int(first["parameters"])
    assert costs["Parameters"].number_format == '0.00,," M"'


def test_the_first_sheet_says_what_the_report_says():
    analysis = fake.make_analysis()
    sheet = opened(make_content(analysis, Style()))["report"]
    said = {row[0].value: row[1].value for row in sheet.iter_rows()}
    assert said["Question"] == analysis.experiment.question
    assert said["outcome"] == analysis.head["outcome"]
    assert said["sheet cells"].startswith("Outcome of every cell.")


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+SUM(A1)",
        "-2",
        "@x",
        "=cmd|'/c calc'!A0",
        "#REF!",
        "\t=1",
        "日本 🚀 λ",
        "<b>&amp;</b>",
        "0012",
    ],
)
def test_what_a_user_calls_a_level_stays_text(text):
    table = table_of((Field(text=text), Field(text="0.5", sort=0.5)), titles=("Level", "Value"))
    cell = opened(with_table(table))["cells"]["A2"]
    assert (cell.value, cell.data_type) == (text, "s")
    assert cell.quotePrefix == text.startswith(("=", "+", "-", "@", "\t"))


def test_hostile_labels_reach_every_sheet():
    workbook = opened(make_content(fake.make_analysis(fake.HOSTILE), Style()))
    texts = {cell.value for sheet in workbook for row in sheet.iter_rows() for cell in row}
    assert "日本 #2 🚀 Ω" in texts
    assert all(cell.data_type != "f" for sheet in workbook for row in sheet.iter_rows() for cell in row)


def test_what_xml_cannot_hold_is_replaced_and_long_texts_end():
    table = table_of((Field(text="a\x00b\x0bc"), Field(text="x" * 40_000)), titles=("A", "B"))
    sheet = opened(with_table(table))["cells"]
    assert sheet["A2"].value == "a\ufffdb\ufffdc"
    assert len(sheet["B2"].value) == 32_767


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("0.912", 0.91234, "0.000"),
        ("+0.012", 0.0123, "+0.000;-0.000;0.000"),
        ("−0.012", -0.0123, "0.000"),
        ("1,003", 1002.7, "#,##0"),
        ("31.0 M", 31_012_345, '0.0,," M"'),
        ("4.10 G", 4.1e9, '0.00,,," G"'),
        ("487 k", 486_553, '0," k"'),
        ("<0.001", 2e-5, '[<0.001]"<0.001";0.000'),
        ("0.030 (TOST)", 0.0301, '0.000" (TOST)"'),
        ("3 of 5", 3, '0" of 5"'),
        ("1e-05", 1e-5, "0E+00"),
        ("1.23e-05", 1.234e-5, "0.00E+00"),
        ("2 of 5", 7, None),
        ("no", 3, None),
        ("more than 10,000", float("inf"), None),
    ],
)
def test_a_number_looks_as_it_is_printed(text, value, expected):
    assert number_format(text, value) == expected


def test_a_range_without_an_end_says_so():
    rows = [
        (Field(text="27 to 153", sort=27, high=153),),
        (Field(text="30 to more than 10,000", sort=30, high=float("inf")),),
        (Field(text="–", sort=float("nan"), high=float("nan")),),
        (Field(text="27", sort=27, high=27),),
    ]
    sheet = opened(with_table(table_of(*rows, titles=("Seeds",))))["cells"]
    assert [[cell.value for cell in row] for row in sheet.iter_rows()] == [
        ["Seeds: low", "Seeds: high"],
        [27, 153],
        [30, "more than 10,000"],
        [None, None],
        [27, 27],
    ]


def test_titles_that_stand_twice_are_told_apart():
    row = tuple(Field(text="1", sort=1.0) for _ in range(4))
    titles = ("Area", "95 % interval", "Onset", "95 % interval")
    sheet = opened(with_table(table_of(row, titles=titles)))["cells"]
    heads = [cell.value for cell in sheet[1]]
    assert heads == ["Area", "Area, 95 % interval", "Onset", "Onset, 95 % interval"]


def test_names_of_sheets():
    names = sheet_names(["report", "a/b:c*[d]?\\", "x" * 40, "X" * 31, "", "history", "'quoted'"])
    assert names == ["report", "a_b_c__d___", "x" * 31, "X" * 27 + " (2)", "table", "history (2)", "quoted"]
    assert all(len(name) <= 31 for name in names)
    assert len({name.lower() for name in names}) == len(names)


def test_the_same_report_gives_the_same_bytes():
    content = make_content(fake.make_analysis(), Style())
    workbook = write_xlsx(content)
    assert workbook == write_xlsx(content)
    with zipfile.ZipFile(io.BytesIO(workbook)) as parts:
        assert {part.date_time for part in parts.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert b"1980-01-01T00:00:00Z" in parts.read("docProps/core.xml")


def test_without_openpyxl_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("segbench.report.pages.xlsx.find_spec", lambda name: None)
    with pytest.raises(ExperimentError) as error:
        check_installed()
    assert str(error.value) == "--xlsx: the package openpyxl is not installed. pip install 'segbench[xlsx]'."


def test_a_workbook_that_is_there_is_kept_up_to_date(tmp_path: Path, monkeypatch):
    analysis = fake.make_analysis(fake.QUICKSTART)
    write_report(analysis, tmp_path, panels=NONE, with_pdf=False)
    assert not (tmp_path / XLSX_FILE).exists()
    first = write_report(analysis, tmp_path, panels=NONE, with_pdf=False, with_xlsx=True)
    assert [path.name for path in first.changed] == [XLSX_FILE]
    assert first.pages[-1].name == XLSX_FILE
    second = write_report(replace(analysis, answer="Yes."), tmp_path, panels=NONE, with_pdf=False)
    assert XLSX_FILE in {path.name for path in second.changed}
    assert openpyxl.load_workbook(tmp_path / XLSX_FILE)["report"]["B3"].value == "Yes."

    monkeypatch.setattr("segbench.report.pages.xlsx.find_spec", lambda name: None)
    kept = write_report(replace(analysis, answer="Yes."), tmp_path, panels=NONE, with_pdf=False)
    assert (tmp_path / XLSX_FILE).exists()
    assert kept.warnings == ()
    third = write_report(replace(analysis, answer="No."), tmp_path, panels=NONE, with_pdf=False)
    assert not (tmp_path / XLSX_FILE).exists()
    assert "openpyxl is missing" in third.warnings[0]
