"""docs/results-format.md names every key, column and file there is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from segbench.records import RESULTS_FORMAT, EpochRecord, FailureKind, State, TrialRecord
from segbench.store.history import COLUMNS
from segbench.store.layout import ExperimentFolder, ResultsFolder, TrialFolder
from segbench.store.queue import QueuedTrial
from segbench.store.trials import IMAGE_COLUMNS

TEXT = (Path(__file__).parents[3] / "docs" / "results-format.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def first_cells(text: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)


def test_each_key_of_a_record_has_a_row_in_order() -> None:
    keys = [f.name for f in fields(TrialRecord)]
    assert first_cells(section("`trial.json`"))[: len(keys)] == keys
    assert f"# Results on disk, format {RESULTS_FORMAT}" in TEXT


@pytest.mark.parametrize("word", [*State, *FailureKind])
def test_each_state_and_failure_is_explained(word: str) -> None:
    assert f"`{word}`" in section("`trial.json`")


def test_each_column_of_the_epochs_has_a_row(make_epoch: Callable[..., EpochRecord]) -> None:
    text = section("`epochs.csv`")
    columns = make_epoch(val={"loss": 1.0}).row()
    assert [c for c in first_cells(text) if "<" not in c] == list(columns)


def test_each_column_of_the_images_has_a_row() -> None:
    text = section("`images.csv.gz`")
    assert first_cells(text) == list(IMAGE_COLUMNS)


def test_each_column_of_the_history_has_a_row() -> None:
    assert first_cells(section("`history.csv`")) == list(COLUMNS)


def test_each_key_of_a_queued_trial_is_named() -> None:
    text = section("While a sweep runs")
    assert [f.name for f in fields(QueuedTrial) if f"`{f.name}`" not in text] == []


@pytest.mark.parametrize("folder", [ResultsFolder, ExperimentFolder, TrialFolder])
def test_each_path_is_drawn(folder: type) -> None:
    made = folder(Path("x") / "trials" / "0123456789ab")
    names = {k for k, v in vars(folder).items() if isinstance(v, property)}
    paths = [value.name for name in names if isinstance(value := getattr(made, name), Path)]
    drawn = TEXT.partition("```\n")[2].partition("```")[0]
    assert [p for p in paths if p not in drawn] == []
