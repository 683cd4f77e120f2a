r"""`\segval`: which names it knows, and that a paper which uses them compiles."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace

import fake_analysis as fake
import pandas as pd
import pytest

from segbench.report.explain import find
from segbench.report.labels import Labels, Style
from segbench.report.pages.number_files import macro_rows, write_numbers
from segbench.report.topics.walk import trace_all

needs_latex = pytest.mark.skipif(
    shutil.which("pdflatex") is None or shutil.which("pdftotext") is None, reason="pdflatex is not installed"
)


def rows_of(analysis):
    return {row.key: row for row in macro_rows(analysis, trace_all(analysis, 3))}


def test_rows_are_cells_and_contrasts_under_short_and_long_names():
    rows = rows_of(fake.make_analysis())
    assert rows["unet-BatchNorm"].aliases == ("unet, BatchNorm",)
    assert rows["unet-BatchNorm"].printed["test_dice"] == rows["unet-BatchNorm"].printed["mean"] == "0.913"
    assert rows["norm.none.at-model-unet"].subject == "norm: none - BatchNorm at model=unet"
    assert rows["norm.none"].printed["test_dice"] == "−0.012"
    assert rows["norm.none"].printed["p"] == "0.013"


def test_a_marginal_mean_is_called_by_its_level_where_no_other_has_the_name():
    analysis = fake.make_analysis()
    marginals = pd.DataFrame(
        {
            "axis": ["norm", "norm", "model"],
            "level": ["none", "twice", "twice"],
            "n": [3, 3, 3],
            "mean": [0.8, 0.7, 0.6],
            "sd": [0.01, 0.01, 0.01],
            "low": [0.7, 0.6, 0.5],
            "high": [0.9, 0.8, 0.7],
        }
    )
    analysis = fake.with_frames(analysis, marginals=marginals)
    rows = rows_of(analysis)
    assert rows["mean.norm.none"].aliases == ("norm: none", "none")
    assert rows["mean.norm.none"].printed["test_dice"] == "0.800"
    assert rows["mean.norm.twice"].aliases == ("norm: twice",)


def test_explain_takes_what_latex_is_given():
    analysis = fake.make_analysis()
    traces = trace_all(analysis, 3)
    rows = macro_rows(analysis, traces)
    asked = r"\segval{norm_ablation_small}{norm.none.at-model-unet}{difference}"
    assert find(traces, asked, rows) == ("effects", "norm: none - BatchNorm at model=unet")
    assert find(traces, "unet-DyT", rows) == ("cells", "unet, DyT")


@pytest.mark.latex
@needs_latex
def test_a_paper_prints_numbers_by_the_names_of_the_experiment_and_warns_of_unknown_ones(tmp_path):
    single = fake.make_analysis({"norm": ("BatchNorm", "none_at_all")}, name="norm_ablation")
    double = fake.make_analysis(name="two_axes")
    hostile = fake.make_analysis(fake.HOSTILE, name="h & 100%")
    for number, analysis in enumerate((single, double, hostile)):
        source = write_numbers(analysis, Labels(analysis, replace(Style(), digits=4)))
        (tmp_path / f"numbers{number}.tex").write_text(source, encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        r"""\documentclass{article}\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}\usepackage{textcomp}
\input{numbers0}\input{numbers1}\input{numbers2}
\begin{document}
\section{About \segval{norm_ablation}{BatchNorm}{test_dice}}
A=\segval{norm_ablation}{BatchNorm}{test_dice}.

B=\segval{norm-ablation}{none_at_all}{n}.

C=\segval{two_axes}{unet, BatchNorm}{mean_last}.

D=\segval{two_axes}{unet-BatchNorm}{mean-last}.

E=\segval{two_axes}{norm: none - BatchNorm}{test_dice}.

F=\segval{two_axes}{norm.none}{verdict}.

G=\segval{two_axes}{nobody_100}{test_dice}.
\end{document}
""",
        encoding="utf-8",
    )
    for _ in range(2):
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
            cwd=tmp_path,
            env={**os.environ, "max_print_line": "1000"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:]
    text = subprocess.run(
        ["pdftotext", "paper.pdf", "-"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    text = "".join(text.split())
    cell = single.cells.iloc[0]
    last = double.cells.iloc[0]["mean_last"]
    assert f"About{cell['mean']:.4f}" in text
    assert f"A={cell['mean']:.4f}." in text
    assert "B=2." in text or "B=3." in text
    assert f"C={last:.4f}." in text
    assert f"D={last:.4f}." in text
    assert "E=−0.0120." in text
    assert "F=worse." in text
    assert "G=??." in text
    log = " ".join((tmp_path / "paper.log").read_text(encoding="utf-8", errors="replace").split())
    assert "Package segbench Warning: \\segval: the report has no number `test_dice' of `nobody_100'" in log
