"""Axes and experiments called like columns, words of claims or odd files work, or are refused at once."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from sweep_stand_in import TEXT, StandIn, make_stand_in
from typer.testing import CliRunner

from segbench.cli.app import app
from segbench.config.load import load_experiment
from segbench.errors import ExperimentError
from segbench.report.analyse import analyse
from segbench.report.analysis import Analysis
from segbench.report.build import csv as frame_csv
from segbench.report.labels import Labels, Style
from segbench.report.pages.number_files import macro_rows
from segbench.report.topics.walk import make_figures, make_tables, trace_all
from segbench.store.index import read_index
from segbench.store.results import read_results

TARGETS = ("optimizer.lr: [1e-3, 1e-2]", "epochs: [1, 2]", "batch_size: [1, 2]")
NAMES = (
    *("front", "data_wait_s", "hash"),
    *("seed", "fold", "state"),
    *("cell", "trial", "n"),
    *("mean", "index", "axis"),
    *("level", "test_dice", "role"),
    *("two words", "a.b", "größe"),
    *("a:b", "a/b", "on"),
    *("asked", "value", "residual"),
)
CASES = [NAMES[k : k + 3] for k in range(0, len(NAMES), 3)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    return make_stand_in(tmp_path, monkeypatch)


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.output


def named(names: tuple[str, ...]) -> str:
    axes = [
        f"  {name!r}: {{path: {target.split(':')[0]}, levels: {target.split(': ')[1]}}}"
        for name, target in zip(names, TARGETS, strict=True)
    ]
    head = TEXT[: TEXT.index("axes:")]
    claim = f"claims: [{{'axis:{names[2]}': 1 > 2}}]"
    return "\n".join([f"{head}axes:", *axes, "seeds: 2", claim, ""])


def swept(project: StandIn, names: tuple[str, ...], name: str = "exp") -> Analysis:
    project.write(named(names), name)
    project.dice = lambda levels, seed: 0.8 + 0.01 * seed + 0.02 * (levels[names[0]] == "1e-2")
    run("sweep", name)
    experiment = load_experiment(name)
    return analyse(experiment, read_results(project.folder(name).root), project=experiment.project)


@pytest.mark.parametrize("names", CASES, ids="-".join)
def test_an_axis_may_have_any_name(project: StandIn, names: tuple[str, ...]) -> None:
    analysis = swept(project, names)
    assert [list(row.levels) for row in read_index(project.folder())] == [list(names)] * 16
    run("plan", "exp", "--only", f"{names[1]}=2")
    first = analysis.effects[(analysis.effects["axis"] == names[0]) & (analysis.effects["at"] == "")]
    assert first["difference"].tolist() == pytest.approx([0.02])
    assert analysis.claims["claim"].tolist() == [f"axis:{names[2]}: 1 > 2"]
    labels = Labels(analysis, Style(labels={f"axis:{names[0]}": "renamed"}))
    assert make_tables(analysis, labels)["cells"].columns[0].title == "renamed"
    assert "interactions" in {figure.name for figure in make_figures(analysis, labels)}
    assert len(macro_rows(analysis, trace_all(analysis, labels.style.digits))) > 8
    for frame in (analysis.cells, analysis.seeds, analysis.curves, analysis.dynamics, analysis.measured):
        assert frame is not None
        header = next(csv.reader([frame_csv(frame).splitlines()[0]]))
        assert len(set(header)) == len(header)
        assert set(names) <= {column.removeprefix("axis:") for column in header}
    assert "+0.020" in run("explain", "exp", f"{names[0]}: 1e-2 - 1e-3")


def test_a_report_and_a_comparison_of_axes_called_like_columns(project: StandIn) -> None:
    names = ("front", "data_wait_s", "hash")
    swept(project, names)
    run("report", "exp", "--no-pdf")
    report = project.root / "reports" / "exp"
    assert "front: 1e-2 − 1e-3" in (report / "report.md").read_text()
    header = (report / "data" / "cells.csv").read_text().splitlines()[0].split(",")
    assert header[:4] == ["cell", "axis:front", "axis:data_wait_s", "hash"]
    project.write(named(names).replace("depth: 2", "depth: 1"), "other")
    run("sweep", "other")
    run("compare", "exp", "other")


def test_a_name_that_a_file_uses_itself_is_written_with_its_space(project: StandIn) -> None:
    project.write(named(("hash", "role", "norm of it")))
    run("sweep", "exp")
    header = project.folder().index.read_text().splitlines()[0]
    assert header == "hash,axis:hash,axis:role,norm of it,seed,fold,state,folder"


def test_a_word_of_a_claim_is_no_axis_without_its_space(project: StandIn) -> None:
    project.write(named(("a", "b", "on")).replace("axis:on", "on"))
    with pytest.raises(ExperimentError, match=r"The axis on is written axis:on"):
        load_experiment("exp")


@pytest.mark.parametrize("name", ["axis:a", "search:a", "a=b", " a", "a\\nb", ""])
def test_a_name_that_cannot_work_is_refused_when_the_file_is_read(project: StandIn, name: str) -> None:
    project.write(named(("x", "y", "z")).replace("'x'", f'"{name}"'))
    with pytest.raises(ExperimentError, match=r"exp\.yaml:10:3: a name"):
        load_experiment("exp")


@pytest.mark.parametrize("name", ["lr_0.1", "norm.v2", "two words", "größe", "a+b,c", "experiment"])
def test_an_experiment_may_have_any_name_that_a_folder_can_have(project: StandIn, name: str) -> None:
    project.write(TEXT, name)
    run("sweep", name)
    assert project.folder(name).index.is_file()
    assert load_experiment(f"experiments/{name}.yaml").name == name
    for asked in (name, f"experiments/{name}.yaml", f"results/{name}", f"results/{name}/experiment.yaml"):
        assert run("stop", asked) == f"{name}: nothing is running.\n"
        run("results", "gc", asked)


def test_a_dot_does_not_end_a_name(project: StandIn) -> None:
    project.write(TEXT, "norm")
    project.write(TEXT.replace("1e-3", "1e-2"), "norm.v2")
    run("sweep", "norm")
    with pytest.raises(Exception, match=r"got 'norm\.v2'"):
        run("stop", "norm.v2")


@pytest.mark.parametrize("name", ["a%b", "a#b", "a:b", ".a", "-a", "a.yaml", "a" * 201, "a~b", " a"])
def test_a_name_that_no_folder_can_have_is_refused(project: StandIn, name: str) -> None:
    project.write(TEXT, name)
    with pytest.raises(ExperimentError, match=r"an experiment's name .* Rename the file"):
        load_experiment(project.root / "experiments" / f"{name}.yaml")


def test_a_scale_gives_a_name_too(project: StandIn) -> None:
    project.write(TEXT + "scales: {a/b: {seeds: 1}}\n")
    with pytest.raises(ExperimentError, match=r"cannot hold /.* Rename the scale"):
        load_experiment("exp", scale="a/b")
