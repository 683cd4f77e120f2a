"""`samples.csv`: written once, read with facts as numbers."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from segbench.errors import ResultsError
from segbench.store.layout import ExperimentFolder
from segbench.store.samples import read_samples, write_samples

ROW = {
    "image": "a, b",
    "group": None,
    "species": "cat",
    "foreground_share": 0.25,
    "tone_likeness": float("nan"),
    "irregularity": 1 / 3,
}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path)
    write_samples(folder, [ROW, {**ROW, "image": "c", "group": "p1"}, {**ROW, "species": "dog"}])
    frame = read_samples(folder)
    assert frame is not None
    assert list(frame["image"]) == ["a, b", "c"]
    assert list(frame["group"]) == ["", "p1"]
    assert list(frame["species"]) == ["cat", "cat"]
    assert frame["irregularity"][0] == 0.333333333
    assert math.isnan(frame["tone_likeness"][0])


def test_no_file_and_a_damaged_one(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path)
    assert read_samples(folder) is None
    folder.samples.write_text("image,species\na,cat\n")
    with pytest.raises(
        ResultsError, match=r"samples\.csv: the file cannot be read .* Delete it; segbench sweep"
    ):
        read_samples(folder)


def test_equal_rows_leave_the_file_alone(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path)
    write_samples(folder, [ROW])
    before = folder.samples.stat().st_mtime_ns
    write_samples(folder, [ROW])
    assert folder.samples.stat().st_mtime_ns == before
