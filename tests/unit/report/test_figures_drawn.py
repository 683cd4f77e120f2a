"""The three renderers: the same figure, the same bytes, nothing unescaped."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET

import fake_analysis as fake
import pytest
from PIL import Image

from segbench.report.draw.draw_matplotlib import draw_files
from segbench.report.draw.draw_pgfplots import draw_pgfplots
from segbench.report.draw.draw_svg import draw_svg, series_names
from segbench.report.draw.geometry import place
from segbench.report.labels import Labels
from segbench.report.style import Style
from segbench.report.topics.walk import make_figures


@pytest.fixture(scope="module")
def hostile():
    analysis = fake.make_analysis(fake.HOSTILE)
    return {figure.name: figure for figure in make_figures(analysis, Labels(analysis, Style()))}


def test_png_has_200_dots_an_inch_and_the_figures_width(hostile):
    files = draw_files(hostile["outcome"])
    with Image.open(io.BytesIO(files["png"])) as image:
        assert image.width == pytest.approx(16 / 2.54 * 200, abs=1)
        assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)


def test_files_are_the_same_bytes_each_time_and_hold_no_date(hostile):
    first, second = (draw_files(hostile["effects"]) for _ in range(2))
    assert first == second
    assert set(first) == {"png", "svg", "pdf"}
    assert b"<dc:date>" not in first["svg"]
    assert b"CreationDate" not in first["pdf"]


@pytest.mark.parametrize("name", ["effects", "outcome", "curves-dice", "curves-loss", "cost"])
def test_inline_svg_is_well_formed_and_escaped(hostile, name):
    svg = draw_svg(hostile[name])
    root = ET.fromstring(svg)
    assert "<script" not in svg
    titles = [element.text for element in root.iter("title")]
    assert len(titles) >= len(hostile[name].marks)
    drawn = {element.get("data-series") for element in root.iter("g")} - {None}
    assert set(series_names(hostile[name])) <= drawn


@pytest.mark.parametrize("name", ["effects", "outcome", "curves-dice", "curves-loss", "cost"])
def test_pgfplots_reads_only_columns_that_the_data_file_has(hostile, name):
    figure = hostile[name]
    source = draw_pgfplots(figure)
    assert f"\\segreportdir/data/figure-{name}.csv" in source
    columns = set(figure.table())
    used = re.findall(r"\b[xy]=([^,\]]+_(?:x|y|low|high))\b", source)
    used += re.findall(r"thisrow\{([^}]+)\}", source)
    assert used
    assert set(used) <= columns
    assert source.count("\\begin{axis}") == sum(len(row) for row in figure.facets)


def test_the_three_renderers_share_one_geometry(hostile):
    figure = hostile["effects"]
    box = place(figure).facets[0].box
    assert f"width={box.width:.3f}".rstrip("0") in draw_pgfplots(figure)
    assert f"M{box.left * 45:.1f}".removesuffix(".0") in draw_svg(figure)
