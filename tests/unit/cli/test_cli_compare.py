"""`segbench compare`: shared cells and trials, outcomes side by side, and what is not compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats
from sweep_stand_in import TEXT, StandIn, make_stand_in
from typer.testing import CliRunner

from segbench.cli import compare as command
from segbench.cli.app import app
from segbench.errors import ExperimentError, ResultsError
from segbench.report.compare import (
    OTHER,
    SAME,
    Comparison,
    Side,
    compare,
    compare_content,
    compare_files,
    refusal,
)

A = TEXT.replace("seeds: 2", "seeds: 3")
B = A.replace("lr: 1e-3", "lr: 1e-2")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = make_stand_in(tmp_path, monkeypatch)
    # A sweep whose trials all stand in another experiment has nothing to run.
    monkeypatch.setattr("segbench.sweep.launch.mirror_only", lambda *_: None)
    (tmp_path / "experiments" / "exp.yaml").unlink()
    return stand_in


def sweep(project: StandIn, name: str, text: str, shift: tuple[float, ...] = (0, 0, 0, 0)) -> None:
    project.write(text, name)
    project.dice = lambda levels, seed: 0.8 + 0.01 * seed + shift[seed]
    done = CliRunner().invoke(app, ["sweep", name], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def sides(*names: str) -> list[Side]:
    return [command._side(name, None) for name in names]


def compared(*names: str) -> Comparison:
    return compare(*sides(*names))


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["compare", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_cells_of_one_name_are_paired_by_seed(project):
    sweep(project, "one", A)
    sweep(project, "two", B, (0.02, 0.03, 0.01))
    found = compared("one", "two")
    assert found.changes == ("baseline: optimizer.adam.lr 0.001 -> 0.01",)
    assert [(cell.label, cell.kind, cell.differs) for cell in found.cells] == [
        (label, OTHER, "optimizer.adam.lr 0.001 -> 0.01") for label in ("BN", "none")
    ]
    assert found.same_trials == ()
    rows = found.outcomes.to_dict("records")
    assert [row["cell"] for row in rows] == [
        "BN",
        "none",
        "all 2 cells with optimizer.adam.lr 0.001 -> 0.01",
    ]
    half = stats.t.ppf(0.975, 2) * 0.01 / 3**0.5
    for row in rows:
        assert row["n"] == 3
        assert row["mean_a"] == pytest.approx(0.81)
        assert row["mean_b"] == pytest.approx(0.83)
        assert row["difference"] == pytest.approx(0.02)
        assert (row["low"], row["high"]) == pytest.approx((0.02 - half, 0.02 + half))
        assert row["remark"] == ""
    assert not any("verdict" in str(column) for column in found.outcomes)


def test_shared_cells_are_the_same_trials_and_have_no_difference(project):
    sweep(project, "one", A)
    sweep(project, "two", A.replace("{BN: batch, none: none}", "{batch: batch, none: none, DyT: dyt}"))
    found = compared("one", "two")
    assert [(cell.label, cell.kind) for cell in found.cells] == [
        ("BN (in B: batch)", SAME),
        ("none", SAME),
        ("DyT", "only in B"),
    ]
    assert len(found.same_trials) == 6
    assert found.other_numbers == ()
    assert list(found.outcomes["remark"]) == ["the same trials"] * 2
    assert found.outcomes["difference"].isna().all()
    said = run("one", "two")
    assert "2 cells with the same configuration in both and 1 in B alone." in " ".join(said.split())
    assert "6 trials are in both, by identity." in " ".join(said.split())


def test_one_identity_with_other_numbers_is_said(project):
    sweep(project, "one", A)
    sweep(project, "two", A)
    for file in (project.folder("two").trials).glob("*/trial.json"):
        record = json.loads(file.read_text())
        if record["levels"]["norm"] == "BN":
            record["test"]["dice"] += 0.001
            file.write_text(json.dumps(record))
    found = compared("one", "two")
    assert (len(found.same_trials), len(found.other_numbers)) == (6, 3)
    rows = found.outcomes.set_index("cell")
    assert rows.loc["BN", "difference"] == pytest.approx(0.001)
    assert rows.loc["none", "remark"] == "the same trials"
    assert "3 of them say something else in B than in A." in " ".join(run("one", "two").split())


def test_only_seeds_of_both_count(project):
    sweep(project, "one", A)
    sweep(project, "two", B.replace("seeds: 3", "seeds: [1, 2, 3]"), (9, 0.02, 0.04, 9))
    row = compared("one", "two").outcomes.iloc[0]
    assert (row["n"], row["seeds"]) == (2, (1, 2))
    assert row["difference"] == pytest.approx(0.03)
    sweep(project, "three", B.replace("seeds: 3", "seeds: [3]"))
    assert compared("one", "three").outcomes.iloc[0]["remark"] == "no seed is complete in both"
    sweep(project, "four", B.replace("seeds: 3", "seeds: [2]"))  # taken over from `two`
    row = compared("one", "four").outcomes.iloc[0]
    assert row["remark"].startswith("one seed: no interval")
    assert row["difference"] == pytest.approx(0.04)
    assert pd.isna(row["low"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("num_test: 3", "num_test: 4"), "the data differ (dataset.shapes.num_test, fingerprint "),
        (("batch_size: 2", "batch_size: 2\n  split: {fraction: {val: 0.3}}"), "the split differs (split."),
        (
            ("seeds: 3", "seeds: 3\nobjective: {metric: val_loss, direction: minimize}"),
            "weights are selected by val_dice (maximize) in A and by val_loss (minimize) in B",
        ),
        (("seeds: 3", "seeds: 3\noutcome: test_iou"), "the outcome is test_dice in A and test_iou in B"),
    ],
)
def test_what_is_not_compared_says_why_and_ends_with_3(project, change, reason):
    sweep(project, "one", A)
    sweep(project, "two", A.replace(*change))
    found = compared("one", "two")
    assert found.is_refused
    assert found.outcomes.empty
    (said,) = found.refused
    assert said.startswith(reason)
    assert found.refused[said] == ("BN", "none")
    with pytest.raises(ResultsError) as error:
        CliRunner().invoke(app, ["compare", "one", "two"], catch_exceptions=False)
    assert error.value.exit_code == 3
    assert str(error.value) == f"one and two: outcomes are not compared: {said}."
    assert f"Not compared: {said} (BN and none)." in compare_content(found).answer


def test_numerics_and_test_images_must_agree_too(project):
    sweep(project, "one", A)
    sweep(project, "two", B)
    a, b = sides("one", "two")
    cell = compare(a, b).cells[0]
    assert refusal(a, b, cell) == ""
    newer = {hash: replace(record, numerics_version=99) for hash, record in b.records.items()}
    assert refusal(a, replace(b, records=newer), cell).startswith("built-ins gave other numbers (numerics ")
    fewer = b.results.images[b.results.images["image"] != "i1"]
    other = replace(b, results=replace(b.results, images=fewer))
    assert refusal(a, other, cell) == "the test images are not the same"


def test_contrasts_of_both_reports_stand_side_by_side_with_their_own_verdicts(project):
    claims = "claims: [{norm: BN > none}]\n"
    sweep(project, "one", A + claims)
    sweep(project, "two", B)
    found = compared("one", "two")
    (row,) = found.contrasts.to_dict("records")
    assert (row["axis"], row["level"], row["baseline"]) == ("norm", "none", "BN")
    assert row["verdict"] == sides("one")[0].analysis.effects.iloc[0]["verdict"]
    assert row["verdict_b"] == sides("two")[0].analysis.effects.iloc[0]["verdict"]


def test_it_writes_pages_tables_data_and_numbers_once(project, tmp_path):
    sweep(project, "one", A)
    sweep(project, "two", B, (0.02, 0.03, 0.01))
    said = run("one", "two", "--to", "side")
    assert said.splitlines()[-2:] == ["side/compare.html", "side/compare.md"]
    assert run("one", "two", "--to", "side").splitlines()[-2:] == [
        "side/compare.html (unchanged)",
        "side/compare.md (unchanged)",
    ]
    written = {str(p.relative_to(tmp_path / "side")) for p in (tmp_path / "side").rglob("*") if p.is_file()}
    assert written == set(compare_files(compared("one", "two")))
    numbers = json.loads((tmp_path / "side" / "compare.json").read_text())
    number = numbers["numbers"]["outcomes/BN/difference"]
    assert number["value"] == pytest.approx(0.02)
    source = numbers["sources"][number["source"]]
    assert len(source["trials"]) == 6
    assert source["by_seed"]["B minus A"] == pytest.approx([0.02, 0.03, 0.01])
    assert set(numbers["made_from"]) == {"one", "two"}
    page = (tmp_path / "side" / "compare.html").read_text()
    assert "Exploratory" in page
    assert "6 trials, seeds 0 to 2" in page


def test_a_file_that_is_gone_is_compared_as_it_was_swept(project):
    sweep(project, "one", A)
    sweep(project, "two", B)
    (project.root / "experiments" / "two.yaml").unlink()
    assert len(compared("one", "two").outcomes) == 3


def test_hostile_labels_and_cells_without_results(project):
    sweep(project, "one", A.replace("none: none", '"=1+1 <b>|$": none'))
    sweep(project, "two", B)
    files = compare_files(compared("one", "two"))
    assert b"&lt;b&gt;" in files["compare.html"]
    assert b"<b>|$" not in files["compare.html"]


def test_what_cannot_be_compared_is_refused(project):
    sweep(project, "one", A)
    project.write(B, "two")
    with pytest.raises(ResultsError, match="an experiment is compared with another one"):
        CliRunner().invoke(app, ["compare", "one", "one"], catch_exceptions=False)
    with pytest.raises(
        ResultsError, match=r"there are no results of this experiment\. Run: segbench sweep two"
    ):
        CliRunner().invoke(app, ["compare", "one", "two"], catch_exceptions=False)
    with pytest.raises(ExperimentError):
        CliRunner().invoke(app, ["compare", "one", "nothing"], catch_exceptions=False)
