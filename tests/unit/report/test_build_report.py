"""The report's folder: what is written, kept, removed and compiled."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import fake_analysis as fake
import pandas as pd
import pytest

from segbench.report.build import csv, write_report
from segbench.report.labels import Labels, Style
from segbench.report.pages import latex as compiling
from segbench.report.pages.latex import compile_pdf, error_lines
from segbench.report.topics.panels import Panels
from segbench.report.topics.walk import make_figures, make_tables

PICTURE = Panels(
    content=(Path(__file__).parent / "data" / "pixel.jpg").read_bytes(), caption="Same images.", width_px=8
)
NONE = Panels(missing="no masks.")

needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_second_report_touches_nothing_and_a_change_only_what_shows_it(tmp_path):
    analysis = fake.make_analysis(fake.QUICKSTART)
    first = write_report(analysis, tmp_path, panels=PICTURE, with_pdf=False)
    before = contents(tmp_path)
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    assert len(first.changed) == len(before) - 1  # all but style.yaml
    again = write_report(analysis, tmp_path, panels=PICTURE, with_pdf=False)
    assert again.changed == ()
    assert contents(tmp_path) == before
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == stamps
    third = write_report(replace(analysis, answer="Yes."), tmp_path, panels=PICTURE, with_pdf=False)
    assert {p.name for p in third.changed} == {"report.html", "report.md", "report.tex"}


def test_every_figure_is_there_in_every_form_and_every_table_in_its_own_file(tmp_path):
    analysis = fake.make_analysis(fake.QUICKSTART)
    write_report(analysis, tmp_path, panels=NONE, with_pdf=False)
    labels = Labels(analysis, Style())
    names = [figure.name for figure in make_figures(analysis, labels)]
    assert len(names) >= 5
    for name in names:
        for suffix in ("png", "svg", "pdf", "tex"):
            assert (tmp_path / "figures" / f"{name}.{suffix}").stat().st_size > 500, (name, suffix)
        assert (tmp_path / "data" / f"figure-{name}.csv").stat().st_size > 0
    for name in make_tables(analysis, labels):
        assert (tmp_path / "tables" / f"{name}.tex").stat().st_size > 0


def test_two_folders_hold_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_report(fake.make_analysis(), tmp_path / name, panels=NONE, with_pdf=False)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_the_users_style_is_kept_and_honoured(tmp_path):
    analysis = fake.make_analysis()
    (tmp_path / "style.yaml").write_text("labels: {DyT: Dynamic Tanh}\n")
    write_report(analysis, tmp_path, panels=NONE, with_pdf=False)
    assert (tmp_path / "style.yaml").read_text() == "labels: {DyT: Dynamic Tanh}\n"
    assert "norm: Dynamic Tanh − BatchNorm" in (tmp_path / "report.md").read_text()


def test_committed_panels_stay_where_there_are_no_masks(tmp_path):
    analysis = fake.make_analysis(fake.QUICKSTART)
    write_report(analysis, tmp_path, panels=PICTURE, with_pdf=False)
    before = contents(tmp_path)
    write_report(analysis, tmp_path, panels=NONE, with_pdf=False)
    assert contents(tmp_path) == before


def test_no_panels_at_all_says_why(tmp_path):
    write_report(fake.make_analysis(fake.QUICKSTART), tmp_path, panels=NONE, with_pdf=False)
    assert "No pictures: no masks." in (tmp_path / "report.md").read_text()


def test_what_an_older_report_drew_goes_and_other_files_stay(tmp_path):
    analysis = fake.make_analysis(fake.QUICKSTART)
    write_report(analysis, tmp_path, panels=NONE, with_pdf=False)
    (tmp_path / "figures" / "mine.png").write_bytes(b"mine")
    write_report(fake.with_frames(analysis, curves=pd.DataFrame()), tmp_path, panels=NONE, with_pdf=False)
    names = set(contents(tmp_path))
    assert "figures/curves-dice.png" not in names
    assert "data/curves.csv" not in names
    assert "figures/mine.png" in names


def test_csv_has_nine_digits_and_joins_lists():
    text = csv(pd.DataFrame({"a": [1 / 3, float("nan")], "trials": [("x", "y"), ()]}))
    assert text == "a,trials\n0.333333333,x y\nnan,\n"


@pytest.mark.latex
@needs_latex
@pytest.mark.parametrize("levels", [fake.NORM, fake.HOSTILE], ids=["norm", "hostile"])
def test_the_latex_compiles_and_gives_the_same_bytes_twice(tmp_path, levels):
    analysis = fake.make_analysis(levels)
    pdfs = []
    for name in ("a", "b"):
        written = write_report(analysis, tmp_path / name, panels=PICTURE)
        assert written.warnings == ()
        pdfs.append((tmp_path / name / "report.pdf").read_bytes())
    assert pdfs[0] == pdfs[1]
    assert not list((tmp_path / "a").glob("*.aux"))


@pytest.mark.latex
@needs_latex
def test_a_table_a_figure_and_a_number_can_be_input_from_a_paper(tmp_path):
    write_report(fake.make_analysis(), tmp_path / "reports" / "norm", panels=NONE, with_pdf=False)
    (tmp_path / "paper.tex").write_text(
        r"""\documentclass{article}\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}
\usepackage{booktabs,tabularx,array,float,textcomp,pgfplots}\pgfplotsset{compat=1.16}\usepgfplotslibrary{fillbetween}
\newcolumntype{L}{>{\raggedright\arraybackslash}X}
\newcommand{\segreportdir}{reports/norm}
\begin{document}\input{\segreportdir/numbers.tex}
The Dice is \segval{norm-ablation-small}{unet-BatchNorm}{mean}.
\input{\segreportdir/tables/effects.tex}\input{\segreportdir/figures/curves-dice.tex}
\end{document}"""
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.latex
@needs_latex
def test_a_failed_compilation_shows_the_lines_of_the_log(tmp_path):
    made = compile_pdf(
        tmp_path, {"report.tex": b"\\documentclass{article}\\begin{document}\\nonsense\\end{document}"}
    )
    assert made.pdf is None
    assert made.is_failure
    assert made.warning.startswith(
        f"report.pdf is not written: pdflatex failed on {tmp_path / 'report.tex'}:"
    )
    assert "! Undefined control sequence." in made.warning


def test_without_pdflatex_the_report_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)
    written = write_report(fake.make_analysis(fake.QUICKSTART), tmp_path, panels=NONE)
    assert len(written.warnings) == 1
    assert written.warnings[0].startswith(
        "report.pdf is not written: pdflatex is not installed (Debian: apt-get"
    )
    assert [p.name for p in written.pages] == ["report.html", "report.md", "report.tex"]


def test_error_lines_without_a_log(tmp_path):
    assert error_lines(tmp_path / "none.log") == ["(pdflatex left no log)"]


def test_a_report_imports_neither_torch_nor_optuna(tmp_path):
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import fake_analysis as fake\n"
        "from pathlib import Path\n"
        "from segbench.report.build import write_report\n"
        "from segbench.report.topics.panels import Panels\n"
        f"write_report(fake.make_analysis(fake.QUICKSTART), Path({str(tmp_path)!r}), "
        "panels=Panels(missing='.'), with_pdf=False)\n"
        "import segbench.cli.report, segbench.report.analyse, segbench.data\n"
        "print(sorted({'torch', 'optuna', 'albumentations', 'matplotlib.pyplot'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.strip() == "[]", done.stderr
