"""The pages: what they say, escaped, the same bytes each time."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import fake_analysis as fake
import numpy as np
import pandas as pd
import pytest

from segbench.errors import ResultsError
from segbench.report.labels import TEMPLATE, Labels, Style, create_style, read_style
from segbench.report.latex_text import escape as latex
from segbench.report.numbers import Numbers, count, magnitude, p_value, significant, typographic
from segbench.report.pages.content import PanelPicture, make_content
from segbench.report.pages.html import write_html
from segbench.report.pages.latex import write_latex, write_table
from segbench.report.pages.markdown import escape as markdown
from segbench.report.pages.markdown import write_markdown
from segbench.report.pages.number_files import write_numbers
from segbench.report.topics.walk import make_tables


def tables_of(analysis, **style):
    return make_tables(analysis, Labels(analysis, Style(**style)))


def texts(table) -> list[list[str]]:
    return [[field.text for field in row] for row in table.rows]


def test_the_effects_table_prints_interval_p_and_verdict():
    table = tables_of(fake.make_analysis())["effects"]
    assert [column.title for column in table.columns] == [
        "Contrast",
        "n",
        "Difference",
        "95 % interval, this test set",
        "new images",
        "Last epoch",
        "p (Holm)",
        "Verdict",
        "Seeds for 80 % power",
    ]
    assert texts(table)[0] == [
        "model: resnet34_unet − unet",
        "3",
        "−0.004",
        "[−0.012, 0.004]",
        "[−0.015, 0.007]",
        "−0.006",
        "0.013",
        "unresolved",
        "6 to 21",
    ]
    assert texts(table)[2][5] == "+0.012*"
    assert "depends on checkpoint selection" in table.note


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (6.0, 21.0, "6 to 21"),
        (1234.0, np.inf, "1,234 to more than 10,000"),
        (np.inf, np.inf, "more than 10,000"),
        (7.0, 7.0, "7"),
        (np.nan, np.nan, "–"),
    ],
)
def test_seeds_needed_may_be_more_than_anybody_runs(low: float, high: float, expected: str):
    analysis = fake.make_analysis()
    effects = analysis.effects.assign(seeds_needed_low=low, seeds_needed_high=high)
    assert texts(tables_of(fake.with_frames(analysis, effects=effects))["effects"])[0][-1] == expected


def test_bold_stands_only_where_a_verdict_is_resolved():
    tables = tables_of(fake.make_analysis())
    bold = [row[0].text for row in tables["effects"].rows if row[2].is_bold]
    assert bold == ["norm: none − BatchNorm", "norm: DyT − BatchNorm"]
    assert not any(field.is_bold for row in tables["effects-exploratory"].rows for field in row)
    assert not any(field.is_bold for row in tables["cells"].rows for field in row)


def test_the_equivalence_test_names_its_own_p():
    analysis = fake.make_analysis(fake.TWELVE)
    row = next(r for r in texts(tables_of(analysis)["effects"]) if "equivalent" in r)
    assert "0.210 (TOST)" in row


def test_another_metric_gets_a_column_and_its_own_digits():
    analysis = fake.make_analysis()
    timed = analysis.effects.head(1).assign(metric="epoch_time_s", difference=12.345, low=10.0, high=14.2)
    table = tables_of(fake.with_frames(analysis, effects=pd.concat([analysis.effects, timed])))["effects"]
    assert texts(table)[-1][1:5] == ["Seconds per epoch", "3", "+12.3", "[10.0, 14.2]"]


def test_the_cells_table_says_what_was_lost_only_where_something_was():
    with_loss, without = (tables_of(fake.make_analysis(seeds=n))["cells"] for n in (3, 2))
    assert with_loss.columns[-1].title == "Lost"
    assert texts(with_loss)[-1][-1] == "1 diverged"
    assert "Lost" not in [column.title for column in without.columns]


def test_one_seed_prints_dashes_instead_of_intervals():
    analysis = fake.make_analysis(seeds=1)
    row = texts(tables_of(analysis)["cells"])[0]
    assert row[2:6] == ["1", "0.913", "–", "–"]


def test_empty_tables_and_sections_are_left_out():
    analysis = fake.with_frames(
        replace(fake.make_analysis(), notes=()),
        failures=pd.DataFrame(),
        left_out=pd.DataFrame(),
        claims=pd.DataFrame(),
        subgroups=pd.DataFrame(),
    )
    keys = [section.key for section in make_content(analysis, Style()).sections]
    assert keys == ["effects", "factors", "cells", "curves", "cost", "provenance"]


class Strict(HTMLParser):
    """Collects tags and checks that they are closed in order."""

    VOID = frozenset({"meta", "img", "wbr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_one_closed_file_without_addresses_and_without_foreign_markup():
    picture = PanelPicture(file_name="panels.jpg", content=b"abc", caption='a "quoted" <b>', width_px=10)
    page = write_html(make_content(fake.make_analysis(fake.HOSTILE), Style(), panels=picture))
    parser = Strict()
    parser.feed(page)
    assert parser.open == []
    assert [tag for tag, _ in parser.tags].count("script") == 1
    assert "alert('x')</script>" not in page
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "http://" not in page
    assert "https://" not in page
    assert "default-src 'none'" in page
    assert 'src="data:image/jpeg;base64,YWJj"' in page


def test_html_says_question_answer_and_claims_before_all_else():
    page = write_html(make_content(fake.make_analysis(), Style()))
    places = [
        page.index(text)
        for text in ("<h1>Does a U-Net", "Without normalisation the U-Net", 'id="claims"', 'id="effects"')
    ]
    assert places == sorted(places)


def test_html_tables_can_be_sorted_by_their_numbers():
    page = write_html(make_content(fake.make_analysis(), Style()))
    assert re.search(r'<td class="num" data-sort="-0.012" data-trace="[^"]+"><b>−0.012</b></td>', page)


def test_markdown_escapes_what_would_break_a_table():
    assert markdown("a|b_c <x> `y`") == r"a\|b\_c \<x\> \`y\`"
    page = write_markdown(make_content(fake.make_analysis(), Style()))
    assert "| norm: none − BatchNorm | 3 | **−0.012** | \\[−0.020, −0.004\\] |" in page
    assert "![Effects on the outcome](figures/effects.png)" in page


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resnet34_unet & 50% #1", r"resnet34\_unet \& 50\% \#1"),
        ("−0.012", r"\ensuremath{-}0.012"),
        ("λ", r"\ensuremath{\lambda}"),
        ("é", "é"),
        ("e\u0301", "e"),
        ("[a]", "{[}a{]}"),
        ("日", "{[}U+65E5{]}"),
        ("\\input{x}", r"\textbackslash{}input\{x\}"),
        ("a\nb\x07", "a b"),
        ("ﬁ", "fi"),
    ],
)
def test_latex_text(text, expected):
    assert latex(text) == expected


def test_latex_reads_every_table_and_figure_of_the_report():
    content = make_content(fake.make_analysis(), Style())
    source = write_latex(content)
    for table in content.tables:
        assert rf"\input{{\segreportdir/tables/{table.name}.tex}}" in source
    for figure in content.figures:
        assert rf"\input{{\segreportdir/figures/{figure.name}.tex}}" in source
    assert "\\pdftrailerid{}" in source


def test_a_long_latex_table_goes_on_in_another():
    analysis = fake.make_analysis()
    many = pd.concat([analysis.failures] * 45, ignore_index=True)
    source = write_table(tables_of(fake.with_frames(analysis, failures=many))["failures"])
    assert source.count(r"\begin{table}") == 2
    assert "(continued)" in source


def test_numbers_define_every_cell_and_effect():
    analysis = fake.make_analysis()
    source = write_numbers(analysis, Labels(analysis, Style()))
    assert (
        r"\expandafter\def\csname segval@norm-ablation-small@unet-BatchNorm@mean\endcsname{0.913}" in source
    )
    assert r"segval@norm-ablation-small@norm.none@difference\endcsname{\ensuremath{-}0.012}" in source
    assert r"segval@norm-ablation-small@norm.none.at-model-unet@verdict\endcsname{exploratory}" in source


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (Numbers(3).value(0.91249), "0.912"),
        (Numbers(3).value(-0.0001), "0.000"),
        (Numbers(2).difference(-0.012), "−0.01"),
        (Numbers(3).difference(-0.00004), "0.000"),
        (Numbers(3).difference(0.00004), "0.000"),
        (Numbers(3).difference(0.2), "+0.200"),
        (Numbers(3).interval(np.nan, 1.0), "–"),
        (p_value(0.0004), "<0.001"),
        (significant(1942.3), "1,942"),
        (significant(0.04123), "0.0412"),
        (significant(9.999), "10.0"),
        (magnitude(31_037_633), "31.0 M"),
        (count(31_037_633), "31,037,633"),
        (typographic("95 % of 3 %x"), "95\u00a0% of 3\u00a0%x"),
        (typographic("from -0.02 to 3-4 in t-test x-1"), "from −0.02 to 3-4 in t-test x-1"),
    ],
)
def test_numbers(printed, expected):
    assert printed == expected


def test_the_style_file_is_made_once_and_its_defaults_are_the_defaults(tmp_path):
    path = tmp_path / "style.yaml"
    assert read_style(path) == Style()
    assert create_style(path)
    assert read_style(path) == Style()
    path.write_text("digits: 2\n")
    assert not create_style(path)
    assert read_style(path).digits == 2
    uncommented = "".join(
        line.removeprefix("# ") + "\n" for line in TEMPLATE.splitlines() if re.match(r"# (\w+:|  )", line)
    )
    path.write_text(uncommented)
    assert read_style(path) == Style(
        labels={"DyT": "Dynamic Tanh", "test_dice": "Dice"}, order={"norm": ("DyT", "BatchNorm")}
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lables: {}", "there is no such key, got 'lables'. Did you mean 'labels'?"),
        ("digits: 0", "digits must be a whole number from 1 to 6, got 0."),
        ("digits: true", "digits must be a whole number from 1 to 6, got True."),
        ("width_cm: wide", "width_cm must be a number from 7 to 60, got 'wide'."),
        ("order: [a]", "order must map an axis to a list of labels, got ['a']."),
        ("labels: 3", "labels must map names to printed names, got 3."),
        ("- a", "the file must be a mapping, got ['a']."),
        ("a: [", "the file is not valid YAML"),
    ],
)
def test_a_wrong_style_file_says_what_is_wrong(tmp_path, text, expected):
    path = tmp_path / "style.yaml"
    path.write_text(text)
    with pytest.raises(ResultsError) as error:
        read_style(path)
    assert expected in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(("write", "heading"), [(write_markdown, "## {}"), (write_latex, r"\section*{{{}}}")])
def test_a_page_of_one_column_says_the_verdicts_before_the_setting(write, heading):
    page = write(make_content(fake.make_analysis(), Style()))
    places = [page.index(heading.format(title)) for title in ("Claims", "Setting", "Effects")]
    assert places == sorted(places)


def test_figures_float_and_a_title_without_a_table_goes_with_its_picture():
    picture = PanelPicture(file_name="panels.png", content=b"", caption="Same images.", width_px=8)
    text = write_latex(make_content(fake.make_analysis(), Style(), panels=picture))
    assert r"\renewenvironment{figure}" not in text
    assert r"\renewenvironment{table}" in text
    in_float = re.findall(r"\\begin\{figure\}\[!htbp\]\n\\section\*\{([^}]*)\}", text)
    assert in_float == ["Test images"]


def test_the_pdf_names_a_metric_in_the_contrast_where_it_is_not_the_outcome():
    analysis = fake.make_analysis()
    effects = analysis.effects.copy()
    effects.loc[effects.index[0], "metric"] = "instability"
    analysis = fake.with_frames(analysis, effects=effects)
    table = make_tables(analysis, Labels(analysis, Style()))["effects"]
    text = write_table(table)
    assert "unet, Instability (sd of the last epochs)" in text.replace("\\allowbreak{}", "")
    assert "Metric" not in text
    assert "Where no other metric is named, differences are in Dice (test)." in text
    assert [column.title for column in table.columns][:2] == ["Contrast", "Metric"]
    assert table.rows[0][0].text == "model: resnet34_unet − unet"
