"""`report --into`: the LaTeX side in a paper's folder."""

from __future__ import annotations

import json

import fake_analysis as fake
import pandas as pd
import pytest

from segbench.errors import ResultsError
from segbench.report.build import MANIFEST, write_into, write_report
from segbench.report.topics.panels import Panels


@pytest.fixture
def report(tmp_path):
    folder = tmp_path / "reports" / "quickstart"
    write_report(fake.make_analysis(fake.QUICKSTART), folder, panels=Panels(), with_pdf=False)
    return folder


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_it_holds_what_latex_needs_and_a_second_call_touches_nothing(report, tmp_path):
    target = tmp_path / "paper" / "gen"
    placed = write_into(report, target, name="quickstart")
    found = names(target)
    assert {"numbers.tex", "tables/effects.tex", "figures/effects.pdf", "data/figure-effects.csv"} <= set(
        found
    )
    assert not [name for name in found if name.endswith((".html", ".svg", ".md", ".yaml"))]
    assert len(placed.changed) == len(found) - 1  # all but the list
    stamps = {p: p.stat().st_mtime_ns for p in target.rglob("*")}
    again = write_into(report, target, name="quickstart")
    assert (again.changed, again.removed) == ((), ())
    assert {p: p.stat().st_mtime_ns for p in target.rglob("*")} == stamps


def test_only_what_changed_is_written_and_only_its_own_files_are_removed(report, tmp_path):
    target = tmp_path / "gen"
    write_into(report, target, name="quickstart")
    (target / "tables" / "mine.tex").write_text("mine")
    (target / "figures" / "curves-loss.tex").write_text("edited by hand")
    bare = fake.with_frames(fake.make_analysis(fake.QUICKSTART), curves=pd.DataFrame())
    write_report(bare, report, panels=Panels(), with_pdf=False)
    placed = write_into(report, target, name="quickstart")
    removed = {p.relative_to(target).as_posix() for p in placed.removed}
    assert "figures/curves-dice.pdf" in removed
    assert [p.name for p in placed.kept] == ["curves-loss.tex"]
    assert (target / "tables" / "mine.tex").read_text() == "mine"
    assert (target / "figures" / "curves-loss.tex").read_text() == "edited by hand"
    assert "figures/curves-dice.pdf" not in json.loads((target / MANIFEST).read_text())["files"]


def test_files_of_others_are_never_overwritten(report, tmp_path):
    target = tmp_path / "gen"
    (target / "tables").mkdir(parents=True)
    (target / "tables" / "effects.tex").write_text("a table of mine")
    with pytest.raises(ResultsError, match=r"did not write: tables/effects\.tex"):
        write_into(report, target, name="quickstart")
    assert names(target) == ["tables/effects.tex"]


def test_a_folder_holds_one_experiment(report, tmp_path):
    write_into(report, tmp_path / "gen", name="quickstart")
    with pytest.raises(ResultsError, match="another experiment, got 'quickstart'"):
        write_into(report, tmp_path / "gen", name="norm")
