"""`history.csv`: one line whenever something new was complete."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from segbench.config.experiment import Experiment
from segbench.config.load import load_experiment
from segbench.errors import ResultsError
from segbench.store.history import append_history, describe, judged_looks, reached_look, read_history
from segbench.store.layout import ExperimentFolder

TEXT = """\
question: q
baseline: {dataset: {shapes: {size_px: 16}}, model: {unet: {width: 4, depth: 2}}, epochs: 2}
axes: {norm: {levels: {BN: batch, no: none}}}
seeds: {start: 2, max: 6, looks: [2, 4, 6]}
margin: 0.01
claims: [{norm: BN > no}]
"""
NOON = "2026-03-01T12:00:00+00:00"


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Experiment]:
    def load(*changes: tuple[str, str]) -> Experiment:
        text = TEXT
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file = tmp_path / "experiments" / "x.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return load_experiment(file)

    return load


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentFolder:
    root = tmp_path / "results" / "x"
    root.mkdir(parents=True)
    return ExperimentFolder(root)


def test_a_line_comes_back_as_it_was(folder: ExperimentFolder, load: Callable[..., Experiment]) -> None:
    row = describe(load().first_seeds(2), ended=NOON, commit="abc", unresolved=1)
    assert append_history(folder, row)
    assert read_history(folder) == [row]
    assert (row.seeds, row.looks, row.margin, row.cells, row.date) == ("0 1", "2 4 6", "0.01", "2", NOON[:10])


def test_what_says_nothing_new_is_not_written(
    folder: ExperimentFolder, load: Callable[..., Experiment]
) -> None:
    row = describe(load(), ended=NOON, commit="abc")
    append_history(folder, row)
    before = folder.history.read_bytes()
    assert not append_history(folder, describe(load(), ended="2026-04-01T12:00:00+00:00", commit="def"))
    assert folder.history.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("margin: 0.01", "margin: 0.02", "margin"),
        ("BN > no", "no > BN", "claims"),
        ("no: none}", "no: none, dy: dyt}", "cells design"),
        ("epochs: 2", "epochs: 3", "baseline design"),
        ("max: 6, looks: [2, 4, 6]", "max: 4", "seeds looks"),
        ("question: q", "question: other words", ""),
    ],
)
def test_a_line_names_what_changed(
    folder: ExperimentFolder, load: Callable[..., Experiment], old: str, new: str, changed: str
) -> None:
    append_history(folder, describe(load(), ended=NOON, commit=None))
    append_history(folder, describe(load((old, new)), ended=NOON, commit=None))
    rows = read_history(folder)
    assert len(rows) == 1 + bool(changed)
    assert rows[-1].changed == changed


def test_a_renamed_label_changes_no_claim(load: Callable[..., Experiment]) -> None:
    renamed = load(("BN: batch", "batch norm: batch"), ("BN > no", "batch norm > no"))
    assert describe(renamed, ended=NOON, commit=None) == describe(load(), ended=NOON, commit=None)


def test_looks_that_were_judged_are_those_of_the_present_question(
    folder: ExperimentFolder, load: Callable[..., Experiment]
) -> None:
    study = load()
    append_history(folder, describe(study.first_seeds(2), ended=NOON, commit=None, unresolved=1))
    append_history(folder, describe(study.first_seeds(4), ended=NOON, commit=None, unresolved=0))
    rows = read_history(folder)
    assert judged_looks(rows, study) == {2: 1, 4: 0}
    other = load(("margin: 0.01", "margin: 0.02"))
    assert judged_looks(rows, other) == {}
    assert reached_look(rows, other) == 4
    assert reached_look(rows, load(("epochs: 2", "epochs: 3"))) == 0


@pytest.mark.parametrize("content", [b"", b"ended,commit\n", b"\xff\xfe", b"garbage"])
def test_a_damaged_file_is_named_and_left(
    folder: ExperimentFolder, load: Callable[..., Experiment], content: bytes
) -> None:
    folder.history.write_bytes(content)
    with pytest.raises(ResultsError, match=r"history\.csv: .*Take it back from version control"):
        append_history(folder, describe(load(), ended=NOON, commit=None))
    assert folder.history.read_bytes() == content


def test_columns_of_later_versions_are_passed_over(
    folder: ExperimentFolder, load: Callable[..., Experiment]
) -> None:
    append_history(folder, describe(load(), ended=NOON, commit=None))
    lines = folder.history.read_text().splitlines()
    folder.history.write_text(
        "".join(f"{line},{'later' if k == 0 else '1'}\n" for k, line in enumerate(lines))
    )
    assert len(read_history(folder)) == 1
