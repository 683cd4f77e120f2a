"""`segbench explain` from the command line."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from segbench.cli.app import app
from segbench.errors import ExperimentError, ResultsError


@pytest.fixture
def project(made_up_project):
    (made_up_project / "results" / "quickstart").mkdir(parents=True)
    return made_up_project


def test_it_prints_numbers_trials_and_records_and_writes_nothing(project):
    before = sorted(project.rglob("*"))
    done = CliRunner().invoke(app, ["explain", "quickstart", "flips: on - off"], catch_exceptions=False)
    assert done.exit_code == 0
    assert done.output.startswith("flips: on - off (effects)\n")
    assert "−0.012" in done.output
    assert "results/quickstart/trials/000000000000/trial.json" in done.output
    assert sorted(project.rglob("*")) == before


def test_the_users_digits_count(project):
    (project / "reports" / "quickstart").mkdir(parents=True)
    (project / "reports" / "quickstart" / "style.yaml").write_text("digits: 5\n")
    done = CliRunner().invoke(app, ["explain", "quickstart", "flips: on - off"], catch_exceptions=False)
    assert "−0.01200" in done.output


def test_an_unknown_number_is_refused_with_the_list(project):
    with pytest.raises(ExperimentError, match="batch, off"):
        CliRunner().invoke(app, ["explain", "quickstart", "flips: on - of"], catch_exceptions=False)


def test_without_results_it_names_the_sweep(project):
    (project / "results" / "quickstart").rmdir()
    with pytest.raises(ResultsError, match="Run: segbench sweep quickstart --set epochs=2"):
        CliRunner().invoke(app, ["explain", "quickstart", "x", "--set", "epochs=2"], catch_exceptions=False)
