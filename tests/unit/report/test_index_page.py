"""The page of all reports."""

from __future__ import annotations

from pathlib import Path

import chromium
import fake_analysis as fake
import pytest

from segbench.report.pages.html import Entry, write_index_html


def test_it_names_every_report_with_its_question_and_verdicts() -> None:
    page = write_index_html([Entry.of(fake.make_analysis(fake.HOSTILE, name="a&b"))])
    assert '<a href="a&amp;b/report.html">a&amp;b</a>' in page
    assert "1 not judged, 1 supported, 1 unresolved" in page


@pytest.mark.browser
@pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed")
def test_it_is_dark_where_the_system_is_and_white_on_paper(tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(write_index_html([Entry.of(fake.make_analysis())]), encoding="utf-8")
    colour = "getComputedStyle(document.body).backgroundColor"
    with chromium.Page() as page:
        page.emulate(prefers_color_scheme="dark")
        page.open(file)
        assert page.value(colour) == "rgb(18, 22, 27)"
        page.emulate(prefers_color_scheme="light")
        assert page.value(colour) == "rgb(255, 255, 255)"
        page.emulate(media="print", prefers_color_scheme="dark")
        assert page.value(colour) == "rgb(255, 255, 255)"
        page.emulate(prefers_color_scheme="dark")
        page.resize(390, 800, is_mobile=True)
        assert page.value("document.documentElement.scrollWidth") <= 390
        assert page.errors == []
