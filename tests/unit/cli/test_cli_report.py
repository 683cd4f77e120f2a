"""`segbench report`: what it prints, where it writes, and what it refuses."""

from __future__ import annotations

import fake_analysis as fake
import pandas as pd
import pytest
from messages import said
from typer.testing import CliRunner

from segbench.cli.app import app
from segbench.errors import ExperimentError, ResultsError


@pytest.fixture
def project(made_up_project):
    return made_up_project


def test_it_writes_the_folder_and_prints_answer_effects_claims_and_paths(project):
    (project / "results" / "quickstart").mkdir(parents=True)
    done = CliRunner().invoke(app, ["report", "quickstart", "--no-pdf"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "Does a U-Net need batch normalisation" in done.output
    assert "flips: on − off" in done.output
    assert "−0.012  [−0.020, −0.004]" in done.output
    assert "supported" in done.output
    pages = [line for line in done.output.splitlines() if line.startswith("reports/")]
    assert pages == [f"reports/quickstart/report.{suffix}" for suffix in ("html", "md", "tex")]
    assert (project / "reports" / "quickstart" / "style.yaml").is_file()
    again = CliRunner().invoke(app, ["report", "quickstart", "--no-pdf"], catch_exceptions=False)
    assert "reports/quickstart/report.html (unchanged)" in again.output


def test_into_puts_the_latex_side_elsewhere_and_says_what_changed(project):
    (project / "results" / "quickstart").mkdir(parents=True)
    words = ["report", "quickstart", "--no-pdf", "--into", "paper/gen"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert "paper/gen/numbers.tex (written)" in done.output.replace(str(project) + "/", "")
    assert (project / "paper" / "gen" / "tables" / "effects.tex").is_file()
    again = CliRunner().invoke(app, words, catch_exceptions=False)
    assert "paper/gen (unchanged)" in again.output.replace(str(project) + "/", "")


def test_all_and_an_experiment_exclude_each_other(project):
    done = CliRunner().invoke(app, ["report", "quickstart", "--all"])
    assert done.exit_code == 2
    assert "without quickstart" in " ".join(done.output.split()).replace("│ ", "")
    assert CliRunner().invoke(app, ["report"]).exit_code == 2


def test_without_results_it_names_the_sweep(project):
    with pytest.raises(ResultsError) as error:
        CliRunner().invoke(
            app, ["report", "quickstart", "--scale", "small", "--set", "epochs=2"], catch_exceptions=False
        )
    assert error.value.exit_code == 3
    assert said(error.value) == (
        "results/quickstart: there are no results of this experiment. "
        "Run: segbench sweep quickstart --scale small --set epochs=2."
    )


def test_results_without_an_ended_trial_name_the_sweep_too(project, monkeypatch):
    (project / "results" / "quickstart").mkdir(parents=True)

    nothing = pd.DataFrame()
    bare = fake.with_frames(
        fake.make_analysis(fake.QUICKSTART, root=project), seeds=nothing, failures=nothing, search=nothing
    )
    monkeypatch.setattr("segbench.report.analyse.analyse", lambda *args, **kwargs: bare)
    with pytest.raises(
        ResultsError, match=r"no trial of this experiment has ended\. Run: segbench sweep quickstart"
    ):
        CliRunner().invoke(app, ["report", "quickstart"], catch_exceptions=False)


def test_a_bad_contrast_is_refused_before_results_are_read(project, monkeypatch):
    (project / "results" / "quickstart").mkdir(parents=True)

    def never(*args, **kwargs):
        raise AssertionError("results were read")

    monkeypatch.setattr("segbench.store.results.read_results", never)
    with pytest.raises(ExperimentError) as error:
        CliRunner().invoke(
            app, ["report", "quickstart", "--contrast", "norm: nine - batch"], catch_exceptions=False
        )
    assert error.value.exit_code == 2
    assert said(error.value) == (
        "--contrast: norm has no level of this label, got 'nine'. Did you mean 'none'?"
    )


def test_contrasts_are_handed_on(project, monkeypatch):
    (project / "results" / "quickstart").mkdir(parents=True)
    seen = {}
    analysis = fake.make_analysis(fake.QUICKSTART, name="quickstart", root=project)

    def analyse(*args, **kwargs):
        seen.update(kwargs)
        return analysis

    monkeypatch.setattr("segbench.report.analyse.analyse", analyse)
    asked = ["norm: none - batch", "norm: none - batch at flips = on"]
    options = [word for text in asked for word in ("--contrast", text)]
    done = CliRunner().invoke(app, ["report", "quickstart", "--no-pdf", *options], catch_exceptions=False)
    assert done.exit_code == 0
    assert seen["contrasts"] == asked


@pytest.fixture
def counted(project, monkeypatch):
    """How often results were analysed."""
    (project / "results" / "quickstart" / "trials").mkdir(parents=True)
    analysis = fake.make_analysis(fake.QUICKSTART, name="quickstart", root=project)
    calls = []

    def analyse(*args, **kwargs):
        calls.append(kwargs.get("contrasts"))
        return analysis

    monkeypatch.setattr("segbench.report.analyse.analyse", analyse)
    monkeypatch.setenv("SEGBENCH_CACHE", str(project / "cache"))
    return calls


def reported(*words):
    done = CliRunner().invoke(app, ["report", *words, "--no-pdf"], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_what_is_asked_for_besides_is_remembered_apart(counted):
    asked = ("quickstart", "--contrast", "norm: none - batch")
    first = reported(*asked)
    again = reported(*asked)
    assert len(counted) == 1
    assert again.splitlines()[:-3] == first.splitlines()[:-3]
    assert [line.endswith("(unchanged)") for line in again.splitlines()[-3:]] == [True] * 3
    reported("quickstart")
    assert counted == [["norm: none - batch"], ()]
    reported("quickstart", "--contrast", "norm: batch - none")
    assert len(counted) == 3


def test_all_reports_read_only_what_has_changed(counted, project):
    first = reported("--all")
    assert "reports/index.html" in first
    index = (project / "reports" / "index.html").read_bytes()
    again = reported("--all")
    assert len(counted) == 1
    assert "reports/quickstart/report.html (unchanged)" in again
    assert "reports/index.html (unchanged)" in again
    assert (project / "reports" / "index.html").read_bytes() == index
    # One report alone remembers the same.
    assert "Does a U-Net need batch normalisation" in reported("quickstart")
    assert len(counted) == 1
    (project / "results" / "quickstart" / "index.csv").write_text("x")
    reported("--all")
    assert len(counted) == 2


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["quickstart", "--check"], "it goes with neither --check nor --from"),
        (["--from", "made.csv"], "it goes with neither --check nor --from"),
        (["--all"], "--all takes every experiment as it was swept, so without --contrast"),
        (["--all", "--check"], "it goes with neither --check nor --from"),
    ],
)
def test_a_contrast_is_of_one_report_that_is_written(project, words, refused):
    done = CliRunner().invoke(app, ["report", *words, "--contrast", "norm: none - batch"])
    assert done.exit_code == 2
    said = " ".join(done.output.replace("│", " ").split())
    assert refused in said
    assert not (project / "reports").exists()
