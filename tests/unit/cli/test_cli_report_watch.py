"""`segbench report --watch`: what stands while a sweep runs, when it is written anew, and how it ends."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from benchmarks.report import EXPERIMENT, make_records
from segbench.cli import report
from segbench.cli.app import app

TEXT = (
    EXPERIMENT.split("axes:", maxsplit=1)[0]
    + "axes:\n  norm: [batch, none]\nseeds: {seeds}\nclaims: [{{norm: batch > none}}]\n"
)
WATCHED = "location.reload()"
VERDICT = re.compile(">(negligibly )?(supported|contradicted|better|worse|equivalent|unresolved)<")


class Sweep:
    """Trials that end while the command rests."""

    def __init__(self, root: Path) -> None:
        self.results = root / "results" / "many"
        self.page = root / "reports" / "many" / "report.html"
        self.waiting = root / "waiting"
        self.steps: list[Callable[[], None]] = []
        self.rests: list[float] = []
        shutil.move(str(self.results), str(self.waiting))

    def end(self, number: int) -> None:
        """Let so many trials more be complete."""
        (self.results / "trials").mkdir(parents=True, exist_ok=True)
        for folder in sorted((self.waiting / "trials").iterdir())[:number]:
            shutil.move(str(folder), str(self.results / "trials" / folder.name))

    def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        assert self.steps, "the command waits for a sweep that is over"
        self.steps.pop(0)()


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.setenv("SEGBENCH_CACHE", str(tmp_path / "remembered"))
    monkeypatch.chdir(tmp_path)
    make_records(tmp_path, 6, 4, 5, text=TEXT, cells=2)
    found = Sweep(tmp_path)
    # its own `time`: threads of the process that other tests left sleep on
    own = SimpleNamespace(sleep=found.rest, monotonic=time.monotonic, perf_counter=time.perf_counter)
    monkeypatch.setattr(report, "time", own)
    return found


def watch(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(
        app, ["report", "many", "--watch", "--no-pdf", *arguments], catch_exceptions=False
    )
    return done.exit_code, done.output


def test_from_nothing_over_parts_to_the_whole_report(sweep):
    seen = []

    def look() -> None:
        page = sweep.page.read_text()
        seen.append((WATCHED in page, "not judged" in page, bool(VERDICT.search(page))))
        assert "follows the sweep" in page
        assert sweep.page.with_name("report.md").is_file()
        assert not sweep.page.with_name("report.tex").exists()

    sweep.steps = [
        lambda: sweep.end(0),
        lambda: sweep.end(2),
        look,
        lambda: sweep.end(1),
        lambda: (look(), sweep.end(3)),
    ]
    code, said = watch()
    assert code == 0
    assert seen == [(True, True, False)] * 2
    lines = said.splitlines()
    assert lines[:4] == [
        "waiting for the first trial of many to end",
        "reports/many/report.html: partial: 2 of 6 trials",
        "reports/many/report.html: partial: 3 of 6 trials",
        "reports/many/report.html: 6 of 6 complete",
    ]
    page = sweep.page.read_text()
    assert WATCHED not in page
    assert "follows the sweep" not in page
    assert VERDICT.search(page)
    assert sweep.page.with_name("report.tex").is_file()
    assert min(sweep.rests) >= report.POLL_S


def test_nothing_is_read_while_no_record_changes(sweep, monkeypatch):
    sweep.end(2)
    calls = []
    whole = report.write_one

    def counted(*args, **kwargs):
        calls.append(kwargs)
        return whole(*args, **kwargs)

    monkeypatch.setattr(report, "write_one", counted)

    def epoch() -> None:
        trial = next((sweep.results / "trials").iterdir())
        with (trial / "epochs.csv").open("a") as file:
            file.write("")

    sweep.steps = [epoch, epoch, epoch, lambda: sweep.end(4)]
    assert watch()[0] == 0
    # Two while it was followed, and the whole one at the end.
    assert [call.get("is_watched", False) for call in calls] == [True, True, False]


def test_ctrl_c_leaves_an_ordinary_page(sweep):
    sweep.end(2)

    def stop() -> None:
        assert WATCHED in sweep.page.read_text()
        raise KeyboardInterrupt

    sweep.steps = [stop]
    code, said = watch()
    assert code == 130
    assert said.splitlines()[-1] == "reports/many/report.html: no longer watched"
    page = sweep.page.read_text()
    assert WATCHED not in page
    assert "partial: 2 of 6 trials" in page


def test_a_mistake_in_the_style_is_said_and_waited_for(sweep):
    sweep.end(2)
    style = sweep.page.with_name("style.yaml")

    def mended() -> None:
        style.write_text("digits: 2\n")
        sweep.end(4)

    sweep.steps = [lambda: style.write_text("digits: many\n"), mended]
    code, said = watch()
    assert code == 0
    assert any("style.yaml" in line and line.startswith("Warning: ") for line in said.splitlines())


def test_it_goes_on_while_a_supervisor_is_at_work(sweep, monkeypatch):
    """Complete at a look, the sweep goes on to the next one."""
    sweep.end(6)
    alive = iter([True, False])
    monkeypatch.setattr("segbench.store.lease.is_leased", lambda claims: next(alive))
    sweep.steps = [lambda: None]
    assert watch()[0] == 0


def test_an_earlier_pdf_goes_and_what_latex_reads_stays(sweep):
    sweep.end(2)
    folder = sweep.page.parent
    (folder / "tables").mkdir(parents=True)
    (folder / "tables" / "claims.tex").write_text("old")
    (folder / "report.pdf").write_text("old")

    def look() -> None:
        assert not (folder / "report.pdf").exists()
        assert (folder / "tables" / "claims.tex").read_text() == "old"
        sweep.end(4)

    sweep.steps = [look]
    assert watch()[0] == 0
    assert (folder / "tables" / "claims.tex").read_text() != "old"
    made_from = json.loads((folder / "numbers.json").read_text())["made_from"]
    assert len(made_from["trials"]) == 6


@pytest.mark.parametrize("option", [["--check"], ["--into", "paper"], ["--from", "x.csv"], ["--all"]])
def test_it_follows_one_experiment(sweep, option):
    code, said = watch(*option)
    assert code == 2
    assert f"without {option[0]}" in " ".join(said.split()).replace("│ ", "")
