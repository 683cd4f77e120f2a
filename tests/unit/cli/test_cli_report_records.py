"""`segbench report` on records as a sweep writes them: unchanged, changed, damaged."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmarks.report import EXPERIMENT, make_records
from segbench.cli.app import app
from segbench.config.load import load_experiment
from segbench.errors import ExperimentError
from segbench.report.analyse import analyse
from segbench.report.draw import drawn
from segbench.report.draw.figure import Figure
from segbench.report.labels import Labels, Style
from segbench.report.topics.walk import make_figures
from segbench.store.results import Results, read_results

TWO_CELLS = EXPERIMENT.split("axes:", maxsplit=1)[0] + "axes:\n  norm: [batch, none]\nseeds: {seeds}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "remembered"))
    monkeypatch.chdir(tmp_path)
    make_records(tmp_path, 6, 4, 5, text=TWO_CELLS, cells=2)
    return tmp_path


def report(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["report", "many", "--no-pdf", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def trials(project: Path) -> list[Path]:
    return sorted((project / "results" / "many" / "trials").iterdir())


def test_an_unchanged_report_says_the_same_and_reads_nothing(project, monkeypatch):
    first = report()

    def read(folder: Path) -> Results:
        raise AssertionError("it read the records")

    with monkeypatch.context() as patched:
        patched.setattr("segbench.store.results.read_results", read)
        second = report()
    assert second.replace(" (unchanged)", "") == first
    assert second.count("(unchanged)") == 3


def test_a_workbook_is_written_after_an_unchanged_report_and_then_remembered_too(project, monkeypatch):
    openpyxl = pytest.importorskip("openpyxl")
    report()
    page = "reports/many/report.xlsx"
    assert report("--xlsx").splitlines()[-1] == page
    value = openpyxl.load_workbook(project / page)["cells"]["B2"].value
    assert value == read_results(project / "results" / "many").trials["seed"].nunique()

    def read(folder: Path) -> Results:
        raise AssertionError("it read the records")

    with monkeypatch.context() as patched:
        patched.setattr("segbench.store.results.read_results", read)
        assert report("--xlsx").splitlines()[-1] == f"{page} (unchanged)"
        assert report().splitlines()[-1] == f"{page} (unchanged)"
    (project / page).unlink()
    assert report("--xlsx").splitlines()[-1] == page


def test_a_workbook_needs_its_extra_before_anything_is_read(project, monkeypatch):
    monkeypatch.setattr("segbench.report.pages.xlsx.find_spec", lambda name: None)
    with pytest.raises(ExperimentError, match=r"pip install 'segbench\[xlsx\]'"):
        CliRunner().invoke(app, ["report", "nothing", "--xlsx"], catch_exceptions=False)


def _one_number(project: Path) -> None:
    file = trials(project)[0] / "trial.json"
    record = json.loads(file.read_text())
    record["test"]["dice"] = 0.5
    file.write_text(json.dumps(record))


def _a_page(project: Path) -> None:
    (project / "reports" / "many" / "report.md").write_text("by hand")


def _a_figure(project: Path) -> None:
    (project / "reports" / "many" / "figures" / "outcome.png").unlink()


def _the_question(project: Path) -> None:
    file = project / "experiments" / "many.yaml"
    file.write_text(file.read_text().replace("Which of these matters?", "Which one?"))


def _the_style(project: Path) -> None:
    (project / "reports" / "many" / "style.yaml").write_text("digits: 2\n")


def _another_experiment(project: Path) -> None:
    import shutil

    shutil.copytree(project / "results" / "many", project / "results" / "other")


def _what_is_remembered(project: Path) -> None:
    for file in (project / "remembered").glob("report-*.json"):
        file.write_bytes(b"\x00 damaged")


@pytest.mark.parametrize(
    "change",
    [_one_number, _a_page, _a_figure, _the_question, _the_style, _another_experiment, _what_is_remembered],
)
def test_whatever_enters_a_report_makes_it_anew(project, monkeypatch, change):
    report()
    change(project)
    seen = []
    monkeypatch.setattr(
        "segbench.store.results.read_results", lambda folder: seen.append(folder) or read_results(folder)
    )
    report()
    assert seen
    assert (project / "reports" / "many" / "figures" / "outcome.png").is_file()
    page = (project / "reports" / "many" / "report.md").read_text()
    assert page.startswith("#")
    assert ("Which one?" in page) == (change is _the_question)


def test_only_figures_that_changed_are_drawn(project, monkeypatch):
    report()
    names = []
    draw = drawn.draw_files
    monkeypatch.setattr(drawn, "draw_files", lambda figure: names.append(figure.name) or draw(figure))
    _a_page(project)
    report()
    assert names == []
    _one_number(project)
    report()
    assert "outcome" in names
    assert "curves-dice" not in names
    names.clear()
    (project / "reports" / "many" / "figures" / "cost.svg").write_text("damaged")
    report()
    assert names == ["cost"]


def test_two_processes_draw_what_one_draws(project, tmp_path, monkeypatch):
    experiment = load_experiment("many")
    analysis = analyse(experiment, read_results(project / "results" / "many"), project=experiment.project)
    figures = list(make_figures(analysis, Labels(analysis, Style())))
    assert len(figures) > 2
    alone = {figure.name: drawn.draw_files(figure) for figure in figures}
    monkeypatch.setattr(drawn, "_WORTH_A_PROCESS_S", 0.0)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    ours = []
    draw = drawn.draw_files
    monkeypatch.setattr(drawn, "draw_files", lambda figure: ours.append(figure.name) or draw(figure))
    with drawn.Drawing(tmp_path / "nowhere") as drawing:
        for figure in figures:
            drawing.add(figure)
        assert drawing.files() == alone
    assert 0 < len(ours) < len(figures)
    assert drawn._place(tmp_path / "nowhere").is_file()


def test_the_second_process_ends_with_a_report_that_fails(tmp_path, monkeypatch):
    size = {"width_cm": 4.0, "row_height_cm": 4.0, "left_cm": 1.0}
    figures = [Figure(name=name, title="", caption="", facets=(), **size) for name in ("one", "two")]
    monkeypatch.setattr(drawn, "_WORTH_A_PROCESS_S", 0.0)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    started = []
    popen = subprocess.Popen

    def start(*args, **options):
        started.append(popen(*args, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)

    def fail():
        with drawn.Drawing(tmp_path / "nowhere") as drawing:
            for figure in figures:
                drawing.add(figure)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [process.poll() for process in started] == [-signal.SIGKILL]


def test_what_the_second_process_cannot_draw_is_drawn_here(project, tmp_path, monkeypatch):
    experiment = load_experiment("many")
    analysis = analyse(experiment, read_results(project / "results" / "many"), project=experiment.project)
    figures = list(make_figures(analysis, Labels(analysis, Style())))
    monkeypatch.setattr(drawn, "_WORTH_A_PROCESS_S", 0.0)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    with drawn.Drawing(tmp_path / "nowhere") as drawing:
        for figure in figures:
            drawing.add(figure)
        assert set(drawing.files()) == {figure.name for figure in figures}


EPOCHS = "epochs.csv"
IMAGES = "images.csv.gz"
DAMAGE = {
    "empty record": ("trial.json", b""),
    "binary record": ("trial.json", b"\x00\xff\xfe\x01"),
    "truncated record": ("trial.json", b'{"hash": "0123'),
    "record that is a list": ("trial.json", b"[1, 2]"),
    "record without a state": ("trial.json", b'{"format": 1}'),
    "record of a newer format": ("trial.json", b'{"format": 99}'),
    "empty epochs": (EPOCHS, b""),
    "binary epochs": (EPOCHS, b"\x80\x81\n\xff\n"),
    "other columns": (EPOCHS, b"time,loss\n1,2\n"),
    "a row too short": (EPOCHS, b"epoch,lr,val_dice\n1,0.1\n"),
    "text among numbers": (EPOCHS, b"epoch,lr,val_dice\n1,0.1,high\n"),
    "an epoch left out": (EPOCHS, b"epoch,lr,val_dice\n1,0.1,0.5\n3,0.1,0.6\n"),
    "an epoch that is no number": (EPOCHS, b"epoch,lr,val_dice\nnan,0.1,0.5\n"),
    "empty images": (IMAGES, b""),
    "images not packed": (IMAGES, b"image,group,split,class,metric,value\n"),
    "images cut short": (IMAGES, gzip.compress(b"image,group,split,class,metric,value\n" * 99)[:-12]),
    "other image columns": (IMAGES, gzip.compress(b"image,value\na,1\n")),
    "a value that is text": (
        IMAGES,
        gzip.compress(b"image,group,split,class,metric,value\na,,test,foreground,dice,good\n"),
    ),
    "an image row too short": (
        IMAGES,
        gzip.compress(b"image,group,split,class,metric,value\na,test,foreground,dice,0.5\n"),
    ),
    "an image row too long": (
        IMAGES,
        gzip.compress(b"image,group,split,class,metric,value\na,,test,foreground,dice,0.5,7\n"),
    ),
    "an open quote": (
        IMAGES,
        gzip.compress(b'image,group,split,class,metric,value\n"a,,test,foreground,dice,0.5\n'),
    ),
    "images that are no text": (IMAGES, gzip.compress(b"\xff\xfe\x00")),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_trial_is_left_out_with_the_reason_and_the_others_stay(project, what):
    name, content = DAMAGE[what]
    bad, *_ = trials(project)
    (bad / name).write_bytes(content)
    results = read_results(project / "results" / "many")
    assert results.left_out["folder"].tolist() == [f"trials/{bad.name}"]
    assert name in results.left_out["reason"][0]
    for frame in (results.trials, results.epochs, results.images):
        assert bad.name not in set(frame["trial"])
        assert len(set(frame["trial"])) == 5
    experiment = load_experiment("many")
    analysis = analyse(experiment, results, project=experiment.project)
    assert analysis.left_out["folder"].tolist() == [f"trials/{bad.name}"]
    assert analysis.cells["n"].sum() == 5


def test_nan_rows_are_read_as_missing_values(project):
    folder = trials(project)[0]
    lines = gzip.decompress((folder / IMAGES).read_bytes()).decode().splitlines()
    lines[1] = lines[1].rpartition(",")[0] + ",nan"
    (folder / IMAGES).write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    results = read_results(project / "results" / "many")
    assert results.left_out.empty
    own = results.images[results.images["trial"] == folder.name]
    assert own["value"].isna().sum() == 1
    assert len(own) == len(lines) - 1


def test_values_per_image_are_those_of_one_file_after_the_other(project):
    """Parsed together by what they share, they are what each file holds for itself."""
    odd = trials(project)[1]
    text = """image,group,split,class,metric,value
"a, b",g 1,test,foreground,dice,0.25
c\u2028d,,test,foreground,dice,1
"""
    (odd / IMAGES).write_bytes(gzip.compress(text.encode()))
    together = read_results(project / "results" / "many").images
    for folder in trials(project):
        alone = pd.read_csv(folder / IMAGES, keep_default_na=False, na_values={"value": ["nan"]})
        own = together[together["trial"] == folder.name].drop(columns="trial")
        assert (
            own.astype({c: object for c in own if c != "value"}).to_numpy().tolist()
            == alone.to_numpy().tolist()
        )
