"""Both back ends: the same figure, the same bytes, nothing unescaped."""

from __future__ import annotations

import io
import math
import re
import xml.etree.ElementTree as ET

import fake_analysis as fake
import pytest
from PIL import Image

from segbench.report.draw.figure import Facet, Figure, Look, Mark, linear
from segbench.report.draw.layout import place
from segbench.report.draw.matplotlib_files import draw_files, page_colours, page_svg
from segbench.report.draw.pgfplots import draw_pgfplots
from segbench.report.labels import Labels, Style
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
    svg = page(hostile[name])
    root = ET.fromstring(svg)
    assert "<script" not in svg
    assert "http" not in svg
    titles = [element.text for element in root.iter("title")]
    assert len(titles) >= len(hostile[name].marks)
    drawn = {element.get("data-series") for element in root.iter("g")} - {None}
    assert {mark.name for mark in hostile[name].marks} <= drawn
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r"url\(#(\w+)\)", svg)) | set(re.findall(r'href="#(\w+)"', svg)) <= set(ids)


def page(figure: Figure) -> str:
    return page_svg(figure, draw_files(figure, ["svg"])["svg"])


def items(figure: Figure) -> list[tuple[str, str | None, int]]:
    """Return what each point of the page says, what it rests on, and of how many pieces it is drawn."""
    return [
        (item.findtext("title", ""), item.get("data-trace"), len(item) - 1)
        for item in ET.fromstring(page(figure)).iter("g")
        if item.get("class") == "item"
    ]


def test_every_point_of_the_page_says_what_it_is_and_what_it_rests_on(hostile):
    for name in ("effects", "outcome", "interactions", "cost"):
        points = [mark for mark in hostile[name].marks if mark.kind == "points"]
        said = [
            (hover, mark.traces[k] if mark.traces else None, bool(mark.low) + (mark.look.marker != "none"))
            for mark in points
            for k, hover in enumerate(mark.hover)
        ]
        assert items(hostile[name]) == said


def test_points_without_a_place_or_an_interval_leave_the_others_their_words():
    nan = math.nan
    mark = Mark(
        key="a",
        name="a",
        kind="points",
        look=Look(),
        x=(1.0, nan, 3.0, 4.0),
        y=(1.0, 2.0, 3.0, 4.0),
        low=(0.5, 1.5, nan, 3.5),
        high=(1.5, 2.5, nan, 4.5),
        hover=("one", "two", "three", "four"),
    )
    line = Mark(
        key="b",
        name="b",
        look=Look(colour="#D55E00"),
        x=(1.0, 2.0, 3.0, 4.0, 5.0),
        y=(1.0, nan, 3.0, nan, 5.0),
        hover=("I", "II", "III", "IV", "V"),
        readings=("1", "2", "3", "4", "5"),
    )
    x, y = linear([0.0, 6.0], "x"), linear([0.0, 6.0], "y")
    facet = Facet(x=x, y=y, marks=(mark, line))
    size = {"width_cm": 8.0, "row_height_cm": 4.0, "left_cm": 1.0}
    figure = Figure(name="gaps", title="", caption="", facets=((facet,),), **size)
    assert [(text, num) for text, _, num in items(figure)] == [
        ("one", 2),
        ("two", 1),
        ("three", 1),
        ("four", 2),
    ]
    root = ET.fromstring(page(figure))
    (drawn,) = [group for group in root.iter("g") if group.get("data-says")]
    assert drawn.get("data-at") == "1 3 5"
    assert drawn.get("data-says") == "1|3|5"
    box = place(figure).facets[0].box
    at = [72 / 2.54 * box.x(value, x) for value in (1, 3, 5)]
    found = re.findall(r"[ML]([-.\d]+) [-.\d]+", drawn.find("path").get("d"))
    assert [float(value) for value in found] == pytest.approx(at, abs=0.02)
    spots = [(spot.findtext("title"), float(spot.get("cx"))) for spot in drawn.iter("circle")]
    assert [text for text, _ in spots] == ["I", "III", "V"]
    assert [value for _, value in spots] == pytest.approx(at, abs=0.02)


def test_the_pages_colours_follow_its_theme(hostile):
    declared = set(re.findall(r"--(\w+):", page_colours())) | {
        "page",
        "ink",
        "soft",
        "line",
        "sans",
        "c",
        "w",
    }
    for figure in hostile.values():
        svg = page(figure)
        assert set(re.findall(r"var\(--(\w+)\)", svg)) <= declared
        assert not re.findall(r"(?:fill|stroke): #", svg)


def test_text_stays_text_in_the_svg_file(hostile):
    svg = ET.fromstring(draw_files(hostile["effects"], ["svg"])["svg"])
    texts = {element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert {key.text for key in hostile["effects"].legend} <= texts


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


def test_both_back_ends_share_one_layout(hostile):
    figure = hostile["effects"]
    box = place(figure).facets[0].box
    assert f"width={box.width:.3f}".rstrip("0") in draw_pgfplots(figure)
    root = ET.fromstring(page(figure))
    (facet,) = [group for group in root.iter("g") if group.get("class") == "facet"]
    corners = (box.left, box.top, box.left + box.width, box.top + box.height)
    assert [float(v) for v in facet.get("data-box").split()] == pytest.approx(
        [v * 72 / 2.54 for v in corners], abs=0.01
    )
    frame = re.findall(r"[ML]([-.\d]+) ([-.\d]+)", facet.find("g/path").get("d"))
    assert float(frame[0][0]) == pytest.approx(box.left * 72 / 2.54, abs=0.02)
    assert float(frame[0][1]) == pytest.approx((box.top + box.height) * 72 / 2.54, abs=0.02)
