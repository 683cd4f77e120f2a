"""Facts about images and masks, against cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segbench.data.facts import measure_facts


def picture(mask: np.ndarray, foreground: int, background: int) -> np.ndarray:
    return np.where(mask[..., None] == 1, foreground, background).astype(np.uint8).repeat(3, axis=2)


def test_a_square_is_convex_and_has_its_share() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[2:6, 2:6] = 1
    facts = measure_facts(picture(mask, 200, 20), mask)
    assert facts["foreground_share"] == 16 / 64
    assert facts["irregularity"] == pytest.approx(0)
    assert facts["tone_likeness"] == 0


def test_an_l_shape_lacks_a_third_of_its_hull() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[0:4, 0:2] = 1
    mask[2:4, 2:4] = 1
    # Hull of the L of three 2x2 squares: the 4x4 square without the triangle of legs 2: 16 - 2 = 14.
    assert measure_facts(picture(mask, 9, 9), mask)["irregularity"] == pytest.approx(1 - 12 / 14)


def test_tones_half_alike() -> None:
    mask = np.zeros((2, 4), np.uint8)
    mask[0] = 1
    image = np.zeros((2, 4, 3), np.uint8)
    image[0, :2], image[0, 2:], image[1] = 255, 100, 100
    assert measure_facts(image, mask)["tone_likeness"] == pytest.approx(0.5)


def test_one_grey_channel_and_equal_tones() -> None:
    mask = np.eye(4, dtype=np.uint8)
    assert measure_facts(np.full((4, 4, 1), 7, np.uint8), mask)["tone_likeness"] == pytest.approx(1)


def test_ignored_pixels_do_not_count() -> None:
    mask = np.array([[1, 255], [0, 0]], np.uint8)
    facts = measure_facts(picture(mask, 5, 5), mask)
    assert facts["foreground_share"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("fill", [0, 1])
def test_a_mask_of_one_class_has_no_tones_to_compare(fill: int) -> None:
    facts = measure_facts(np.zeros((4, 4, 3), np.uint8), np.full((4, 4), fill, np.uint8))
    assert facts["foreground_share"] == fill
    assert math.isnan(facts["tone_likeness"])
    assert facts["irregularity"] == pytest.approx(0) if fill else math.isnan(facts["irregularity"])
