"""The HTML page in Chromium: what a reader sees, presses and points at; it asks nobody for anything."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import chromium
import fake_analysis as fake
import pandas as pd
import pytest

from segbench.report.analysis import Analysis
from segbench.report.labels import Labels, Style
from segbench.report.pages.content import PanelPicture, make_content
from segbench.report.pages.html import write_html
from segbench.report.pages.latex import write_table
from segbench.report.topics.walk import make_tables

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed"),
]

PICTURE = PanelPicture(
    file_name="panels.jpg",
    content=(Path(__file__).parent / "data" / "pixel.jpg").read_bytes(),
    caption="Same images.",
    width_px=8,
)
DICE = "#figure-curves-dice"


def write_page(analysis: Analysis, folder: Path) -> Path:
    page = folder / "report.html"
    page.write_text(write_html(make_content(analysis, Style(), panels=PICTURE)), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def page() -> Iterator[chromium.Page]:
    with chromium.Page() as opened:
        yield opened
        # Every test opens a page of its own; what went wrong in the last one counts as well.
        assert opened.errors == []


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name, levels in (("norm", fake.NORM), ("hostile", fake.HOSTILE)):
        folder = tmp_path_factory.mktemp(name)
        made[name] = write_page(fake.make_analysis(levels), folder)
    return made


@pytest.fixture(autouse=True)
def _desktop(page: chromium.Page) -> Iterator[None]:
    page.emulate()
    page.resize(1280, 800)
    yield
    assert page.errors == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []


def texts(page: chromium.Page, selector: str) -> list[str]:
    return page.value(f"Array.from(document.querySelectorAll({selector!r}), e => e.textContent)")


def test_the_harness_sees_errors_and_requests(tmp_path, page):
    file = tmp_path / "bad.html"
    file.write_text("<img src='http://127.0.0.1:9/x.png'><script>console.error('no'); nothing();</script>")
    page.open(file)
    assert any("nothing is not defined" in error for error in page.errors)
    assert any("'no'" in error for error in page.errors)
    assert "http://127.0.0.1:9/x.png" in page.requests
    page.errors.clear()
    page.requests.clear()


def test_the_first_screen_holds_question_answer_and_verdicts(page, reports):
    page.open(reports["norm"])
    for selector in ("h1", ".answer", ".verdicts"):
        bottom = page.value(f"document.querySelector({selector!r}).getBoundingClientRect().bottom")
        assert 0 < bottom < 800, selector
    assert texts(page, ".verdicts li span") == ["supported", "unresolved", "not judged"]
    assert page.value("document.querySelector('.facts').getBoundingClientRect().top") > page.value(
        "document.querySelector('.verdicts').getBoundingClientRect().bottom"
    )


def test_the_theme_follows_the_system_the_address_and_the_button(page, reports):
    theme = "document.documentElement.dataset.theme"
    page.emulate(prefers_color_scheme="dark")
    page.open(reports["norm"])
    assert page.value(theme) == "dark"
    page.emulate(prefers_color_scheme="light")
    page.open(reports["norm"], "theme=dark")
    assert page.value(theme) == "dark"
    assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 27)"
    page.click(".theme")
    assert page.value(theme) == "light"
    assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert texts(page, ".theme") == ["Dark page"]


def test_paper_is_white_and_has_no_buttons_whatever_the_screen_is(page, reports):
    page.open(reports["norm"], "theme=dark")
    page.emulate(media="print")
    assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.value("getComputedStyle(document.querySelector('.plot text')).fill") == "rgb(28, 33, 40)"
    shown = page.value(
        "Array.from(document.querySelectorAll('nav, .skip, .theme, .toggles, .copy'))"
        ".filter(e => getComputedStyle(e).display !== 'none').length"
    )
    assert shown == 0


def test_a_table_sorts_by_click_and_by_key_and_says_so(page, reports):
    page.open(reports["norm"])
    column = "#effects .scroll td:nth-child(3)"
    table = page.value("document.querySelector('#effects table').tBodies[0].rows.length")
    first = texts(page, column)[:table]
    page.click("#effects th:nth-child(3) button")
    assert texts(page, column)[:table] == sorted(first, key=lambda t: float(t.replace("−", "-")))
    assert texts(page, column)[:table] != first
    sort = "document.querySelector('#effects th:nth-child(3)').getAttribute('aria-sort')"
    assert page.value(sort) == "ascending"
    page.press("Enter")  # the button has the focus
    assert page.value(sort) == "descending"
    assert texts(page, column)[0] == "+0.014"
    page.click("#effects th:nth-child(2) button")
    assert page.value(sort) is None


def test_missing_values_stay_at_the_end_both_ways(tmp_path, page):
    analysis = fake.make_analysis(fake.QUICKSTART)
    cells = analysis.cells.assign(flops=[2e9, float("nan"), 1e9, 3e9])
    page.open(write_page(fake.with_frames(analysis, cells=cells), tmp_path))
    titles = texts(page, "#cost th")
    column = titles.index("FLOPs") + 1
    for expected in (["1.00 G", "2.00 G", "3.00 G", "–"], ["3.00 G", "2.00 G", "1.00 G", "–"]):
        page.click(f"#cost th:nth-child({column}) button")
        assert texts(page, f"#cost td:nth-child({column})") == expected


def test_a_series_hides_in_its_figure_alone(page, reports):
    page.open(reports["hostile"])
    name = fake.HOSTILE["λ"][1]
    page.click(f"{DICE} .toggles button:nth-child(2)")
    assert texts(page, f"{DICE} .toggles button")[1] == name
    visible = (
        "(figure) => Array.from(document.querySelectorAll(figure + ' g.mark')).filter("
        f"g => g.dataset.series === {name!r} && getComputedStyle(g).display !== 'none').length"
    )
    assert page.value(f"({visible})({DICE!r})") == 0
    assert page.value(f"({visible})('#figure-curves-loss')") > 0
    pressed = f"document.querySelector('{DICE} .toggles button:nth-child(2)').getAttribute('aria-pressed')"
    assert page.value(pressed) == "false"
    page.press("Enter")
    assert page.value(pressed) == "true"
    assert page.value(f"({visible})({DICE!r})") > 0


def readings(analysis, model: str, epoch: int) -> set[tuple[str, str]]:
    """Return what the crosshair has to say, from the frame itself."""
    curves = analysis.curves
    rows = curves[(curves["axis:model"] == model) & (curves["epoch"] == epoch)]
    rows = rows[rows["metric"].isin(["val_dice", "train_dice"])]
    words = {"val_dice": "validation", "train_dice": "training"}
    return {
        (f"{r['axis:norm']}, {words[r['metric']]}", f"{r['mean']:.3f} [{r['low']:.3f}, {r['high']:.3f}]")
        for r in rows.to_dict("records")
    }


def said(page: chromium.Page, figure: str = DICE) -> tuple[str, set[tuple[str, str]]]:
    rows = page.value(
        f"Array.from(document.querySelectorAll('{figure} .readout tr'), "
        "r => Array.from(r.cells, c => c.textContent))"
    )
    return "".join(texts(page, f"{figure} .readout .head")), {(a, b) for a, b in rows}


def epoch_seven(page: chromium.Page) -> tuple[float, float]:
    """Scroll the curves into view and return where epoch 7 is in the first facet, two units beside it."""
    page.middle(f"{DICE} .plot")
    x, y = page.value(
        f"(() => {{ const g = document.querySelector('{DICE} g.facet');"
        "const [l, t, r, b] = g.dataset.box.split(' ').map(Number);"
        "const m = g.querySelector('g.mark'); const k = m.dataset.at.split(' ').indexOf('7');"
        "const d = m.querySelector('path').getAttribute('d').match(/[\\d.]+ [\\d.]+/g)[k].split(' ');"
        "const p = new DOMPoint(Number(d[0]) + 2, (t + b) / 2).matrixTransform(g.getScreenCTM());"
        "return [p.x, p.y]; })()"
    )
    return x, y


def test_the_crosshair_reads_every_line_at_the_pointer(page, reports):
    page.open(reports["norm"])
    page.move(*epoch_seven(page))
    assert said(page) == ("unet, epoch 7", readings(fake.make_analysis(), "unet", 7))
    assert len(said(page)[1]) == 6
    assert page.value(f"document.querySelectorAll('{DICE} .cross').length") == 1
    page.click(f"{DICE} .toggles button:nth-child(1)")
    assert page.value(f"document.querySelector('{DICE} .readout').hidden") is True
    x, y = epoch_seven(page)
    page.move(x, y)
    assert {name for name, _ in said(page)[1]} == {
        f"{level}, {part}" for level in ("none", "DyT") for part in ("validation", "training")
    }
    page.move(5, y)
    assert page.value(f"document.querySelector('{DICE} .readout').hidden") is True
    assert page.value(f"document.querySelectorAll('{DICE} .cross').length") == 0


def test_the_crosshair_goes_by_arrow_keys(page, reports):
    page.open(reports["norm"])
    page.value(f"document.querySelector('{DICE} .picture').focus()")
    analysis = fake.make_analysis()
    for keys, model, epoch in (
        (["ArrowRight"], "unet", 1),
        (["ArrowRight", "ArrowRight"], "unet", 3),
        (["ArrowDown"], "resnet34_unet", 3),
        (["ArrowLeft"], "resnet34_unet", 2),
    ):
        for key in keys:
            page.press(key)
        assert said(page) == (f"{model}, epoch {epoch}", readings(analysis, model, epoch))
    page.press("Escape")
    assert page.value(f"document.querySelector('{DICE} .readout').hidden") is True


def test_marks_of_other_figures_tell_their_numbers_to_pointer_and_keys(page, reports):
    page.open(reports["norm"])
    page.value("document.querySelector('#figure-effects .picture').focus()")
    page.press("ArrowRight")
    assert "model: resnet34_unet − unet, new images: [−0.015, 0.007]" in texts(
        page, "#figure-effects .readout p"
    )
    x, y = page.middle("#figure-effects g.item path + use")
    page.move(x, y)
    assert texts(page, "#figure-effects .readout p") == [
        "model: resnet34_unet − unet: −0.004 [−0.012, 0.004], n = 3, unresolved",
        "Mean over seeds of level minus baseline, paired by seed. 2 trials: 000000000000, 000100000000.",
    ]
    assert page.value("document.querySelectorAll('svg.plot g.item title').length") == 0


@pytest.mark.parametrize("name", ["norm", "hostile"])
@pytest.mark.parametrize("width", [320, 360, 768])
def test_no_page_is_wider_than_its_screen(page, reports, name, width):
    page.resize(width, 740, is_mobile=width < 500)
    page.open(reports[name])
    assert page.value("document.documentElement.scrollWidth") <= width
    assert page.value("document.querySelectorAll('.scroll.is-wide').length") > 0
    if width < 640:  # tables show all of their rows on a phone
        beyond = "[...document.querySelectorAll('.scroll')].map(e => e.scrollHeight - e.clientHeight)"
        assert page.value(f"Math.max(...{beyond})") <= 1


def test_the_first_column_stays_while_a_wide_table_scrolls(page, reports):
    page.resize(360, 740, is_mobile=True)
    page.open(reports["norm"])
    place = "document.querySelector('#effects td').getBoundingClientRect().left"
    page.middle("#effects td")
    before = page.value(place)
    page.value("document.querySelector('#effects .scroll').scrollLeft = 150")
    assert page.value("document.querySelector('#effects .scroll').scrollLeft") == 150
    assert page.value(place) == before


def test_keys_reach_everything_and_the_first_tab_skips_to_the_results(page, reports):
    page.open(reports["norm"])
    page.press("Tab")
    assert page.value("document.activeElement.className") == "skip"
    assert page.value("document.activeElement.getBoundingClientRect().top") >= 0
    page.press("Enter")
    assert page.value("document.activeElement.id") == "content"
    wanted, seen = {"picture", "scroll", "toggles", "copy", "num"}, set()
    for _ in range(80):
        page.press("Tab")
        seen.add(
            page.value(
                "document.activeElement.closest('.picture, .scroll, .toggles, .copy, th')?.classList[0]"
            )
        )
        assert page.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        if seen >= wanted:
            break
    assert seen >= wanted


def test_a_table_is_copied_as_csv_and_as_latex(page, reports):
    page.open(reports["hostile"])
    page.value(
        "(() => { window.copied = []; Object.defineProperty(navigator, 'clipboard', "
        "{value: {writeText: t => { window.copied.push(t); return Promise.resolve(); }}}); })()"
    )
    for number in (1, 2):
        page.click(f"#cells .copy button:nth-child({number})")
    csv, latex = page.value("window.copied")
    frame = pd.read_csv(io.StringIO(csv))
    assert list(frame["λ"])[:4] == list(fake.HOSTILE["λ"])
    analysis = fake.make_analysis(fake.HOSTILE)
    assert latex == write_table(make_tables(analysis, Labels(analysis, Style()))["cells"])


def test_labels_that_look_like_markup_are_shown_as_text(page, reports):
    page.open(reports["hostile"])
    assert fake.HOSTILE["λ"][1] in texts(page, "#cells td")
    assert page.value("document.querySelectorAll('script').length") == 1


def test_without_a_script_everything_is_still_there(page, reports):
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(reports["norm"])
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)
    root = page.call("DOM.getDocument", depth=-1)["root"]["nodeId"]
    found = page.call("DOM.querySelectorAll", nodeId=root, selector="g.item title")["nodeIds"]
    assert len(found) > 10
    hidden = page.call("DOM.querySelectorAll", nodeId=root, selector=".theme[hidden]")["nodeIds"]
    assert len(hidden) == 1


def test_a_watched_page_reads_itself_anew_and_stays_where_it_was(page, tmp_path):
    content = make_content(fake.make_analysis(), Style(), panels=PICTURE)
    file = tmp_path / "report.html"
    file.write_text(write_html(content, is_watched=True), encoding="utf-8")
    page.open(file)
    assert page.value("document.querySelector('.watched').textContent") == "follows the sweep"
    page.click("#cells th:nth-child(4) button")
    page.value("document.querySelector('.theme').click()")
    theme = page.value("document.documentElement.dataset.theme")
    page.value("window.scrollTo({top: 900, behavior: 'instant'})")
    file.write_text(write_html(replace(content, answer="Later."), is_watched=True), encoding="utf-8")
    deadline = time.monotonic() + 60
    while page.value("document.querySelector('.answer')?.textContent") != "Later.":
        assert time.monotonic() < deadline
        time.sleep(0.5)
    page.value("new Promise(done => setTimeout(done, 500))")
    assert abs(page.value("window.scrollY") - 900) < 50
    assert page.value("document.documentElement.dataset.theme") == theme
    assert (
        page.value("document.querySelector('#cells th:nth-child(4)').getAttribute('aria-sort')")
        == "ascending"
    )

    file.write_text(write_html(replace(content, answer="Whole.")), encoding="utf-8")
    while page.value("document.querySelector('.answer')?.textContent") != "Whole.":
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert page.value("document.querySelector('.watched')") is None
    assert page.requests == [] or all(url.startswith(("file:", "data:")) for url in page.requests)
