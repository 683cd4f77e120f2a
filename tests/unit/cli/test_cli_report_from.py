"""`segbench report --from`: what it writes and prints, and what does not go together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from segbench.cli.app import app
from segbench.errors import ExperimentError, ResultsError

EXAMPLE = Path(__file__).parents[3] / "docs" / "foreign-results.csv"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(EXAMPLE, tmp_path / "made.csv")
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words: str) -> str:
    return CliRunner().invoke(app, ["report", *words, "--no-pdf"], catch_exceptions=False).output


def refused(*words: str) -> str:
    with pytest.raises(ResultsError) as error:
        call(*words)
    return str(error.value)


def test_it_writes_a_report_of_the_table(folder: Path) -> None:
    said = call("--from", "made.csv", "--baseline", "plain", "--margin", "0.01", "--question", "Worth it?")
    assert said.startswith("Worth it?")
    assert "attention − plain" in said
    assert "reports/made/report.html" in said
    page = (folder / "reports" / "made" / "report.md").read_text()
    assert "results made elsewhere, from made.csv" in page
    assert (
        "command: segbench report --from made.csv --baseline plain --question 'Worth it?' --margin 0.01"
        in page
    )
    assert "Validation" not in page
    assert "weights selected" not in page
    again = call("--from", "made.csv", "--baseline", "plain", "--margin", "0.01", "--question", "Worth it?")
    assert "reports/made/report.html (unchanged)" in again


def test_the_folder_has_the_name_that_was_asked_for(folder: Path) -> None:
    call("--from", "made.csv", "--name", "rivals")
    assert (folder / "reports" / "rivals" / "report.tex").is_file()
    assert "/" in refused("--from", "made.csv", "--name", "../up")


def test_it_does_not_replace_the_report_of_an_experiment(folder: Path) -> None:
    (folder / "results" / "made").mkdir()
    assert "an experiment of this name has results here" in refused("--from", "made.csv")


def test_what_does_not_go_together_is_refused(folder: Path) -> None:
    assert "a report is of an experiment or of a table, got 'quickstart'" in refused(
        "quickstart", "--from", "made.csv"
    )
    assert refused("quickstart", "--baseline", "plain", "--margin", "0.1").startswith(
        "report: --baseline, --margin goes with --from."
    )
    assert "--margin: a margin is a positive number, got -1.0" in refused(
        "--from", "made.csv", "--margin", "-1"
    )
    assert refused("--from", "nothing.csv") == "nothing.csv: there is no such file."


def test_neither_an_experiment_nor_a_table(folder: Path) -> None:
    done = CliRunner().invoke(app, ["report"])
    assert done.exit_code == 2
    assert "--from" in done.output


def test_claims_are_judged_as_those_of_an_experiment(folder: Path) -> None:
    words = ("--from", "made.csv", "--baseline", "plain", "--margin", "0.01")
    said = call(*words, "--claim", "arm: attention > plain", "--claim", "{text: nobody knows}")
    assert "arm: attention > plain" in said
    assert "not judged" in said
    page = (folder / "reports" / "made" / "report.md").read_text()
    assert "## Claims" in page
    command = "--claim 'arm: attention > plain' --claim '{text: nobody knows}' --margin 0.01"
    assert command in page.replace("\\", "")
    judged = call(*words, "--claim", "arm: attention == plain, on: new_images")
    assert "arm: attention == plain, on: new_images" in judged


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ("arm: attention > plane", "--claim: arm has no level of this label, got 'plane'"),
        ("norm: a > b", "--claim: there is no such axis, got 'norm'"),
        ("arm: attention == plain", "--claim: == needs a margin"),
        ("attention", "--claim: there is no such axis, got 'attention'"),
        ("[attention]", "--claim: a claim is written AXIS: A > B, got '[attention]'"),
        ("arm: attention > plain, metric: test_iuo", "--claim: there is no such metric, got 'test_iuo'"),
    ],
)
def test_a_wrong_claim_is_refused_before_anything_is_written(folder: Path, claim: str, message: str) -> None:
    with pytest.raises(ExperimentError) as error:
        call("--from", "made.csv", "--claim", claim)
    assert message in str(error.value)
    assert not (folder / "reports").exists()


def test_a_claim_of_an_experiment_stands_in_its_file(folder: Path) -> None:
    assert "--claim goes with --from" in refused("made", "--claim", "arm: attention > plain")
