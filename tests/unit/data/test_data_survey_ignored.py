"""What a survey makes of 255 among a mask's values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.data.survey import survey_folders


@pytest.mark.parametrize(
    ("values", "knobs", "foreground"),
    [
        ([0, 1, 255, 255], {"ignore": [255]}, 0.5),
        ([0, 3, 3, 255], {"foreground": [3], "ignore": [255]}, 2 / 3),
        ([0, 0, 0, 255], {}, 0.25),
        ([0, 128, 255, 255], {"foreground": [128, 255]}, 0.75),
    ],
)
def test_255_beside_small_numbers_does_not_count(tmp_path: Path, values, knobs, foreground) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        for number in range(3):
            pixels = np.array([values], np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    survey = survey_folders(tmp_path / "images", tmp_path / "masks", project=tmp_path)
    assert survey.knobs == knobs
    assert survey.foreground == pytest.approx(foreground)
    assert any("do not count" in note for note in survey.notes) == ("ignore" in knobs)
