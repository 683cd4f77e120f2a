"""`segbench evaluate`: the record is confirmed, or the difference is said."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from segbench.cli.app import app
from segbench.config.project import Project
from segbench.errors import ResultsError
from segbench.inference.verification import verify_trial
from segbench.store.layout import TrialFolder
from segbench.store.trials import read_trial, write_trial


@pytest.fixture
def copied(saved, tmp_path) -> TrialFolder:
    root = Project.around(saved.path).root
    shutil.copytree(root, tmp_path / "project")
    return TrialFolder(tmp_path / "project" / saved.path.relative_to(root))


@pytest.mark.parametrize(("split", "which"), [("test", "selected"), ("test", "last"), ("val", "selected")])
def test_the_record_is_confirmed_to_its_last_digit(saved, split, which) -> None:
    found = verify_trial(saved, Project.around(saved.path), split=split, which=which)
    assert found.agrees is True
    assert found.largest_difference == 0
    assert found.measured == found.recorded
    assert found.num_images == {"test": 4, "val": 3}[split]
    assert ("loss" in found.measured) == (split == "val")


def test_the_training_images_have_no_record(saved) -> None:
    found = verify_trial(saved, Project.around(saved.path), split="train")
    assert (found.recorded, found.agrees, found.largest_difference) == ({}, None, None)


def test_the_command_writes_a_table_and_json(saved, monkeypatch) -> None:
    monkeypatch.chdir(Project.around(saved.path).root)
    done = CliRunner().invoke(app, ["evaluate", saved.hash, "--device", "cpu"])
    assert done.exit_code == 0, done.output
    record = read_trial(saved)
    assert (
        f"tiny/{saved.hash}: selected weights (epoch {record.selected_epoch}), 4 test images" in done.output
    )
    assert f"  dice         {record.test['dice']:12.6f} {record.test['dice']:12.6f}" in done.output
    assert "They are the same to the last digit of the record." in done.output
    done = CliRunner().invoke(app, ["evaluate", saved.hash, "--device", "cpu", "--json", "--split", "val"])
    content = json.loads(done.stdout)
    assert content["agrees"] is True
    assert content["measured"] == content["recorded"]


def test_a_difference_is_an_error(copied, monkeypatch) -> None:
    record = read_trial(copied)
    write_trial(copied, replace(record, test={**record.test, "dice": record.test["dice"] + 0.01}))
    monkeypatch.chdir(Project.around(copied.path).root)
    done = CliRunner().invoke(app, ["evaluate", str(copied.path), "--device", "cpu"])
    assert isinstance(done.exception, ResultsError)
    assert str(done.exception).startswith(
        f"tiny/{copied.hash}: the means differ from the record's by more than 0.0001, got 0.0"
    )


def test_other_data_are_noticed(copied) -> None:
    record = read_trial(copied)
    write_trial(copied, replace(record, data_fingerprint="f" * 64))
    with pytest.raises(ResultsError) as caught:
        verify_trial(copied, Project.around(copied.path))
    assert "the data set or its split has changed since the trial was trained, got" in str(caught.value)
    assert "The trial's fingerprint starts with ffffffffffff." in str(caught.value)


def test_missing_last_weights_name_the_cure(copied) -> None:
    copied.last.unlink()
    with pytest.raises(
        ResultsError, match=r"last.pt: there are no last weights .* `--which selected` needs best.pt"
    ):
        verify_trial(copied, Project.around(copied.path), which="last")
